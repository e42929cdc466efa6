"""The published environment, faults included: its partition, observation and cost. See the README."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco
from rllib_safemarl.envs.mujoco.corridor import DANGER, SLOPE
from rllib_safemarl.envs.mujoco.hazard import PALE, Hazard
from rllib_safemarl.envs.mujoco.obstacle import ClockObstacle, MovingObstacle, drive
from rllib_safemarl.envs.mujoco.partitions import Parts
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage
from rllib_safemarl.envs.vector import Float, Kind, kinds_of

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]
State = Callable[[Moment], Array]


@dataclass(frozen=True)
class Published:
    """How a published task was cut, endangered and seen.

    Attributes:
        parts: joints of every agent: the motors in the model's order, cut in order, whatever the label says.
        hazard: the published cost.
        state: the published state ``[N, D]`` of a moment.
    """

    parts: Parts
    hazard: Hazard
    state: State

    def observer(self, agents: tuple[str, ...]) -> PublishedObserver:
        """Every agent sees the whole state and its own number."""
        return PublishedObserver(self, agents)


class PublishedObserver:
    """The whole state and the agent's number as a one-hot, standardised within each sample.

    Attributes:
        kinds: agents with equal spaces.
    """

    def __init__(self, published: Published, agents: tuple[str, ...]) -> None:
        self._state, self._agents = published.state, agents
        self.kinds: tuple[Kind, ...] = ()
        self._parts = published.parts

    def measure(self, moment: Moment) -> None:
        """Find the size of the state, and with it the spaces."""
        size = self._state(moment).shape[1] + len(self._agents)
        seen = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.kinds = kinds_of(
            self._agents,
            dict.fromkeys(self._agents, seen),
            {
                agent: spaces.Box(-1.0, 1.0, (len(part),), np.float32)
                for agent, part in zip(self._agents, self._parts, strict=True)
            },
        )

    def __call__(self, moment: Moment, points: Array) -> dict[str, Float]:
        """Kind → ``[N, A_kind, D + A]``."""
        state = self._state(moment)
        agents = len(self._agents)
        both = np.empty((len(state), agents, state.shape[1] + agents))
        both[..., : state.shape[1]] = state[:, None]
        both[..., state.shape[1] :] = np.eye(agents)
        both -= both.mean(-1, keepdims=True)
        both /= both.std(-1, keepdims=True)
        return {kind.name: both[:, kind.agents].astype(np.float32) for kind in self.kinds}


def centre_line(x: Array) -> Array:
    """The published centre line: the last branch also takes x = 20 and x = 60 exactly."""
    inside = [x < 20.0, (x > 20.0) & (x < 60.0), (x > 60.0) & (x < 100.0)]
    return SLOPE * np.select(inside, [x, 40.0 - x, x - 80.0], 20.0)


class PublishedCorridor(Hazard):
    """A band of vertical distance around two lines, and walls that are light bodies, pushed aside.

    Args:
        half_width: of the cost, metres along y.
        walls: y of the walls, metres, or 0 for none that collide.
        folds: x of the walls' middles, metres.
        falls_cost: whether a fall costs 1, too.
    """

    cost_name = "corridor"
    ahead = 2.0

    def __init__(
        self, half_width: float, walls: float, folds: Sequence[float] = (), falls_cost: bool = True
    ) -> None:
        self.half_width = half_width
        self.walls = walls
        self.folds = folds
        self.falls_cost = falls_cost
        self.marked = [f"wall_{side}_{x:g}" for x in folds for side in ("upper", "lower")]

    def extend(self, spec: mujoco.MjSpec) -> None:
        """Pairs of boxes, each a free body."""
        mujoco = need_mujoco()
        for i, x in enumerate(self.folds):
            half_yaw = math.radians(30.0 if i % 2 == 0 else -30.0) / 2.0
            for side, y in (("upper", self.walls), ("lower", -self.walls)):
                turned = [math.cos(half_yaw), 0.0, 0.0, math.sin(half_yaw)]
                body = spec.worldbody.add_body(name=f"wall_{side}_{x:g}", pos=[float(x), y, 1.0], quat=turned)
                body.add_freejoint()
                body.add_geom(
                    name=f"wall_{side}_{x:g}",
                    type=mujoco.mjtGeom.mjGEOM_BOX,
                    size=[20.0, 0.01, 0.7],
                    density=1e-6,
                    conaffinity=1,
                    condim=3,
                    rgba=PALE,
                )

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Of the first point alone, to the nearer line along y; beyond a line it grows again."""
        x, y = passage.points[1][:, 0].T
        offset = y - centre_line(x)
        nearest = np.minimum(np.abs(offset - self.half_width), np.abs(offset + self.half_width)) - DANGER
        return np.repeat(nearest[:, None], robot.num_points, 1)


