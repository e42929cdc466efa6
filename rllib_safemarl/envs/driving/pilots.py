"""How agents' actions move their vehicles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import Fleet
from rllib_safemarl.envs.driving.lanes import Array
from rllib_safemarl.envs.driving.network import NONE
from rllib_safemarl.envs.driving.steering import SPEED_GAIN, change_lane, follow_road, speed_index

ACTIONS = ("discrete", "acceleration", "continuous")
LEFT, IDLE, RIGHT, FASTER, SLOWER = range(5)
"""Meta-actions, numbered as in highway-env."""
LONGITUDINAL = (SLOWER, IDLE, FASTER)
"""Meta-actions where there is but one lane, numbered as in highway-env."""
MOST_ACCELERATION = 6.0
"""Of agents that choose it, metres per second squared."""
MOST_STEERING = np.pi / 4
"""Of agents that choose it, radians."""


class Pilots:
    """Drives the agents.

    Args:
        fleet: all vehicles.
        actions: ``discrete``: meta-actions, for a vehicle that keeps lane and speed by itself;
            ``acceleration``: an acceleration in ``[-1, 1]``, for one that keeps its lane; ``continuous``:
            acceleration and steering.
        speeds: that ``discrete`` agents choose from, evenly spaced, metres per second.
        lateral: whether ``discrete`` agents change lanes.
        braking: greatest braking, metres per second squared; infinite for highway-env's own vehicles.
        acceleration: greatest acceleration of ``discrete`` agents, metres per second squared.

    Attributes:
        space: one agent's actions.
        speeds: as given.
        idle: ``[N, A, ...]`` actions that change nothing.
        braking: as given.
    """

    def __init__(
        self,
        fleet: Fleet,
        actions: str,
        speeds: Sequence[float],
        lateral: bool,
        braking: float,
        acceleration: float = MOST_ACCELERATION,
    ) -> None:
        self.fleet, self.actions = fleet, actions
        self.speeds = np.array(speeds, float)
        self._rows = slice(0, fleet.agents)
        self.braking, self._acceleration = braking, acceleration
        # A choice's number → what it means.
        self._meaning = np.arange(5) if lateral else np.array(LONGITUDINAL)
        self.space: spaces.Space
        shape: tuple[int, ...] = (fleet.shape[0], fleet.agents)
        if actions == "discrete":
            self.space = spaces.Discrete(len(self._meaning))
            self.idle: NDArray = np.full(shape, int(np.flatnonzero(self._meaning == IDLE)[0]))
        else:
            size = 2 if actions == "continuous" else 1
            self.space = spaces.Box(-1.0, 1.0, (size,), np.float32)
            self.idle = np.zeros((*shape, size), np.float32)

    def choice(self, meaning: int) -> int:
        """The number of a meta-action."""
        return int(np.flatnonzero(self._meaning == meaning)[0])

    def can(self, meaning: int) -> bool:
        """Whether there is such a meta-action."""
        return bool((self._meaning == meaning).any())

    def changes_lane(self, actions: NDArray) -> NDArray[np.bool_]:
        """``[N, A]`` whether actions are lane changes."""
        if self.actions != "discrete":
            return np.zeros(actions.shape[:2], bool)
        meaning = self._meaning[actions]
        return (meaning == LEFT) | (meaning == RIGHT)

    def start_speed(self, speed: Array) -> Array:
        """Target speeds of agents that set out at ``speed``, metres per second."""
        if self.actions == "discrete":
            return self.speeds[speed_index(speed, self.speeds)]
        # highway-env's freely steered vehicles have none, which its traffic reads as 0.
        return np.full_like(speed, self.speeds[-1] if self.actions == "acceleration" else 0.0)

    def decide(self, actions: NDArray) -> None:
        """Take new actions ``[N, A, ...]``, at the beginning of a decision's first frame."""
        fleet, rows = self.fleet, self._rows
        if self.actions != "discrete":
            pushed = np.clip(np.asarray(actions, np.float64), -1.0, 1.0)
            scale = np.where(pushed[..., 0] < 0.0, self.braking, MOST_ACCELERATION)
            fleet.acceleration[:, rows] = pushed[..., 0] * np.minimum(scale, MOST_ACCELERATION)
            if self.actions == "continuous":
                fleet.steering[:, rows] = pushed[..., 1] * MOST_STEERING
            return
        follow_road(fleet, self.acting())
        meaning = self._meaning[np.asarray(actions, np.intp)]
        step = (meaning == FASTER).astype(np.intp) - (meaning == SLOWER)
        index = np.clip(speed_index(fleet.speed[:, rows], self.speeds) + step, 0, len(self.speeds) - 1)
        fleet.target_speed[:, rows] = np.where(step != 0, self.speeds[index], fleet.target_speed[:, rows])
        side = (meaning == RIGHT).astype(np.intp) - (meaning == LEFT)
        if side.any():
            change_lane(fleet, rows, side)

    def acting(self) -> NDArray[np.bool_]:
        """``[N, V]`` agents on the road whose vehicles keep their lane."""
        acting = self.fleet.present.copy()
        acting[:, (0 if self.actions == "continuous" else self.fleet.agents) :] = False
        return acting

    def aim(self) -> None:
        """Choose target lanes for the next frame, once those that end have been left."""
        if self.actions == "continuous":
            self._follow_route()
        elif self.actions == "acceleration":
            self._leave_ending_lanes()

    def steer(self, angles: Array) -> None:
        """Take the steering angles ``[N, A]`` that lead to the target lanes."""
        if self.actions != "continuous":
            self.fleet.steering[:, self._rows] = angles

    def accelerate(self, seconds: float) -> None:
        """Choose accelerations for the next frame."""
        fleet, rows = self.fleet, self._rows
        if self.actions == "discrete":
            wanted = SPEED_GAIN * (fleet.target_speed[:, rows] - fleet.speed[:, rows])
            wanted = np.minimum(np.maximum(wanted, -self.braking), self._acceleration)
        else:
            # Brakes do not drive backwards.
            stop = -np.maximum(fleet.speed[:, rows], 0.0) / seconds
            wanted = np.maximum(fleet.acceleration[:, rows], stop)
        fleet.acceleration[:, rows] = wanted

    def _leave_ending_lanes(self) -> None:
        """Who chooses nothing but its acceleration changes lanes where its own ends, as soon as it can."""
        fleet, rows = self.fleet, self._rows
        ends = fleet.network.blocked[fleet.target[:, rows]]
        if ends.any():
            change_lane(fleet, rows, np.where(ends, -1, 0))

    def _follow_route(self) -> None:
        """Freely steered vehicles aim for where they are; their plan goes on as they come by its roads."""
        fleet, rows = self.fleet, self._rows
        lane = fleet.lane[:, rows]
        fleet.target[:, rows] = lane
        here = fleet.route[:, rows] == fleet.network.road_of[lane][..., None]
        fleet.route_at[:, rows] = np.where(here.any(2), here.argmax(2), fleet.route_at[:, rows])
        fleet.planned_number[:, rows] = NONE
