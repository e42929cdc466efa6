"""Swimmers of two rotors and more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rllib_safemarl.envs.mujoco.assets import gymnasium_model, need_mujoco
from rllib_safemarl.envs.mujoco.partitions import cut, path
from rllib_safemarl.envs.mujoco.robot import Array, Reward, Robot
from rllib_safemarl.envs.mujoco.simulator import Moment

if TYPE_CHECKING:
    import mujoco

BOW = 1.5
"""The bow's tip lies so far before the root, metres; rotors follow 0.5 m before it and every metre behind."""


class Swimmer(Robot):
    """Gymnasium's swimmer: three links, two rotors."""

    asset = "swimmer.xml"
    frame_skip = 4
    root = ("slider1", "slider2", "free_body_rot")
    reward = Reward(control=1e-4)
    normal_noise = False

    def __init__(self, rotors: int = 2) -> None:
        self.rotors = rotors
        self.joints = [f"motor{i + 1}_rot" for i in range(rotors)]
        self.edges = path(self.joints)
        self.partitions = {
            f"{agents}x{rotors // agents}": cut(self.joints, agents)
            for agents in range(1, rotors + 1)
            if rotors % agents == 0
        }

    def points(self, moment: Moment) -> Array:
        """The root."""
        return moment.qpos[:, None, [self.angle["slider1"], self.angle["slider2"]]]

    def root_columns(self, num_positions: int) -> list[tuple[int, float]]:
        """Heading and velocities; y is a matter of the corridor."""
        speeds = [num_positions + self.speed[name] for name in self.root]
        return [(self.angle["free_body_rot"], 1.0)] + [(column, 0.5) for column in speeds]


class ManyAgentSwimmer(Swimmer):
    """As many rotors as there are parts.

    Args:
        rotors: how many, 2 at least.
    """

    frame_skip = 4

    def spec(self) -> mujoco.MjSpec:
        """Gymnasium's swimmer with further links behind, at the published time step."""
        mujoco = need_mujoco()
        spec = gymnasium_model(self.asset)
        spec.option.timestep = 0.005
        link = spec.body("back")
        for joint in self.joints[2:]:
            link = link.add_body(name=f"link_{joint}", pos=[-1.0, 0.0, 0.0])
            link.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[0.0, 0.0, 0.0, -1.0, 0.0, 0.0],
                size=[0.1, 0.0, 0.0],
                density=1000.0,
            )
            link.add_joint(
                name=joint,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=[0.0, 0.0, 1.0],
                range=[-100.0, 100.0],
                limited=mujoco.mjtLimited.mjLIMITED_TRUE,
            )
            motor = spec.add_actuator(
                name=joint,
                target=joint,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                ctrlrange=[-1.0, 1.0],
            )
            motor.gear[0] = 150.0
        return spec

    @property
    def num_points(self) -> int:
        """One per rotor."""
        return self.rotors

    def point_of(self, joint: str) -> int:
        """The rotor itself."""
        return self.joints.index(joint)

    def points(self, moment: Moment) -> Array:
        """The rotors, from the bow on."""
        root = super().points(moment)[:, 0]
        turned = moment.qpos[:, [self.angle["free_body_rot"]]]
        bends = moment.qpos[:, [self.angle[joint] for joint in self.joints[:-1]]]
        heading = turned + np.concatenate([np.zeros_like(turned), np.cumsum(bends, 1)], 1)
        # From the root half a metre ahead to the first rotor, then a metre back along each link.
        lengths = np.full(self.rotors, -1.0)
        lengths[0] = 0.5
        links = lengths[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
        return root[:, None] + np.cumsum(links, 1)
