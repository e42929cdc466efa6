"""MuJoCo by hand, for tests: one copy, stepped with plain `mj_step`."""

from __future__ import annotations

import mujoco
import numpy as np


def random_actions(env, rng):
    return {
        kind.name: rng.uniform(-1, 1, (env.num_copies, len(kind.agents), *kind.action_space.shape))
        for kind in env.kinds
    }


def stand(env):
    return {
        kind.name: np.zeros((env.num_copies, len(kind.agents), *kind.action_space.shape))
        for kind in env.kinds
    }


def data_at(model, state):
    """MjData at a copy's `[time | qpos | qvel]`."""
    data = mujoco.MjData(model)
    data.time = state[0]
    data.qpos[:] = state[1 : 1 + model.nq]
    data.qvel[:] = state[1 + model.nq :]
    return data


def place(env, copy=0, **joints):
    """Move joints of a copy: name → position; a free joint takes its seven numbers, or the first of them."""
    state = env.get_state()
    for name, value in joints.items():
        at = 1 + int(env.model.joint(name).qposadr[0])
        value = np.atleast_1d(value)
        state["state"][copy, at : at + len(value)] = value
    env.set_state(state)


def ray(model, data, origin, direction):
    """Name of the geom that a ray meets, and how far."""
    geom = np.zeros(1, np.int32)
    distance = mujoco.mj_ray(
        model, data, np.asarray(origin, float), np.asarray(direction, float), None, 1, -1, geom
    )
    return (model.geom(int(geom[0])).name if geom[0] >= 0 else None), distance
