"""What all robots share: a model, joints dealt to agents, a reward, a fall, a start."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import gymnasium_model
from rllib_safemarl.envs.mujoco.partitions import Parts, cut
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage
from rllib_safemarl.errors import SafeMARLError, nearest_name

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Reward:
    """Weights of a team's reward per step, the same for every agent.

    Attributes:
        forward: per metre per second along x.
        control: per squared control, summed over actuators.
        alive: for not having fallen, every step.
        contact: per squared contact force and torque, clipped each to ``±contact_clip``, summed over bodies.
        contact_clip: newtons, newton metres.
        contact_most: the contact term never exceeds it.
    """

    forward: float = 1.0
    control: float = 0.0
    alive: float = 0.0
    contact: float = 0.0
    contact_clip: float = 1.0
    contact_most: float = np.inf


class Robot(abc.ABC):
    """One body, or several coupled ones.

    Attributes:
        asset: Gymnasium's model it is made from.
        frame_skip: physics steps per control step.
        root: joints that carry the body through the world; the rest are moved by agents.
        reward: weights.
        noise: half the range of the uniform noise on positions at a start.
        velocity_noise: of velocities at a start: deviation of a normal one, or half the range.
        normal_noise: whether the noise on velocities is normal.
        partitions: label → joints of every agent.
        edges: pairs of joints that a rigid part or a tendon joins.
        floating: whether the root is a free joint.
    """

    asset: ClassVar[str]
    frame_skip: ClassVar[int]
    root: ClassVar[tuple[str, ...]]
    reward: ClassVar[Reward]
    noise: ClassVar[float] = 0.1
    velocity_noise: ClassVar[float] = 0.1
    normal_noise: ClassVar[bool] = True
    floating: ClassVar[bool] = False
    senses_start: ClassVar[bool] = False
    """Whether the first step needs what sensors say before it."""

    joints: Sequence[str]
    partitions: dict[str, Parts]
    edges: Sequence[tuple[str, str]]

    @property
    def motors(self) -> Sequence[str]:
        """Joints in the order of the model's motors."""
        return self.joints

    def spec(self) -> mujoco.MjSpec:
        """The robot alone on the ground."""
        return gymnasium_model(self.asset)

    def finish(self, model: mujoco.MjModel) -> None:  # noqa: B027 - most need nothing
        """What only the compiled model allows."""

    def bind(self, model: mujoco.MjModel) -> None:
        """Look up where joints are in states."""
        self.angle = {name: int(model.joint(name).qposadr[0]) for name in (*self.root, *self.joints)}
        self.speed = {name: int(model.joint(name).dofadr[0]) for name in (*self.root, *self.joints)}

    def parts(self, task: str, partition: str) -> Parts:
        """Joints of every agent.

        Raises:
            SafeMARLError: there is no such partition.
        """
        if partition not in self.partitions:
            raise SafeMARLError(
                f"safemarl/mujoco: {task} has no partition {partition!r}."
                f"{nearest_name(partition, self.partitions)} It has: {', '.join(self.partitions)}."
            )
        return self.partitions[partition]

    # Where it is, and whether it stands.

    @property
    def num_points(self) -> int:
        """S, points whose distance to danger counts."""
        return 1

    def point_of(self, joint: str) -> int:
        """The point of the body part that a joint moves."""
        return 0

    @abc.abstractmethod
    def points(self, moment: Moment) -> Array:
        """``[N, S, 2]`` places of the points in the plane, metres."""

    def forward_speed(self, passage: Passage) -> Array:
        """``[N]`` mean speed along x over a step, metres per second."""
        before, after = passage.points
        return (after[:, 0, 0] - before[:, 0, 0]) / passage.seconds

    def planar_speed(self, passage: Passage) -> Array:
        """``[N]`` mean speed over a step, metres per second."""
        return np.abs(self.forward_speed(passage))

    def healthy(self, moment: Moment) -> Bool | None:
        """``[N]`` whether it still stands; ``None`` if it cannot fall."""
        return None

    # What every agent sees of the root, beside its own joints.

    feature_scales: ClassVar[tuple[float, ...]] = ()
    """Factor on each of the robot's own features."""

    def features(self, moment: Moment, points: Array) -> Array | None:
        """``[N, F]`` further features that all agents see."""
        return None

    def root_columns(self, num_positions: int) -> list[tuple[int, float]]:
        """Columns of ``[qpos | qvel]`` with their scales, of the root's place and velocity, without x."""
        places = [self.angle[name] for name in self.root[1:]]
        speeds = [num_positions + self.speed[name] for name in self.root]
        return [(column, 1.0) for column in places] + [(column, 0.2) for column in speeds]


def equal_parts(joints: Sequence[str], *counts: int) -> dict[str, Parts]:
    """Partitions into equal runs of neighbouring joints, labelled ``AGENTSxJOINTS``."""
    return {f"{agents}x{len(joints) // agents}": cut(joints, agents) for agents in counts}


def free_root_columns(place: int, speed: int) -> list[tuple[int, float]]:
    """Height, quaternion, linear and angular velocity of a free joint."""
    scales = (0.5, 0.5, 0.5, 0.2, 0.2, 0.2)
    return [(place + i, 1.0) for i in range(2, 7)] + [(speed + i, scale) for i, scale in enumerate(scales)]


def ground_tilt(quaternion: Array) -> Array:
    """``[N]`` z component of the body's own z axis: 1 upright, -1 upside down."""
    return 1.0 - 2.0 * (quaternion[:, 1] ** 2 + quaternion[:, 2] ** 2)


def own_x_axis(quaternion: Array) -> Array:
    """``[N, 2]`` direction of the body's own x axis, seen from above."""
    w, x, y, z = quaternion.T
    return np.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)], -1)
