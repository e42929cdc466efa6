"""Where episodes begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.random import hashed_uniform

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]


class Starts:
    """Draws starts around the model's own pose; walls that are bodies stay where they are.

    Args:
        model: the compiled model.
        robot: whose noise it is.
    """

    def __init__(self, model: mujoco.MjModel, robot: Robot) -> None:
        self._robot = robot
        self._qpos = np.array(model.qpos0)
        self._velocities = int(model.nv)
        # Of bodies in the world besides the robot, only those that slide are disturbed.
        free = [int(model.jnt_qposadr[j]) for j in range(model.njnt) if model.jnt_type[j] == 0]
        dofs = [int(model.jnt_dofadr[j]) for j in range(model.njnt) if model.jnt_type[j] == 0]
        own = 1 if robot.floating else 0
        self._still = [at + i for at in free[own:] for i in range(7)]
        self._still_speeds = [at + i for at in dofs[own:] for i in range(6)]
        self._quaternion = slice(free[0] + 3, free[0] + 7) if robot.floating else None

    def __call__(
        self, seed: int, copies: NDArray[np.intp], episodes: NDArray[np.integer]
    ) -> tuple[Array, Array]:
        """Positions ``[M, nq]`` and velocities ``[M, nv]`` from (seed, copy, episode)."""
        robot, count = self._robot, len(self._qpos)
        drawn = hashed_uniform(seed, copies, episodes, count + 2 * self._velocities)
        qpos = self._qpos + robot.noise * (2.0 * drawn[:, :count] - 1.0)
        first, second = np.split(drawn[:, count:], 2, 1)
        if robot.normal_noise:
            # Box and Muller; 1 - u is never 0.
            spread = np.sqrt(-2.0 * np.log(1.0 - first)) * np.cos(2.0 * np.pi * second)
        else:
            spread = 2.0 * first - 1.0
        qvel = robot.velocity_noise * spread
        qpos[:, self._still] = self._qpos[self._still]
        qvel[:, self._still_speeds] = 0.0
        if self._quaternion is not None:
            qpos[:, self._quaternion] /= np.linalg.norm(qpos[:, self._quaternion], axis=1, keepdims=True)
        return qpos, qvel
