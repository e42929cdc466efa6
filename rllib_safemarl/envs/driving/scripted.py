"""Controllers without learning: reference rows for tables, and behaviour to record.

Each maps the environment's public state to actions ``[N, A, ...]``, of whichever sort; none remembers
anything.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.env import DrivingVectorEnv
from rllib_safemarl.envs.driving.fleet import LENGTH, NOWHERE
from rllib_safemarl.envs.driving.giving_way import COMFORT, brake_at_meetings
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.pilots import (
    FASTER,
    IDLE,
    LEFT,
    MOST_ACCELERATION,
    MOST_STEERING,
    RIGHT,
    SLOWER,
)
from rllib_safemarl.envs.driving.steering import SPEED_GAIN, reachable, speed_index, steer
from rllib_safemarl.envs.driving.traffic import Choice, neighbours
from rllib_safemarl.errors import SafeMARLError

Actions = NDArray
Bool = NDArray[np.bool_]

LINE_UP = 120.0
"""Careful drivers line up so far before two lanes become one, metres."""


def stand_still(env: DrivingVectorEnv) -> Actions:
    """Brake, and then do not move."""
    return _act(env, np.full(_shape(env), -env.pilots.braking), np.zeros(_shape(env), np.intp))


def reckless(env: DrivingVectorEnv) -> Actions:
    """Drive as fast as possible, and leave a lane that ends at once, whoever is in the way."""
    return _act(env, _free(env), _off_ending_lanes(env))


def following(env: DrivingVectorEnv, time_gap: float = 1.0) -> Actions:
    """Keep the distance from those ahead, but give way to nobody.

    Args:
        env: the environment.
        time_gap: wanted to the next vehicle, seconds.
    """
    return _act(env, _behind_others(env, time_gap), _off_ending_lanes(env))


def yielding(
    env: DrivingVectorEnv, time_gap: float = 1.2, patience: float = 1.0, room: float = 1.0
) -> Actions:
    """Keep the distance, let those pass who are earlier where ways meet, and change lanes into gaps alone.

    Args:
        env: the environment.
        time_gap: wanted to the next vehicle, seconds.
        patience: seconds that must lie between two vehicles at a place where ways meet.
        room: seconds of speed that must be free ahead and behind to change lanes.
    """
    wanted = np.minimum(_behind_others(env, time_gap), brake_at_meetings(env, patience))
    wanted = np.minimum(wanted, _into_line(env, time_gap))
    side = _off_ending_lanes(env)
    side = np.where(_has_room(env, side, room), side, 0)
    return _act(env, wanted, side)


CONTROLLERS: dict[str, Callable[..., Actions]] = {
    "stand_still": stand_still,
    "reckless": reckless,
    "following": following,
    "yielding": yielding,
}
"""Name → controller."""


def _shape(env: DrivingVectorEnv) -> tuple[int, int]:
    return env.num_copies, env.num_agents


def _act(env: DrivingVectorEnv, acceleration: Array, side: Index) -> Actions:
    """Actions for wanted accelerations, metres per second squared, and sides to change to: −1, 0, 1.

    Raises:
        SafeMARLError: agents differ in their spaces; controllers act for one kind of agents.
    """
    if len(env.kinds) > 1:
        raise SafeMARLError("safemarl/driving: controllers act for equal agents; leave out leader_follower.")
    pilots, fleet = env.pilots, env.fleet
    if pilots.actions == "discrete":
        return _choices(env, acceleration, side)
    brakes = acceleration < 0.0
    scale = np.where(brakes, min(env.pilots.braking, MOST_ACCELERATION), MOST_ACCELERATION)
    pushes = np.clip(acceleration / scale, -1.0, 1.0)
    if pilots.actions == "acceleration":
        return pushes[..., None].astype(np.float32)
    angle = steer(fleet, _lane_ahead(env, side)) / MOST_STEERING
    return np.stack([pushes, np.clip(angle, -1.0, 1.0)], -1).astype(np.float32)


def _choices(env: DrivingVectorEnv, acceleration: Array, side: Index) -> Actions:
    """Of slower, the same and faster the one that comes nearest; lane changes go first."""
    pilots, speed = env.pilots, env.fleet.speed[:, : env.num_agents]
    speeds, index = pilots.speeds, speed_index(speed, pilots.speeds)
    last = len(speeds) - 1
    outcomes = np.stack(
        [
            speeds[np.maximum(index - 1, 0)],
            env.fleet.target_speed[:, : env.num_agents],
            speeds[np.minimum(index + 1, last)],
        ]
    )
    reached = np.clip(SPEED_GAIN * (outcomes - speed), -env.pilots.braking, MOST_ACCELERATION)
    wanted = np.clip(acceleration, -env.pilots.braking, MOST_ACCELERATION)
    best = np.abs(reached - wanted).argmin(0)
    numbers = np.array([pilots.choice(meaning) for meaning in (SLOWER, IDLE, FASTER)])
    chosen = numbers[best]
    if pilots.can(LEFT):
        chosen = np.where(side < 0, pilots.choice(LEFT), chosen)
        chosen = np.where(side > 0, pilots.choice(RIGHT), chosen)
    return chosen


def _free(env: DrivingVectorEnv) -> Array:
    """Acceleration to the top speed."""
    return SPEED_GAIN * (env.pilots.speeds[-1] - env.fleet.speed[:, : env.num_agents])


def _behind_others(env: DrivingVectorEnv, time_gap: float) -> Array:
    """The intelligent driver model behind whoever is next on the path, towards the top speed."""
    danger = env.moment.danger
    return np.minimum(_free(env), _keep_behind(env, danger.gap, danger.closing, time_gap))


def _keep_behind(env: DrivingVectorEnv, gap: Array, closing: Array, time_gap: float) -> Array:
    speed = env.fleet.speed[:, : env.num_agents]
    wanted = env.clearance + 1.0 + speed * time_gap + speed * closing / (2.0 * COMFORT)
    share = np.maximum(speed, 0.0) / env.pilots.speeds[-1]
    room = np.maximum(wanted, 0.0) / np.maximum(gap, 0.1)
    return COMFORT * (1.0 - share**4 - room**2) + 0.5


def _into_line(env: DrivingVectorEnv, time_gap: float) -> Array:
    """Braking behind those who will be ahead on the lane that another one joins, as if all were on it."""
    fleet, network, agents = env.fleet, env.network, env.num_agents
    lane, offset = env.moment.paths.ahead
    wanted = np.full(_shape(env), np.inf)
    for ending in np.flatnonzero(network.blocked):
        joins = (lane == ending) | (lane == ending - 1)
        # Where everybody is on the lane that goes on, from its beginning, metres.
        place = np.where(joins & fleet.present[..., None], -offset, -NOWHERE).max(-1)
        near = (place[:, :agents] > -LINE_UP) & (place[:, :agents] < network.lanes.length[ending])
        ahead = place[:, None] - place[:, :agents, None]
        slots = np.arange(fleet.shape[1])
        first = (ahead > 0.0) | ((ahead == 0.0) & (slots < np.arange(agents)[:, None]))
        ahead = np.where(first & near[..., None] & (slots != np.arange(agents)[:, None]), ahead, np.inf)
        leader = ahead.argmin(-1)
        gap = np.take_along_axis(ahead, leader[..., None], -1)[..., 0] - LENGTH
        closing = fleet.speed[:, :agents] - np.take_along_axis(fleet.speed, leader, 1)
        behind = _keep_behind(env, gap, np.where(np.isfinite(gap), closing, 0.0), time_gap)
        wanted = np.minimum(wanted, np.where(np.isfinite(gap), np.maximum(behind, -COMFORT), np.inf))
    return wanted


def _off_ending_lanes(env: DrivingVectorEnv) -> Index:
    """``[N, A]`` −1 for agents whose target lane ends at an obstacle and who can leave it, else 0."""
    fleet, network = env.fleet, env.network
    target = fleet.target[:, : env.num_agents]
    left = np.maximum(network.beside(target, -1), 0)
    s, r = fleet.on_lane(left)
    leaves = network.blocked[target] & (network.number[target] > 0) & reachable(fleet, left, s, r)
    return np.where(leaves, -1, 0)


def _has_room(env: DrivingVectorEnv, side: Index, room: float) -> Bool:
    """Whether the lane on a side is free for some seconds ahead and behind."""
    fleet = env.fleet
    copy, slot = np.nonzero(side)
    free = np.ones(_shape(env), bool)
    if not len(copy):
        return free
    lane = env.network.beside(fleet.target[copy, slot], 0)
    lane = env.network.clipped_beside(lane, side[copy, slot])
    front, rear = neighbours(fleet, Choice(copy, slot, lane))
    own = fleet.s[lane, copy, slot]
    vehicles = fleet.shape[1]
    for other, ahead in ((front, 1.0), (rear, -1.0)):
        there = np.maximum(other, 0)
        # On the same lane, or beyond its end, where the distance is taken in the plane.
        gap = np.abs(fleet.s[lane, copy, there] - own) - LENGTH
        speed = np.where(there < vehicles, fleet.speed[copy, np.minimum(there, vehicles - 1)], 0.0)
        closing = ahead * (fleet.speed[copy, slot] - speed)
        behind = fleet.speed[copy, slot] if ahead > 0 else speed
        needed = env.clearance + 1.0 + room * np.maximum(closing, 0.15 * np.maximum(behind, 0.0))
        needed = needed + np.maximum(closing, 0.0) ** 2 / (2.0 * COMFORT)
        free[copy, slot] &= (other < 0) | (gap > needed)
    return free


def _lane_ahead(env: DrivingVectorEnv, side: Index) -> Index:
    """``[N, A]`` the lane that freely steered agents should steer for."""
    network, rows = env.network, slice(0, env.num_agents)
    lane, offset = (column[:, rows] for column in env.moment.paths.ahead)
    # The next lane as soon as the present one is about to end.
    over = (lane[..., 1] >= 0) & (offset[..., 1] < 0.5 * LENGTH)
    return network.clipped_beside(np.where(over, lane[..., 1], lane[..., 0]), side)
