"""Names of our environments, without importing any of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError, nearest_name

ENVIRONMENTS: dict[str, str] = {
    "safemarl/crossing": "rllib_safemarl.envs.crossing:CrossingVectorEnv",
    "safemarl/driving": "rllib_safemarl.envs.driving:DrivingVectorEnv",
    "safemarl/mujoco": "rllib_safemarl.envs.mujoco:MujocoVectorEnv",
}
"""Environment name → ``module:class`` of its VectorEnv."""

CONTROLLERS: dict[str, str] = {
    "safemarl/crossing": "rllib_safemarl.envs.crossing.scripted:CONTROLLERS",
    "safemarl/driving": "rllib_safemarl.envs.driving.scripted:CONTROLLERS",
    "safemarl/mujoco": "rllib_safemarl.envs.mujoco.scripted:CONTROLLERS",
}
"""Environment name → ``module:mapping`` of its scripted controllers: name → function of the VectorEnv."""


def make_vector(name: str, num_copies: int = 1, **settings: Any) -> VectorEnv:
    """Create ``num_copies`` copies of one of our environments.

    Args:
        name: a key of ``ENVIRONMENTS``.
        num_copies: N.
        settings: the environment's own ``env_config``.

    Raises:
        SafeMARLError: the name is unknown, or a setting does not fit.
    """
    if name not in ENVIRONMENTS:
        raise SafeMARLError(
            f"there is no environment {name!r}.{nearest_name(name, ENVIRONMENTS)} Ours are: "
            f"{', '.join(ENVIRONMENTS)}."
        )
    module, class_name = ENVIRONMENTS[name].split(":")
    return getattr(import_module(module), class_name)(num_copies, **settings)
