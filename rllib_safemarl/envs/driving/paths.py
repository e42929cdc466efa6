"""Where vehicles are going: the lanes ahead of each, and where ways meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rllib_safemarl.envs.driving.fleet import WIDTH, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.network import NONE, Network

AHEAD = 3
"""Lanes beyond the target lane that belong to a path."""
SIDE = 0.2
"""Bodies that pass closer aside are in each other's way, metres."""
_SAMPLE = 0.5
"""Distance of points by which meeting places are found, metres."""


@dataclass(frozen=True)
class Paths:
    """The lanes that vehicles drive on, one after another.

    Attributes:
        lane: ``[N, V, K]`` target lane, those that follow it, and last the present lane if another; ``-1``
            none.
        offset: ``[N, V, K]`` what to add to ``s`` on the lane to get the way from the vehicle's centre,
            metres.
    """

    lane: Index
    offset: Array

    @property
    def ahead(self) -> tuple[Index, Array]:
        """The same without the present lane."""
        return self.lane[..., :-1], self.offset[..., :-1]


def paths_of(fleet: Fleet) -> Paths:
    """The paths of all vehicles."""
    network, target = fleet.network, fleet.target
    s, _ = fleet.on_lane(target)
    own, _ = fleet.on_lane(fleet.lane)
    at = route_index(fleet)
    last = fleet.route.shape[2] - 1
    every, slots = np.indices(target.shape)
    lane = np.full((*target.shape, AHEAD + 2), NONE, np.intp)
    offset = np.zeros(lane.shape)
    lane[..., 0], offset[..., 0] = target, -s
    for k in range(1, AHEAD + 1):
        before = np.maximum(lane[..., k - 1], 0)
        wanted = np.where(at + k <= last, fleet.route[every, slots, np.minimum(at + k, last)], NONE)
        after = network.successor[before, wanted]
        # Off its plan, whichever lane goes on.
        after = np.where(after >= 0, after, network.successor[before, -1])
        lane[..., k] = np.where(lane[..., k - 1] >= 0, after, NONE)
        offset[..., k] = offset[..., k - 1] + network.lanes.length[before]
        offset[..., k] += np.where(after >= 0, network.apart[before, np.maximum(after, 0)], 0.0)
    lane[..., -1] = np.where(fleet.lane != target, fleet.lane, NONE)
    offset[..., -1] = -own
    return Paths(lane, offset)


def route_index(fleet: Fleet) -> Index:
    """``[N, V]`` where the road of the target lane stands in the route."""
    at, last = fleet.route_at, fleet.route.shape[2] - 1
    every, slots = np.indices(at.shape)
    here = fleet.route[every, slots, np.minimum(at, last)] == fleet.network.road_of[fleet.target]
    return np.where(here & (at <= last), at, at - 1)


def to_go(fleet: Fleet, rows: slice, past_exit: float) -> Array:
    """Way ``[N, V']`` left to ``past_exit`` metres along the last road of the routes, metres."""
    network = fleet.network
    lengths = np.append(network.lanes.length[network.first], 0.0)
    route, at = fleet.route[:, rows], np.minimum(fleet.route_at[:, rows], fleet.route.shape[2])
    places = np.arange(route.shape[2])
    rest = np.where((places >= at[..., None]) & (route >= 0), lengths[route], 0.0).sum(-1)
    every, slots = np.indices(at.shape)
    road = route[every, slots, np.minimum(at, route.shape[2] - 1)]
    target = fleet.target[:, rows]
    lane = np.where(network.road_of[target] == road, target, network.first[road])
    s, _ = fleet.on_lane(lane)
    final = np.where(route >= 0, places, 0).max(-1)
    end = lengths[route[every, slots, final]]
    # Lanes of one road differ in length, but begin and end together.
    share = np.clip(s / network.lanes.length[lane], 0.0, 1.0) * lengths[road]
    beyond = np.where(s > network.lanes.length[lane], s - network.lanes.length[lane], 0.0)
    return np.where(at > final, 0.0, rest - share - beyond) - (end - past_exit)


class Meetings:
    """Where lanes cross or run together.

    Args:
        network: the roads.

    Attributes:
        begin: ``[L, L]`` ``s`` on the first lane from which on somebody on the second may be in the way,
            metres; infinite where the lanes do not meet.
        end: ``[L, L]`` until where.
        any: whether there are any.
    """

    def __init__(self, network: Network) -> None:
        count = len(network.lanes)
        self.begin, self.end = np.full((2, count, count), np.inf)
        points = [self._points(network, lane) for lane in range(count)]
        for one in range(count):
            for other in range(one):
                if _apart_of_themselves(network, one, other):
                    self._enter(points, one, other)
        self.any = bool(np.isfinite(self.begin).any())

    @staticmethod
    def _points(network: Network, lane: int) -> Array:
        s = np.arange(0.0, network.lanes.length[lane] + _SAMPLE, _SAMPLE)
        s = np.minimum(s, network.lanes.length[lane])
        x, y = network.lanes.position(np.full(len(s), lane), s)
        return np.stack([s, x, y], 1)

    def _enter(self, points: list[Array], one: int, other: int) -> None:
        first, second = points[one], points[other]
        reach = WIDTH + SIDE
        low, high = second[:, 1:].min(0) - reach, second[:, 1:].max(0) + reach
        if (first[:, 1:] < low).any(1).all() or (first[:, 1:] > high).any(1).all():
            return
        dx, dy = first[:, None, 1] - second[:, 1], first[:, None, 2] - second[:, 2]
        near = dx * dx + dy * dy < reach**2
        if near.any():
            on_first, on_second = first[near.any(1), 0], second[near.any(0), 0]
            self.begin[one, other], self.end[one, other] = on_first.min(), on_first.max()
            self.begin[other, one], self.end[other, one] = on_second.min(), on_second.max()


def _apart_of_themselves(network: Network, one: int, other: int) -> bool:
    """Whether lanes neither lie side by side, nor part from one node, nor follow each other."""
    road, other_road = network.road_of[one], network.road_of[other]
    (begin, end), (other_begin, other_end) = network.ends[road], network.ends[other_road]
    return road != other_road and begin != other_begin and end != other_begin and begin != other_end
