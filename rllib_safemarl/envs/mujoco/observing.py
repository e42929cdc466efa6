"""What agents see: one gather for all of them."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.hazard import Hazard
from rllib_safemarl.envs.mujoco.partitions import Parts
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment
from rllib_safemarl.envs.vector import Float, Kind, kinds_of

Array = NDArray[np.float64]

JOINT_SPEED = 0.1
"""Factor on joint velocities in observations."""
BOUND = 10.0
"""Observations stay within ``±BOUND``; MuJoCo's velocities have no bound of their own."""


def own_points(robot: Robot, parts: Parts) -> NDArray[np.bool_]:
    """``[A, S]`` the points whose parts an agent moves."""
    blame = np.zeros((len(parts), robot.num_points), bool)
    for agent, part in enumerate(parts):
        blame[agent, [robot.point_of(joint) for joint in part]] = True
    return blame


class JointObserver:
    """Agent i sees its own joints, the root, and the hazard's features: κ-hop views add its neighbours'.

    An observation is ``[angles | velocities of own joints | features of own points | root | hazard]``,
    scaled to a magnitude of 1 and bounded to ``±BOUND``.

    Attributes:
        kinds: agents with equal spaces.
    """

    def __init__(
        self, robot: Robot, hazard: Hazard, parts: Parts, agents: tuple[str, ...], sizes: tuple[int, int]
    ) -> None:
        self._robot, self._hazard = robot, hazard
        self._blame = own_points(robot, parts)
        positions, velocities = sizes
        # Columns of the table: positions, velocities, the robot's and the hazard's features, those of agents.
        shared = [*robot.feature_scales, *hazard.shared_scales]
        own = list(hazard.own_scales) if robot.num_points > 1 else []
        at_shared, at_own = positions + velocities, positions + velocities + len(shared)
        root = robot.root_columns(positions)
        tail = [*root, *((at_shared + k, scale) for k, scale in enumerate(shared))]
        rows = []
        for i, part in enumerate(parts):
            angles = [(robot.angle[joint], 1.0) for joint in part]
            speeds = [(positions + robot.speed[joint], JOINT_SPEED) for joint in part]
            points = [(at_own + i * len(own) + k, scale) for k, scale in enumerate(own)]
            rows.append([*angles, *speeds, *points, *tail])
        self.kinds = _kinds(agents, [len(row) for row in rows], [len(part) for part in parts])
        self._index = {
            kind.name: np.array([[column for column, _ in rows[i]] for i in kind.agents])
            for kind in self.kinds
        }
        self._scale = {
            kind.name: np.array([[scale for _, scale in rows[i]] for i in kind.agents], np.float32)
            for kind in self.kinds
        }

    def __call__(self, moment: Moment, points: Array) -> dict[str, Float]:
        """Kind → ``[N, A_kind, D]``."""
        columns = [moment.qpos, moment.qvel]
        shared = self._hazard.shared(self._robot, moment, points)
        for features in (self._robot.features(moment, points), shared):
            if features is not None:
                columns.append(features)
        own = self._hazard.own(self._robot, moment, points)
        if own is not None:
            columns.append(self._of_agents(own))
        table = np.concatenate(columns, 1, dtype=np.float32, casting="same_kind")
        return {name: self._gather(table, name) for name in self._index}

    def _gather(self, table: Float, kind: str) -> Float:
        values = table[:, self._index[kind]]
        values *= self._scale[kind]
        np.maximum(values, -BOUND, out=values)
        return np.minimum(values, BOUND, out=values)

    def _of_agents(self, own: Array) -> Array:
        """The least of every agent's points, ``[N, A * G]``."""
        least = np.where(self._blame[..., None], own[:, None], np.inf).min(2)
        return least.reshape(len(own), -1)


def _kinds(agents: tuple[str, ...], seen: list[int], moved: list[int]) -> tuple[Kind, ...]:
    """Agents grouped by the sizes of what they see and move."""
    return kinds_of(
        agents,
        {a: spaces.Box(-BOUND, BOUND, (size,), np.float32) for a, size in zip(agents, seen, strict=True)},
        {a: spaces.Box(-1.0, 1.0, (size,), np.float32) for a, size in zip(agents, moved, strict=True)},
    )
