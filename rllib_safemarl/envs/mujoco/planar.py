"""Robots in a vertical plane: HalfCheetah, two coupled ones, Hopper, Walker2d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rllib_safemarl.envs.mujoco.assets import gymnasium_model, need_mujoco
from rllib_safemarl.envs.mujoco.partitions import path
from rllib_safemarl.envs.mujoco.robot import Array, Bool, Reward, Robot, equal_parts
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

if TYPE_CHECKING:
    import mujoco

CHEETAH = ("bfoot", "bshin", "bthigh", "fthigh", "fshin", "ffoot")
"""Joints from the hind foot over the trunk to the fore foot, a path."""
SECOND = "second_"
"""Prefix of everything of the second cheetah."""
CHEETAH_MASS = 14.0
LANE = 1.0
"""Coupled cheetahs run so far to either side of the middle, metres."""


def _from_trunk(joints: Sequence[str]) -> list[str]:
    """Of every cheetah, the hind leg's joints turned round."""
    six = [joints[i : i + 6] for i in range(0, len(joints), 6)]
    return [joint for one in six for joint in (*one[2::-1], *one[3:])]


class _Planar(Robot):
    """A root of two slides and a hinge; the first slide is x."""

    root: ClassVar[tuple[str, ...]] = ("rootx", "rootz", "rooty")

    def points(self, moment: Moment) -> Array:
        """The trunk, in the middle of the lane."""
        points = np.zeros((len(moment.time), 1, 2))
        points[:, 0, 0] = moment.qpos[:, self.angle[self.root[0]]]
        return points


class HalfCheetah(_Planar):
    """A trunk on two legs of three joints each."""

    asset = "half_cheetah.xml"
    frame_skip = 5
    reward = Reward(control=0.1)

    def __init__(self) -> None:
        self.joints = CHEETAH
        self.edges = path(CHEETAH)
        self.partitions = equal_parts(CHEETAH, 2, 3, 6)

    @property
    def motors(self) -> Sequence[str]:
        """Each leg's from the trunk down."""
        return _from_trunk(self.joints)

    def spec(self) -> mujoco.MjSpec:
        """Its mass is set after compilation: as a compiler setting it is on its way out of MuJoCo."""
        spec = gymnasium_model(self.asset)
        spec.compiler.settotalmass = -1.0
        return spec

    def finish(self, model: mujoco.MjModel) -> None:
        """Scale to 14 kg, as the asset asks."""
        mujoco = need_mujoco()
        mujoco.mj_setTotalmass(model, CHEETAH_MASS)
        mujoco.mj_setConst(model, mujoco.MjData(model))


