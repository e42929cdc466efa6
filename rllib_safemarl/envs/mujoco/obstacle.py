"""Obstacles that move ahead: HalfCheetah's, which a motor drives, and Hopper's, which follows a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco
from rllib_safemarl.envs.mujoco.hazard import PALE, Hazard
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

NAME = "obstacle"
FURTHEST = 10_000.0
LANE_WALLS = 4.0
"""Walls beside a cheetah's lane, metres; only to be seen."""


def drive(time: Array) -> Array:
    """Control of the obstacle's motor at a time in seconds."""
    return 0.02 * np.sin(time / 3.0) ** 2 - 0.004


class MovingObstacle(Hazard):
    """Too near to a driven obstacle, on either side of it.

    Args:
        danger: nearer along x costs, metres.
        start: x at the start, metres.
        reach: the obstacle moves so far to either side of its start, metres.
        lane_walls: y of the walls beside the lane, metres.
    """

    cost_name = "obstacle"
    ahead = 4.5
    # Distance along x, the obstacle's speed, and the phase of its drive.
    shared_scales = (0.1, 0.1, 1.0, 1.0)

    def __init__(
        self, danger: float, start: float = 10.0, reach: float = FURTHEST, lane_walls: float = LANE_WALLS
    ) -> None:
        self.danger = danger
        self.start = start
        self.reach = reach
        self.lane_walls = lane_walls
        self.own_scales = (0.1,)
        self.marked = (NAME,)

    def extend(self, spec: mujoco.MjSpec) -> None:
        """A box on a slide along x that collides, its motor, and walls to look at."""
        mujoco = need_mujoco()
        body = spec.worldbody.add_body(name=NAME, pos=[self.start, 0.0, 1.4])
        body.add_joint(
            name=NAME,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[1.0, 0.0, 0.0],
            armature=0.1,
            damping=[0.2, 0.0, 0.0],
            stiffness=[0.0, 0.0, 0.0],
            range=[-self.reach, self.reach],
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
        )
        body.add_geom(
            name=NAME,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.1, 2.3, 1.3],
            density=1e-4,
            conaffinity=1,
            condim=3,
            rgba=PALE,
        )
        motor = spec.add_actuator(
            name=NAME,
            target=NAME,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            ctrlrange=[-1.0, 1.0],
        )
        motor.gear[0] = 120.0
        for side in (-1.0, 1.0):
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[500.0, 0.1, 0.15],
                pos=[450.0, side * self.lane_walls, 0.15],
                contype=0,
                conaffinity=0,
                rgba=PALE,
            )

    def bind(self, model: mujoco.MjModel) -> None:
        """See the base."""
        self._place = int(model.joint(NAME).qposadr[0])
        self._speed = int(model.joint(NAME).dofadr[0])

    def control(self, time: Array) -> Array:
        """The drive at the start of the step."""
        return drive(time)

    def positions(self, moment: Moment) -> Array:
        """``[N]`` x of the obstacle, metres."""
        return self.start + moment.qpos[:, self._place]

    def speeds(self, moment: Moment) -> Array:
        """``[N]`` metres per second."""
        return moment.qvel[:, self._speed]

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Metres along x from every point to danger."""
        distance = self.positions(passage.after)[:, None] - passage.points[1][..., 0]
        return np.abs(distance) - self.danger

    def shared(self, robot: Robot, moment: Moment, points: Array) -> Array:
        """Distance of the first point, bounded to 50 m, and what foretells the obstacle's motion."""
        distance = np.minimum(np.maximum(self.positions(moment) - points[:, 0, 0], -50.0), 50.0)
        phase = moment.time / 1.5  # sin²(t / 3) repeats with 2 t / 3.
        features = np.empty((len(phase), 4))
        features[:, 0], features[:, 1] = distance, self.speeds(moment)
        np.cos(phase, out=features[:, 2])
        np.sin(phase, out=features[:, 3])
        return features

    def own(self, robot: Robot, moment: Moment, points: Array) -> Array | None:
        """Distance of every point; with one point, all see it anyway."""
        if robot.num_points == 1:
            return None
        return np.clip(self.positions(moment)[:, None] - points[..., 0], -50.0, 50.0)[..., None]


class ClockObstacle(Hazard):
    """Too near to an obstacle at x = 3 + t + sin t, which nothing can hold up; nobody collides with it.

    Args:
        danger: nearer along x costs, metres.
    """

    cost_name = "obstacle"
    ahead = 1.5
    shared_scales = (0.2, 1.0, 1.0)

    def __init__(self, danger: float) -> None:
        self.danger = danger
        self.marked = (NAME,)

    def extend(self, spec: mujoco.MjSpec) -> None:
        """A box to look at; pictures move it."""
        mujoco = need_mujoco()
        body = spec.worldbody.add_body(name=NAME, pos=[3.0, 0.0, 0.5], mocap=True)
        body.add_geom(
            name=NAME,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.1, 0.5, 0.5],
            contype=0,
            conaffinity=0,
            rgba=PALE,
        )

    @staticmethod
    def positions(moment: Moment) -> Array:
        """``[N]`` x of the obstacle, metres."""
        return 3.0 + moment.time + np.sin(moment.time)

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Metres along x to danger."""
        return np.abs(self.positions(passage.after)[:, None] - passage.points[1][..., 0]) - self.danger

    def shared(self, robot: Robot, moment: Moment, points: Array) -> Array:
        """Distance, bounded to 25 m, speed, acceleration."""
        distance = np.clip(self.positions(moment) - points[:, 0, 0], -25.0, 25.0)
        return np.stack([distance, 1.0 + np.cos(moment.time), -np.sin(moment.time)], -1)
