"""Humanoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rllib_safemarl.envs.mujoco.assets import gymnasium_model, need_mujoco
from rllib_safemarl.envs.mujoco.partitions import clique
from rllib_safemarl.envs.mujoco.robot import Array, Bool, Reward, Robot, equal_parts, free_root_columns
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

if TYPE_CHECKING:
    import mujoco

MASS_CENTRE = "mass_centre"
_ABDOMEN = ("abdomen_y", "abdomen_z", "abdomen_x")


def _leg(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in ("hip_x", "hip_z", "hip_y", "knee"))


def _arm(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in ("shoulder1", "shoulder2", "elbow"))


class Humanoid(Robot):
    """A trunk with legs and arms, 17 joints; speed is that of the centre of mass."""

    asset = "humanoid.xml"
    frame_skip = 5
    root = ("root",)
    floating = True
    reward = Reward(
        forward=1.25, control=0.1, alive=5.0, contact=5e-7, contact_clip=np.inf, contact_most=10.0
    )
    noise = 0.01
    velocity_noise = 0.01
    normal_noise = False
    senses_start = True

    def __init__(self) -> None:
        legs, arms = [_leg("right"), _leg("left")], [_arm("right"), _arm("left")]
        upper, lower = (*_ABDOMEN, *arms[0], *arms[1]), (*legs[0], *legs[1])
        self.joints = (*_ABDOMEN, *legs[0], *legs[1], *arms[0], *arms[1])
        self.edges = [
            *clique(_ABDOMEN),
            *(pair for limb in (*legs, *arms) for pair in clique(limb)),
            # Hips hang at the pelvis, shoulders at the chest: each at one end of the abdomen.
            *((hip, joint) for leg in legs for hip in leg[:3] for joint in _ABDOMEN),
            *((shoulder, joint) for arm in arms for shoulder in arm[:2] for joint in _ABDOMEN),
            *((a, b) for a in legs[0][:3] for b in legs[1][:3]),
            *((a, b) for a in arms[0][:2] for b in arms[1][:2]),
        ]
        self.partitions = {"9|8": (upper, lower), **equal_parts(self.joints, 17)}

    def spec(self) -> mujoco.MjSpec:
        """With a sensor of the centre of mass."""
        mujoco = need_mujoco()
        spec = gymnasium_model(self.asset)
        spec.add_sensor(
            name=MASS_CENTRE,
            type=mujoco.mjtSensor.mjSENS_SUBTREECOM,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname="torso",
        )
        return spec

    def bind(self, model: mujoco.MjModel) -> None:
        """See the base."""
        super().bind(model)
        self._at = self.angle["root"]
        self._centre = int(model.sensor(MASS_CENTRE).adr[0])

    def points(self, moment: Moment) -> Array:
        """The torso."""
        return moment.qpos[:, None, self._at : self._at + 2]

    def healthy(self, moment: Moment) -> Bool:
        """Torso 1 to 2 m high."""
        height = moment.qpos[:, self._at + 2]
        return (height >= 1.0) & (height <= 2.0)

    def forward_speed(self, passage: Passage) -> Array:
        """Of the centre of mass."""
        return self._centre_velocity(passage)[:, 0]

    def planar_speed(self, passage: Passage) -> Array:
        """Of the centre of mass over the ground."""
        return np.linalg.norm(self._centre_velocity(passage), axis=1)

    def _centre_velocity(self, passage: Passage) -> Array:
        """``[N, 2]``; sensors see the start of the last physics step, so the first interval is shorter."""
        earlier, later = (sensors[:, self._centre : self._centre + 2] for sensors in passage.sensed)
        return (later - earlier) / passage.seconds

    def root_columns(self, num_positions: int) -> list[tuple[int, float]]:
        """Height, orientation and velocities."""
        return free_root_columns(self._at, num_positions + self.speed["root"])
