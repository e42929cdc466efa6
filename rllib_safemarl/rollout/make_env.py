"""From whatever a user registered to a VectorEnv."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.env.env_context import EnvContext

from rllib_safemarl.envs.vector import VectorEnv


def make_vector_env(
    creator: Callable[[EnvContext], Any], config: Any, context: EnvContext, num_copies: int
) -> VectorEnv:
    """Create ``num_copies`` copies of the environment that ``creator`` makes."""
    first = creator(context)
    if hasattr(first, "make_vector"):
        return first.make_vector(num_copies)
    raise NotImplementedError
