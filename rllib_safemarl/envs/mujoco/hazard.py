"""What costs: walls, an obstacle, speed."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

PALE = (0.86, 0.68, 0.62, 1.0)
"""Colour of what must not be touched; it turns red in danger."""


class Hazard(abc.ABC):
    """One kind of danger.

    Attributes:
        cost_name: name of its cost.
        falls_cost: whether a fall costs 1, too.
        shared_scales: factor on each feature that all agents see.
        own_scales: factor on each feature of single points, seen by the agents they belong to.
        marked: names of geoms that turn red in danger.
        ahead: pictures look so far ahead of the robot, metres.
    """

    cost_name: ClassVar[str]
    falls_cost: bool = False
    shared_scales: Sequence[float] = ()
    own_scales: Sequence[float] = ()
    marked: Sequence[str] = ()
    ahead: ClassVar[float] = 0.0

    def extend(self, spec: mujoco.MjSpec) -> None:  # noqa: B027 - speed has no place
        """Put it into the robot's world."""

    def bind(self, model: mujoco.MjModel) -> None:  # noqa: B027 - what stands still needs none
        """Look up where it is in states."""

    def control(self, time: Array) -> Array | None:
        """``[N]`` of its own actuator, the model's last, or ``None`` without one."""
        return None

    @abc.abstractmethod
    def margins(self, robot: Robot, passage: Passage) -> Array:
        """``[N, S]`` signed distance of every point to danger, negative in it; speed tasks: of speed."""

    def shared(self, robot: Robot, moment: Moment, points: Array) -> Array | None:
        """``[N, F]`` features that all agents see."""
        return None

    def own(self, robot: Robot, moment: Moment, points: Array) -> Array | None:
        """``[N, S, G]`` features of points, the smallest of an agent's points is seen by it."""
        return None


class SpeedLimit(Hazard):
    """Too fast.

    Args:
        limit: metres per second.
        signed: whether only speed forward along x counts.
    """

    cost_name = "speed"

    def __init__(self, limit: float, signed: bool = False) -> None:
        self.limit = limit
        self.signed = signed

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Metres per second below the limit, of the mean speed over the step."""
        measure = robot.forward_speed if self.signed else robot.planar_speed
        return np.repeat(self.limit - measure(passage)[:, None], robot.num_points, 1)
