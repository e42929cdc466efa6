"""Controllers without learning: reference rows for tables, and behaviour to record.

Each maps the environment's public state to actions ``[N, A, 2]``; none remembers anything.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.crossing.danger import pair_margins
from rllib_safemarl.envs.crossing.env import CrossingVectorEnv
from rllib_safemarl.envs.crossing.neighbour_search import NeighbourSearch

Actions = NDArray[np.float32]
Array = NDArray[np.float64]

APPROACH = 2.0
"""Desired speed per metre of distance to the target, 1/s."""
TRACKING = 5.0
"""Acceleration per difference from the desired velocity, 1/s."""
TURN = 0.8
"""Speed to the right of a near robot per speed away from it."""
DOOR_LEAD = 0.3
"""Before and behind a door robots steer for points so far from the wall, metres."""
DOOR_CLEAR = 0.5
"""A door is free again when the last robot is so far beyond it, metres."""
WAITING_PLACE = (0.4, 0.75)
"""Where robots wait for a door: so far from the wall, and so far along it, metres."""


def stand_still(env: CrossingVectorEnv) -> Actions:
    """Do not accelerate."""
    return np.zeros(env.positions.shape, np.float32)


def straight(env: CrossingVectorEnv) -> Actions:
    """Drive to the goal by the shortest free way, whoever is in the way."""
    return _track(env, _desired(env, _waypoints(env)))


def yielding(env: CrossingVectorEnv, gain: float = 1.5, reach: float = 0.6) -> Actions:
    """Drive to the goal, but give way to the right of others in time, and take turns at doors.

    Args:
        env: the environment.
        gain: desired speed away from a robot at the brink of danger, metres per second.
        reach: robots of a larger margin do not matter, metres.
    """
    targets = _waypoints(env)
    if env.layout.walls:
        targets = np.where(_waits(env)[..., None], _waiting_points(env), targets)
    return _track(env, _desired(env, targets) + _repulsion(env, gain, reach))


CONTROLLERS: dict[str, Callable[[CrossingVectorEnv], Actions]] = {
    "stand_still": stand_still,
    "straight": straight,
    "yielding": yielding,
}
"""Name → controller."""


def _desired(env: CrossingVectorEnv, targets: Array) -> Array:
    """Velocities ``[N, A, 2]`` towards the targets, slower when near."""
    velocity = APPROACH * (targets - env.positions)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    return velocity * np.minimum(1.0, env.config.top_speed / np.maximum(speed, 1e-9))


def _track(env: CrossingVectorEnv, desired: Array) -> Actions:
    """Actions that bring the velocities to the desired ones."""
    push = TRACKING * (desired - env.velocities) / env.config.acceleration
    return np.clip(push, -1.0, 1.0).astype(np.float32)


def _waypoints(env: CrossingVectorEnv) -> Array:
    """Where to go next: the goal, or the near and then the far side of the door on the way to it."""
    if not env.layout.walls:
        return env.goals
    centres = env.layout.centres
    place, side = _place_at_door(env)
    lined_up = np.abs(place[..., 1]) < np.maximum(0.1, 0.6 * (side * place[..., 0] - DOOR_LEAD))
    lead = np.where(lined_up, -DOOR_LEAD, DOOR_LEAD) * side
    by_door = centres + np.stack([lead, np.zeros_like(lead)], -1)
    return np.where(_must_pass(env)[..., None], by_door, env.goals)


def _place_at_door(env: CrossingVectorEnv) -> tuple[Array, Array]:
    """Positions relative to the own door, and the side of the wall that the robot starts on."""
    there = env.goals - env.layout.centres
    return env.positions - env.layout.centres, -np.sign(there[..., 0])


def _must_pass(env: CrossingVectorEnv) -> NDArray[np.bool_]:
    """Robots that have not left the door behind them."""
    place, side = _place_at_door(env)
    return side * place[..., 0] > -0.5 * DOOR_LEAD


def _waits(env: CrossingVectorEnv) -> NDArray[np.bool_]:
    """Robots that leave their tile's door to the other side, whose first is nearer or still inside."""
    place, side = _place_at_door(env)
    distance = np.linalg.norm(place, axis=-1)
    clearing = ~_must_pass(env) & (side * place[..., 0] > -DOOR_CLEAR)
    claim = np.where(_must_pass(env), distance, np.where(clearing, 0.0, np.inf))
    same_tile = (env.layout.centres[:, None] == env.layout.centres[None]).all(-1)
    same_side = side[..., :, None] == side[..., None, :]
    claims = claim[..., None, :]
    ours = np.where(same_tile & same_side, claims, np.inf).min(-1)
    theirs = np.where(same_tile & ~same_side, claims, np.inf).min(-1)
    return _must_pass(env) & (theirs < ours)


def _waiting_points(env: CrossingVectorEnv) -> Array:
    """On the own side beside the door, where no path leads."""
    _, side = _place_at_door(env)
    lane = np.where(env.layout.starts[:, 1] < env.layout.centres[:, 1], -1.0, 1.0)
    beside = np.stack([WAITING_PLACE[0] * side, WAITING_PLACE[1] * lane + np.zeros_like(side)], -1)
    return env.layout.centres + beside


def _repulsion(env: CrossingVectorEnv, gain: float, reach: float) -> Array:
    """Velocities ``[N, A, 2]`` away from robots of little margin, turned right so that they pass."""
    config, (copies, robots, _) = env.config, env.positions.shape
    touch = 2.0 * config.radius + config.clearance
    braking = (2.0 * config.top_speed) ** 2 / (4.0 * config.acceleration)
    pairs = NeighbourSearch(copies, robots, touch + braking + reach)(env.positions)
    first, second = pairs.candidates.first[pairs.near], pairs.candidates.second[pairs.near]
    margin = pair_margins(pairs, env.velocities, config.radius, config.acceleration, config.clearance)
    direction = pairs.gap / np.maximum(np.sqrt(pairs.squared[pairs.near]), 1e-9)
    away = gain * np.clip(1.0 - margin / reach, 0.0, 1.0) ** 2 * direction
    turned = away + TURN * np.stack([-away[1], away[0]])
    total = np.zeros((2, copies * robots))
    for axis in range(2):
        np.subtract.at(total[axis], first, turned[axis])
        np.add.at(total[axis], second, turned[axis])
    return total.T.reshape(env.positions.shape)
