"""Controllers without learning: reference rows for tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.env import MujocoVectorEnv
from rllib_safemarl.errors import SafeMARLError


def stand_still(env: MujocoVectorEnv) -> NDArray[np.float32]:
    """No motor pulls.

    Raises:
        SafeMARLError: agents differ in their spaces; controllers act for one kind of agents.
    """
    if len(env.kinds) > 1:
        raise SafeMARLError(
            f"the controller 'stand_still' acts for equal agents; those of {env.config.task} "
            f"{env.config.partition} differ."
        )
    (kind,) = env.kinds
    return np.zeros((env.num_copies, len(kind.agents), *kind.action_space.shape), np.float32)


CONTROLLERS: dict[str, Callable[[MujocoVectorEnv], NDArray[np.float32]]] = {"stand_still": stand_still}
"""Name → controller."""
