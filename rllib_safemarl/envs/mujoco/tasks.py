"""The tasks: a robot, a hazard, and the partitions among which it is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rllib_safemarl.envs.mujoco.corridor import DANGER, Corridor
from rllib_safemarl.envs.mujoco.hazard import Hazard, SpeedLimit
from rllib_safemarl.envs.mujoco.humanoid import Humanoid
from rllib_safemarl.envs.mujoco.obstacle import ClockObstacle, MovingObstacle
from rllib_safemarl.envs.mujoco.partitions import read_segments
from rllib_safemarl.envs.mujoco.planar import CoupledHalfCheetah, HalfCheetah, Hopper, Walker
from rllib_safemarl.envs.mujoco.quadrupeds import Ant, ManyAgentAnt, VelocityAnt
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.swimmer import ManyAgentSwimmer, Swimmer


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        robot: from a partition's label to the robot; its length may depend on the label.
        hazard: from the partition's label and a threshold to the danger.
        thresholds: partition → where danger begins: metres, or metres per second; ``""`` for all.
        partition: the default.
        unit: of the threshold.
        any_partition: whether every partition ``AGENTSxPARTS`` makes a robot.
        legacy: whether there is a published environment to replay.
    """

    robot: Callable[[str], Robot]
    hazard: Callable[[float], Hazard]
    thresholds: Mapping[str, float]
    partition: str
    unit: str = "m"
    any_partition: bool = False
    legacy: bool = True

    @property
    def partitions(self) -> tuple[str, ...]:
        """Labels of the partitions; some of the possible ones where any makes a robot."""
        if self.any_partition:
            return ("2x3", "3x2", "6x1")
        named = tuple(self.thresholds)
        return tuple(self.robot("").partitions) if named == ("",) else named

    def threshold(self, partition: str) -> float:
        """Where danger begins in a partition."""
        return self.thresholds.get(partition, self.thresholds.get("", 0.0))


def _velocity(robot: type[Robot], signed: bool = False, **thresholds: float) -> Task:
    """A velocity task; keys are partitions after an underscore, ``9|8`` written ``_9_8``."""
    named = {key[1:].replace("_", "|"): value for key, value in thresholds.items()}

    def hazard(limit: float) -> Hazard:
        return SpeedLimit(limit, signed)

    return Task(lambda _: robot(), hazard, named, next(iter(named)), "m/s", legacy=False)


TASKS: dict[str, Task] = {
    "ant": Task(lambda _: Ant(), lambda danger: Corridor(5.0, danger), {"": DANGER}, "4x2"),
    "many_agent_ant": Task(
        lambda label: ManyAgentAnt(read_segments("many_agent_ant", label, 1)),
        lambda danger: Corridor(4.5, danger),
        {"": DANGER},
        "6x1",
        any_partition=True,
    ),
    "half_cheetah": Task(lambda _: HalfCheetah(), MovingObstacle, {"": 9.0}, "2x3"),
    "coupled_half_cheetah": Task(
        lambda _: CoupledHalfCheetah(),
        lambda danger: MovingObstacle(danger, lane_walls=7.3),
        {"": 5.0},
        "6x2",
    ),
    "many_agent_swimmer": Task(
        lambda label: ManyAgentSwimmer(read_segments("many_agent_swimmer", label, 2)),
        lambda danger: Corridor(4.3, danger, falls_cost=False),
        {"": DANGER},
        "6x1",
        any_partition=True,
    ),
    "hopper": Task(lambda _: Hopper(), ClockObstacle, {"": 1.0}, "3x1"),
    "humanoid": Task(lambda _: Humanoid(), lambda danger: Corridor(5.0, danger), {"": DANGER}, "9|8"),
    "ant_velocity": _velocity(VelocityAnt, _2x4=2.522, _4x2=2.418),
    "half_cheetah_velocity": _velocity(HalfCheetah, _6x1=2.932, _2x3=3.227),
    "hopper_velocity": _velocity(Hopper, _3x1=0.9613),
    "humanoid_velocity": _velocity(Humanoid, _9_8=0.58),
    "swimmer_velocity": _velocity(Swimmer, signed=True, _2x1=0.04891),
    "walker2d_velocity": _velocity(Walker, _2x3=1.641),
}
"""Task name → task."""
