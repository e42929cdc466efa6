"""Drivers that keep to a lane and to a speed: highway-env's ``ControlledVehicle``, over arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import LENGTH, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index, wrap
from rllib_safemarl.envs.driving.network import NONE

SPEED_GAIN = 1.0 / 0.6
"""Acceleration per difference from the desired speed, 1/s."""
HEADING_GAIN = 1.0 / 0.2
"""Turning rate per difference from the desired heading, 1/s."""
LATERAL_GAIN = 1.0 / 0.6
"""Speed to the side per metre off the centre line, 1/s."""
LOOK_AHEAD = 0.5 * 0.2
"""The lane's heading is taken where the vehicle will be in so many seconds."""
MOST_STEERING = np.pi / 3
"""Radians."""


def not_zero(values: Array, least: float = 1e-2) -> Array:
    """Values pushed away from 0, to ``least`` on their own side."""
    return np.where(np.abs(values) > least, values, np.where(values >= 0.0, least, -least))


def follow_road(fleet: Fleet, acting: NDArray[np.bool_]) -> None:
    """Give vehicles that come to the end of their target lane the next one.

    Args:
        fleet: the vehicles.
        acting: ``[N, V]`` whom.
    """
    network, target = fleet.network, fleet.target
    s, _ = fleet.on_lane(target)
    finished = (s > network.lanes.length[target] - 0.5 * LENGTH) & acting
    if not finished.any():
        return
    copy, slot = np.nonzero(finished)
    lane, at = fleet.target[copy, slot], fleet.route_at[copy, slot]
    route = fleet.route[copy, slot]
    every, last = np.arange(len(lane)), route.shape[1] - 1
    done = route[every, np.minimum(at, last)] == network.road_of[lane]
    done &= at <= last
    at = at + done
    fleet.route_at[copy, slot] = at
    fleet.planned_number[copy[done], slot[done]] = NONE
    wanted = np.where(at <= last, route[every, np.minimum(at, last)], NONE)
    fits = network.ends[wanted, 0] == network.ends[network.road_of[lane], 1]
    wanted = np.where((wanted >= 0) & fits, wanted, NONE)
    fleet.target[copy, slot] = network.next_lane(lane, wanted, fleet.x[copy, slot], fleet.y[copy, slot])


def steer(fleet: Fleet, target: Index) -> Array:
    """Steering angles of the first vehicles to the centre lines of lanes ``[N, V']``, radians."""
    lanes, count = fleet.network.lanes, target.shape[1]
    s, r = fleet.on_lane(target)
    speed, heading = fleet.speed[:, :count], fleet.heading[:, :count]
    ahead = lanes.heading_at(target, s + speed * LOOK_AHEAD)
    safe = not_zero(speed)
    turn = np.arcsin(_within(-LATERAL_GAIN * r / safe, 1.0))
    wanted = ahead + _within(turn, np.pi / 4)
    rate = HEADING_GAIN * wrap(wanted - heading)
    slip = np.arcsin(_within(0.5 * LENGTH / safe * rate, 1.0))
    return _within(np.arctan(2.0 * np.tan(slip)), MOST_STEERING)


def _within(values: Array, most: float) -> Array:
    return np.minimum(np.maximum(values, -most), most)


def change_lane(fleet: Fleet, rows: slice, side: NDArray[np.integer]) -> None:
    """Aim for the lane on a side, where there is one that may be reached.

    Args:
        fleet: the vehicles.
        rows: their slots.
        side: ``[N, V']`` −1 for left, 1 for right, 0 to stay.
    """
    network, target = fleet.network, fleet.target[:, rows]
    wanted = network.clipped_beside(target, side.astype(np.intp))
    where = (wanted, np.arange(len(target))[:, None], np.arange(rows.start, rows.stop))
    allowed = reachable(fleet, wanted, fleet.s[where], fleet.r[where]) & (side != 0)
    fleet.target[:, rows] = np.where(allowed, wanted, target)


def reachable(fleet: Fleet, lane: Index, s: Array, r: Array) -> NDArray[np.bool_]:
    """Whether lanes may be changed to from points with these coordinates on them."""
    lanes = fleet.network.lanes
    near = np.abs(r) <= 2.0 * lanes.width[lane]
    near &= (s >= 0.0) & (s < lanes.length[lane] + LENGTH)
    return near & ~fleet.network.forbidden[lane]


def speed_index(speed: Array, speeds: Array) -> Index:
    """Index of the nearest of evenly spaced speeds, halves to the even one."""
    share = (speed - speeds[0]) / (speeds[-1] - speeds[0]) * (len(speeds) - 1)
    return np.clip(np.round(share), 0, len(speeds) - 1).astype(np.intp)