class CoupledHalfCheetah(HalfCheetah):
    """Two cheetahs side by side, a rope between their trunks; 14 kg together, as published."""

    reward = Reward(control=0.05)
    root = ("rootx", "rootz", "rooty", SECOND + "rootx", SECOND + "rootz", SECOND + "rooty")

    def __init__(self) -> None:
        second = [SECOND + joint for joint in CHEETAH]
        self.joints = [*CHEETAH, *second]
        self.edges = [*path(CHEETAH), *path(second), ("bthigh", SECOND + "bthigh")]
        self.partitions = equal_parts(self.joints, 2, 6, 12)
        self.partitions["1p1"] = self.partitions.pop("2x6")
        self.partitions["2x6"] = self.partitions["1p1"]

    def spec(self) -> mujoco.MjSpec:
        """The second cheetah is the first one again, attached beside it."""
        mujoco = need_mujoco()
        spec, other = super().spec(), super().spec()
        spec.body("torso").pos = [0.0, -LANE, 0.7]
        spec.worldbody.add_frame(pos=[0.0, LANE, 0.0]).attach_body(other.body("torso"), SECOND, "")
        for name in ("torso", SECOND + "torso"):
            spec.body(name).add_site(name=f"{name}_rope", size=[0.05, 0.05, 0.05])
        rope = spec.add_tendon(
            name="rope",
            width=0.03,
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
            range=[1.5, 3.5],
            stiffness=0.1,
            rgba=[0.9, 0.3, 0.3, 1.0],
        )
        for name in ("torso", SECOND + "torso"):
            rope.wrap_site(f"{name}_rope")
        return spec

    @property
    def num_points(self) -> int:
        """One per cheetah."""
        return 2

    def point_of(self, joint: str) -> int:
        """Its cheetah."""
        return int(joint.startswith(SECOND))

    def points(self, moment: Moment) -> Array:
        """The trunks."""
        points = np.empty((len(moment.time), 2, 2))
        points[:, 0, 0] = moment.qpos[:, self.angle["rootx"]]
        points[:, 1, 0] = moment.qpos[:, self.angle[SECOND + "rootx"]]
        points[:, :, 1] = (-LANE, LANE)
        return points

    def forward_speed(self, passage: Passage) -> Array:
        """Mean of both."""
        before, after = passage.points
        return (after[..., 0] - before[..., 0]).mean(1) / passage.seconds

    # How far the second is ahead, and the length of the rope, metres.
    feature_scales = (1.0, 0.5)

    def features(self, moment: Moment, points: Array) -> Array:
        """The rope."""
        ahead = points[:, 1, 0] - points[:, 0, 0]
        above = moment.qpos[:, self.angle[SECOND + "rootz"]] - moment.qpos[:, self.angle["rootz"]]
        return np.stack([ahead, np.sqrt(ahead**2 + above**2 + 4.0 * LANE**2)], -1)

    def root_columns(self, num_positions: int) -> list[tuple[int, float]]:
        """Both roots without their x: what lies between them along x is a feature of the rope."""
        places = [self.angle[name] for name in self.root if not name.endswith("rootx")]
        speeds = [num_positions + self.speed[name] for name in self.root]
        return [(column, 1.0) for column in places] + [(column, 0.2) for column in speeds]


class Hopper(_Planar):
    """A trunk on one leg of three joints."""

    asset = "hopper.xml"
    frame_skip = 4
    reward = Reward(control=1e-3, alive=1.0)
    noise = 0.005
    velocity_noise = 0.005
    normal_noise = False

    def __init__(self) -> None:
        self.joints = ("thigh_joint", "leg_joint", "foot_joint")
        self.edges = path(self.joints)
        self.partitions = equal_parts(self.joints, 3)

    def healthy(self, moment: Moment) -> Bool:
        """High, upright, and within bounds."""
        height, lean = (moment.qpos[:, self.angle[name]] for name in self.root[1:])
        positions = np.delete(moment.qpos[:, : self._states[0]], self.angle["rootx"], axis=1)
        bounded = (np.abs(positions) < 100.0).all(1)
        bounded &= (np.abs(moment.qvel[:, : self._states[1]]) < 100.0).all(1)
        return bounded & (height > 0.7) & (np.abs(lean) < 0.2)

    def bind(self, model: mujoco.MjModel) -> None:
        """See the base."""
        super().bind(model)
        self._states = (len(self.angle), len(self.speed))


class Walker(_Planar):
    """A trunk on two legs of three joints each."""

    asset = "walker2d_v5.xml"
    frame_skip = 4
    reward = Reward(control=1e-3, alive=1.0)
    noise = 0.005
    velocity_noise = 0.005
    normal_noise = False

    def __init__(self) -> None:
        right = ("foot_joint", "leg_joint", "thigh_joint")
        left = ("thigh_left_joint", "leg_left_joint", "foot_left_joint")
        self.joints = (*right, *left)
        self.edges = path(self.joints)
        self.partitions = equal_parts(self.joints, 2, 3, 6)

    def healthy(self, moment: Moment) -> Bool:
        """Trunk 0.8 to 2 m high, and within a radian of upright."""
        height, lean = (moment.qpos[:, self.angle[name]] for name in self.root[1:])
        return (height > 0.8) & (height < 2.0) & (np.abs(lean) < 1.0)
