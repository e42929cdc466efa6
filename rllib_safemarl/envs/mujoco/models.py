"""From a task to a compiled model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco
from rllib_safemarl.envs.mujoco.hazard import Hazard
from rllib_safemarl.envs.mujoco.robot import Robot

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

_WRENCH = 9
"""Numbers of a contact sensor: force, torque, and where they act."""


def compile_model(robot: Robot, hazard: Hazard) -> mujoco.MjModel:
    """The robot in its world; both look up their places in it."""
    mujoco = need_mujoco()
    spec = robot.spec()
    if robot.reward.contact:
        _sense_contacts(spec)
    hazard.extend(spec)
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
            geom.size = [0.0, 0.0, 1.0]  # Endless to look at; to collide with it always is.
    model = spec.compile()
    robot.finish(model)
    robot.bind(model)
    hazard.bind(model)
    return model


def _sense_contacts(spec: mujoco.MjSpec) -> None:
    """A sensor of the net contact wrench on every body with geometry, and of the centre of its mass.

    Together they are MuJoCo's ``cfrc_ext``, which a rollout does not return.
    """
    mujoco = need_mujoco()
    bodies = [body for body in spec.bodies if body.name != "world"]
    fields = mujoco.mjtConDataField
    wanted = (fields.mjCONDATA_FORCE, fields.mjCONDATA_TORQUE, fields.mjCONDATA_POS)
    for i, body in enumerate(bodies):
        body.name = body.name or f"body_{i}"
        if not len(body.geoms):
            continue
        sensor = spec.add_sensor(
            name=f"contact_{i}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=body.name,
        )
        sensor.intprm[0] = sum(1 << int(field) for field in wanted)
        sensor.intprm[1] = 3  # Their net force.
        sensor.intprm[2] = 1
    spec.add_sensor(
        name="contact_centre",
        type=mujoco.mjtSensor.mjSENS_SUBTREECOM,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=bodies[0].name,
    )


class ContactForces:
    """Reads the sensors of contacts.

    Args:
        model: compiled by :func:`compile_model`.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        mujoco = need_mujoco()
        types = np.asarray(model.sensor_type)
        contact = np.flatnonzero(types == int(mujoco.mjtSensor.mjSENS_CONTACT))
        self._from = int(model.sensor_adr[contact[0]])
        self._to = self._from + _WRENCH * len(contact)
        self._centre = int(model.sensor("contact_centre").adr[0])

    def __call__(self, sensors: Array) -> Array:
        """``[N, B, 6]`` torque about the robot's centre of mass and force on every body."""
        wrench = sensors[:, self._from : self._to].reshape(len(sensors), -1, 3, 3)
        force, torque = wrench[..., 0, :], wrench[..., 1, :]
        arm = wrench[..., 2, :] - sensors[:, None, self._centre : self._centre + 3]
        turned = torque.copy()
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            turned[..., axis] += arm[..., after] * force[..., last] - arm[..., last] * force[..., after]
        return np.concatenate([turned, force], -1)