def _corridor_state(robot: Robot, hidden: tuple[int, int]) -> State:
    """Positions from the third and velocities, less what was thought to be the walls', x / 5 and offset."""

    def state(moment: Moment) -> Array:
        qpos, qvel = moment.qpos, moment.qvel
        x, y = robot.points(moment)[:, 0].T if robot.floating else qpos[:, :2].T
        place = np.stack([x / 5.0, y - centre_line(x)], -1)
        positions = qpos[:, 2 : max(0, qpos.shape[1] - hidden[0])]
        velocities = qvel[:, : max(0, qvel.shape[1] - hidden[1])]
        return np.concatenate([positions, velocities, place], 1)

    return state


def _cheetah_state(robot: Robot, hazard: MovingObstacle) -> State:
    """Positions without the first x and velocities, then the obstacle's speed, drive and distance / 10."""

    def state(moment: Moment) -> Array:
        names = [joint for joint in robot.angle if joint != "rootx"]
        ordered = sorted(names, key=lambda joint: robot.angle[joint])
        speeds = sorted(robot.speed.values())
        distance = (hazard.positions(moment) - moment.qpos[:, robot.angle["rootx"]]) / 10.0
        return np.column_stack(
            [
                moment.qpos[:, [robot.angle[joint] for joint in ordered]],
                moment.qvel[:, speeds],
                hazard.speeds(moment),
                drive(moment.time),
                np.clip(distance, -5.0, 5.0),
            ]
        )

    return state


def _hopper_state(robot: Robot, hazard: ClockObstacle) -> State:
    """Positions without x, velocities within ±10, and the obstacle's speed, acceleration and distance."""

    def state(moment: Moment) -> Array:
        distance = hazard.positions(moment) - moment.qpos[:, 0]
        return np.column_stack(
            [
                moment.qpos[:, 1:6],
                np.clip(moment.qvel[:, :6], -10.0, 10.0),
                1.0 + np.cos(moment.time),
                -np.sin(moment.time),
                distance,
            ]
        )

    return state


_WALLS = (42, 36)
"""Numbers of six walls' positions and velocities, taken off even where there are two walls."""


def replay(task: str, partition: str, robot: Robot) -> Published:
    """The published version of a task."""
    parts = _in_order(robot, partition)
    if task == "half_cheetah":
        ahead = MovingObstacle(9.0)
        return Published(parts, ahead, _cheetah_state(robot, ahead))
    if task == "coupled_half_cheetah":
        behind = MovingObstacle(5.0, start=-34.0, reach=30.0, lane_walls=7.3)
        return Published(parts, behind, _cheetah_state(robot, behind))
    if task == "hopper":
        clock = ClockObstacle(1.0)
        return Published(parts, clock, _hopper_state(robot, clock))
    if task == "many_agent_swimmer":
        return Published(parts, PublishedCorridor(2.3, 0.0, falls_cost=False), _corridor_state(robot, (0, 0)))
    half_width, walls, folds = {
        "ant": (5.0, 5.0, (0.0, 40.0, 80.0)),
        "many_agent_ant": (4.5, 4.5, (0.0,)),
        "humanoid": (2.3, 5.0, (0.0, 40.0, 80.0)),
    }[task]
    return Published(parts, PublishedCorridor(half_width, walls, folds), _corridor_state(robot, _WALLS))


def _in_order(robot: Robot, partition: str) -> Parts:
    """Motors in the order of the model, cut by the sizes of the label's parts."""
    sizes = [len(part) for part in robot.partitions[partition]]
    ends = [0, *accumulate(sizes)]
    return tuple(tuple(robot.motors[a:b]) for a, b in pairwise(ends))
