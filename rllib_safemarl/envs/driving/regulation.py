"""Right of way at intersections: highway-env's ``RegulatedRoad``, over arrays.

Twice a second, vehicles whose predicted ways meet within three seconds are sorted: of two, that on the
road of lower priority stops, or the one behind; but agents never obey.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import LENGTH, WIDTH, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.network import NONE

PER_SECOND = 2.0
"""How often the rules are enforced."""
_TIMES = np.arange(0.25, 3.0, 0.25)
_POINTS = np.array(
    [[-0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.5, -0.5], [0, 0], [-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]]
)
_LENGTH, _WIDTH = 1.5 * LENGTH, 0.9 * WIDTH
"""Of the room that a vehicle is given."""


def regulate(fleet: Fleet, copies: Index, steering_only: bool = False) -> None:
    """Release whoever waits, and let others wait, in the given copies.

    Args:
        fleet: the vehicles.
        copies: ``[M]``.
        steering_only: agents are predicted to keep their steering angle, as they do not follow lanes.
    """
    waits = fleet.yields[copies] & fleet.present[copies]
    limit = fleet.network.speed_limit[fleet.lane[copies]]
    fleet.target_speed[copies] = np.where(waits, limit, fleet.target_speed[copies])
    fleet.yields[copies] = False
    x, y, heading = _predict(fleet, copies)
    if steering_only:
        for column, kept in zip((x, y, heading), _keep_steering(fleet, copies), strict=True):
            column[:, : fleet.agents] = kept
    row, first, second = _conflicts(x, y, heading, fleet.present[copies])
    if not len(row):
        return
    copy = copies[row]
    waiting = np.where(_first_waits(fleet, copy, first, second), first, second)
    obeys = waiting >= fleet.agents
    copy, waiting = copy[obeys], waiting[obeys]
    fleet.target_speed[copy, waiting] = 0.0
    fleet.yields[copy, waiting] = True


def _first_waits(fleet: Fleet, copy: Index, first: Index, second: Index) -> NDArray[np.bool_]:
    priority = fleet.network.priority
    one, other = priority[fleet.lane[copy, first]], priority[fleet.lane[copy, second]]
    dx = fleet.x[copy, second] - fleet.x[copy, first]
    dy = fleet.y[copy, second] - fleet.y[copy, first]
    to_second = fleet.cos[copy, first] * dx + fleet.sin[copy, first] * dy
    to_first = -(fleet.cos[copy, second] * dx + fleet.sin[copy, second] * dy)
    return (one < other) | ((one == other) & (to_second > to_first))


def _predict(fleet: Fleet, copies: Index) -> tuple[Array, Array, Array]:
    """Positions and headings ``[M, V, T]`` along the planned ways at constant speeds."""
    network, lanes = fleet.network, fleet.network.lanes
    lane = fleet.lane[copies]
    s, _ = fleet.on_lane(fleet.lane)
    along = s[copies][..., None] + fleet.speed[copies][..., None] * _TIMES
    route, at = fleet.route[copies], fleet.route_at[copies]
    number = network.number[lane]
    own, last = network.road_of[lane], route.shape[2] - 1
    every, slots = np.indices(lane.shape)
    first_road = np.where(at <= last, route[every, slots, np.minimum(at, last)], NONE)
    planned = fleet.planned_number[copies]

    def lane_of(road: Index, wanted: Index) -> Index:
        keeps = np.where(wanted >= 0, wanted, np.where(number < network.count[own], number, 0))
        return network.first[road] + np.minimum(keeps, network.count[road] - 1)

    # Whoever has no route left stays on its lane.
    current = np.where(first_road >= 0, lane_of(np.maximum(first_road, 0), planned), lane)
    current = np.repeat(current[..., None], len(_TIMES), 2)
    for ahead in range(1, route.shape[2]):
        here = at + ahead
        road = np.where(here <= last, route[every, slots, np.minimum(here, last)], NONE)
        following = lane_of(np.maximum(road, 0), np.full_like(number, NONE))[..., None]
        length = lanes.length[current]
        # Only from the lane just before: ways are entered one road after another.
        moves = (along > length) & (road >= 0)[..., None] & (first_road >= 0)[..., None]
        moves &= _reached(current, lane, ahead, network.road_of, route, at)
        along = np.where(moves, along - length, along)
        current = np.where(moves, following, current)
    x, y = lanes.position(current, along)
    return x, y, lanes.heading_at(current, along)


def _reached(
    current: Index, lane: Index, ahead: int, road_of: Index, route: Index, at: Index
) -> NDArray[np.bool_]:
    """Whether the prediction stands on the road before the ``ahead``-th."""
    every, slots = np.indices(lane.shape)
    before = route[every, slots, np.minimum(at + ahead - 1, route.shape[2] - 1)]
    return road_of[current] == before[..., None]


def _keep_steering(fleet: Fleet, copies: Index) -> tuple[Array, Array, Array]:
    """The same for agents that steer freely: constant speed and steering angle."""
    rows = slice(0, fleet.agents)
    x, y, heading = (getattr(fleet, name)[copies, rows] for name in ("x", "y", "heading"))
    speed = fleet.speed[copies, rows]
    slip = np.arctan(0.5 * np.tan(fleet.steering[copies, rows]))
    seconds, found = _TIMES[0], []
    for _ in _TIMES:
        x = x + speed * np.cos(heading + slip) * seconds
        y = y + speed * np.sin(heading + slip) * seconds
        heading = heading + speed * np.sin(slip) / (0.5 * LENGTH) * seconds
        found.append((x, y, heading))
    x, y, heading = (np.stack(column, -1) for column in zip(*found, strict=True))
    return x, y, heading


def _conflicts(x: Array, y: Array, heading: Array, present: NDArray[np.bool_]) -> tuple[Index, Index, Index]:
    """Copy, first and second of pairs whose predicted rectangles meet at some time."""
    dx, dy = x[:, None] - x[:, :, None], y[:, None] - y[:, :, None]
    near = dx * dx + dy * dy <= LENGTH**2
    pairs = present[:, None] & present[:, :, None]
    pairs &= np.triu(np.ones((x.shape[1], x.shape[1]), bool), 1)
    row, first, second, time = np.nonzero(near & pairs[..., None])
    one = x[row, first, time], y[row, first, time], heading[row, first, time]
    other = x[row, second, time], y[row, second, time], heading[row, second, time]
    meet = _holds_a_point(one, other) | _holds_a_point(other, one)
    found = np.zeros(pairs.shape, bool)
    found[row[meet], first[meet], second[meet]] = True
    row, first, second = np.nonzero(found)
    return row, first, second


def _holds_a_point(one: tuple[Array, ...], other: tuple[Array, ...]) -> NDArray[np.bool_]:
    """Whether the second rectangle holds a corner, an edge's middle or the centre of the first."""
    (x, y, heading), (ox, oy, other_heading) = one, other
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    long, wide = _LENGTH * _POINTS[:, 0], _WIDTH * _POINTS[:, 1]
    dx = x[:, None] + long * cos - wide * sin - ox[:, None]
    dy = y[:, None] + long * sin + wide * cos - oy[:, None]
    cos, sin = np.cos(other_heading)[:, None], np.sin(other_heading)[:, None]
    # highway-env turns by the angle, not back by it.
    ahead, aside = cos * dx - sin * dy, sin * dx + cos * dy
    return np.any((np.abs(ahead) <= 0.5 * _LENGTH) & (np.abs(aside) <= 0.5 * _WIDTH), axis=1)
