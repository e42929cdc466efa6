"""Ant, and ManyAgent Ant: segments in a row with two legs each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rllib_safemarl.envs.mujoco.assets import gymnasium_model, need_mujoco
from rllib_safemarl.envs.mujoco.partitions import clique, cut
from rllib_safemarl.envs.mujoco.robot import (
    Array,
    Bool,
    Reward,
    Robot,
    equal_parts,
    free_root_columns,
    ground_tilt,
    own_x_axis,
)
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

if TYPE_CHECKING:
    import mujoco


class Ant(Robot):
    """A torso on four legs of two joints each."""

    asset = "ant.xml"
    frame_skip = 5
    root = ("root",)
    floating = True
    reward = Reward(control=0.5, alive=1.0, contact=5e-4)
    torso = "torso"
    overturning = True
    """Whether lying on its back counts as a fall; Gymnasium's own task does not ask."""

    def __init__(self) -> None:
        legs = [(f"hip_{i}", f"ankle_{i}") for i in (1, 2, 3, 4)]
        first, second, third, fourth = legs
        self.joints = [joint for leg in legs for joint in leg]
        self.edges = [*legs, *clique([hip for hip, _ in legs])]
        self.partitions = {
            "2x4": (first + second, third + fourth),
            "2x4d": (first + third, second + fourth),
            **equal_parts(self.joints, 4, 8),
        }

    @property
    def motors(self) -> Sequence[str]:
        """The fourth leg's come first."""
        return [*self.joints[6:], *self.joints[:6]]

    def bind(self, model: mujoco.MjModel) -> None:
        """See the base."""
        super().bind(model)
        self._at = self.angle["root"]

    def points(self, moment: Moment) -> Array:
        """The torso."""
        return moment.qpos[:, None, self._at : self._at + 2]

    def healthy(self, moment: Moment) -> Bool:
        """Torso 0.2 to 1 m high, and not overturned."""
        height = moment.qpos[:, self._at + 2]
        stands = (height >= 0.2) & (height <= 1.0)
        if not self.overturning:
            return stands
        return stands & (ground_tilt(moment.qpos[:, self._at + 3 : self._at + 7]) >= -0.7)

    def planar_speed(self, passage: Passage) -> Array:
        """Over the ground, in any direction."""
        before, after = passage.points
        travelled = (after - before)[:, 0]
        return np.hypot(travelled[:, 0], travelled[:, 1]) / passage.seconds

    def root_columns(self, num_positions: int) -> list[tuple[int, float]]:
        """Height, orientation and velocities."""
        return free_root_columns(self._at, num_positions + self.speed["root"])


class VelocityAnt(Ant):
    """Gymnasium's own task, which goes on when the ant lies on its back."""

    overturning = False


class ManyAgentAnt(Ant):
    """Segments 1 m apart on one stiff spine, each with a pair of legs.

    Args:
        segments: how many.
    """

    frame_skip = 4
    torso = "torso_0"

    def __init__(self, segments: int) -> None:
        self.segments = segments
        names = ("hip1", "ankle1", "hip2", "ankle2")
        pairs = [[f"{name}_{i}" for name in names] for i in range(segments)]
        self.joints = [joint for pair in pairs for joint in pair]
        self.edges = [(leg[k], leg[k + 1]) for leg in pairs for k in (0, 2)]
        self.edges += [(pair[0], pair[2]) for pair in pairs]
        for here, behind in pairwise(pairs):
            self.edges += clique([here[0], here[2], behind[0], behind[2]])
        self.partitions = {
            f"{agents}x{segments // agents}": cut(self.joints, agents)
            for agents in range(1, segments + 1)
            if segments % agents == 0
        }

    @property
    def motors(self) -> Sequence[str]:
        """Segment by segment."""
        return self.joints

    def spec(self) -> mujoco.MjSpec:
        """Gymnasium's ant gives materials and defaults; its body is replaced."""
        mujoco = need_mujoco()
        spec = gymnasium_model(self.asset)
        spec.delete(spec.body("torso"))
        spec.option.timestep = 0.005
        body = spec.worldbody.add_body(name="torso_0", pos=[0.0, 0.0, 0.75])
        body.add_joint(
            name="root",
            type=mujoco.mjtJoint.mjJNT_FREE,
            armature=0.0,
            damping=[0.0, 0.0, 0.0],
            limited=mujoco.mjtLimited.mjLIMITED_FALSE,
            margin=0.01,
        )
        for i in range(self.segments):
            if i > 0:
                body = body.add_body(name=f"torso_{i}", pos=[-1.0, 0.0, 0.0])
                _capsule(body, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.1, density=100.0)
            _leg(spec, body, i, 1)
            _leg(spec, body, i, 2)
        return spec

    @property
    def num_points(self) -> int:
        """One per segment."""
        return self.segments

    def point_of(self, joint: str) -> int:
        """Its segment."""
        return int(joint.rsplit("_", 1)[1])

    def points(self, moment: Moment) -> Array:
        """The segments, the head first."""
        at = self._at
        back = -np.arange(self.segments, dtype=float)[:, None]
        axis = own_x_axis(moment.qpos[:, at + 3 : at + 7])
        return moment.qpos[:, None, at : at + 2] + back * axis[:, None]


def _leg(spec: mujoco.MjSpec, torso: mujoco.MjsBody, segment: int, number: int) -> None:
    """Leg 1 to the left, leg 2 to the right; the head's point forward, the others' backward."""
    mujoco = need_mujoco()
    side = 1.0 if number == 1 else -1.0
    along = 0.2 if segment == 0 else -0.2
    # The head's legs spread from its centre, the others' from beside the spine.
    shoulder = [along if segment == 0 else 0.0, side * 0.2, 0.0]
    upper, lower = [along, side * 0.2, 0.0], [2.0 * along, side * 0.4, 0.0]
    base = torso.add_body(name=f"leg{number}_{segment}")
    _capsule(base, [0.0, 0.0, 0.0, *shoulder], 0.08)
    thigh = base.add_body(name=f"thigh{number}_{segment}", pos=shoulder)
    hinge = mujoco.mjtJoint.mjJNT_HINGE
    thigh.add_joint(name=f"hip{number}_{segment}", type=hinge, axis=[0.0, 0.0, 1.0], range=[-30.0, 30.0])
    _capsule(thigh, [0.0, 0.0, 0.0, *upper], 0.08)
    shin = thigh.add_body(name=f"shin{number}_{segment}", pos=upper)
    # As published: the sign of an ankle differs between the head and the segments behind it.
    ahead = segment == 0
    axis = [-1.0, 1.0, 0.0] if ahead == (number == 1) else [1.0, 1.0, 0.0]
    bounds = [30.0, 70.0] if ahead else [-70.0, -30.0]
    shin.add_joint(name=f"ankle{number}_{segment}", type=hinge, axis=axis, range=bounds)
    _capsule(shin, [0.0, 0.0, 0.0, *lower], 0.08)
    for joint in (f"hip{number}_{segment}", f"ankle{number}_{segment}"):
        motor = spec.add_actuator(
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            ctrlrange=[-1.0, 1.0],
        )
        motor.gear[0] = 150.0


def _capsule(
    body: mujoco.MjsBody, ends: list[float], radius: float, density: float | None = None
) -> mujoco.MjsGeom:
    mujoco = need_mujoco()
    geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=ends, size=[radius, 0.0, 0.0])
    if density is not None:
        geom.density = density
    return geom
