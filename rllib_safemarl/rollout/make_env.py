"""From whatever a user registered to a VectorEnv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import turn_based_aec_to_parallel_wrapper
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv, PettingZooEnv

from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.single_agent import SingleAgentParallelEnv
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.multi_agent_vector import MultiAgentParallelEnv

_TURN_BASED = (AECEnv, PettingZooEnv, turn_based_aec_to_parallel_wrapper)


def make_vector_env(
    creator: Callable[[EnvContext], Any], config: Any, context: EnvContext, num_copies: int
) -> VectorEnv:
    """Create ``num_copies`` copies of the environment that ``creator`` makes.

    What offers ``make_vector(num_copies)`` makes them itself. A PettingZoo ParallelEnv, RLlib's
    MultiAgentEnv and a Gymnasium environment are created once per copy, with its number as
    ``vector_index``, and adapted.

    Raises:
        SafeMARLError: it is none of these, or turn-based.
    """
    first = creator(context)
    if hasattr(first, "make_vector"):
        return first.make_vector(num_copies)

    def make(copy: int) -> ParallelEnv:
        return as_parallel(creator(context.copy_with_overrides(vector_index=copy)) if copy else first)

    return ParallelVectorEnv(make, num_copies)


def named_vector_env(name: str, settings: Mapping[str, Any], num_copies: int) -> VectorEnv:
    """Copies of an environment that Ray or Gymnasium knows by name; ``settings`` are its ``env_config``."""
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    _, creator = Algorithm._get_env_id_and_creator(name, AlgorithmConfig())
    return make_vector_env(creator, None, EnvContext(dict(settings), worker_index=0), num_copies)


def as_parallel(env: Any) -> ParallelEnv:
    """One environment under PettingZoo's parallel API.

    Raises:
        SafeMARLError: it is turn-based, or nothing we know.
    """
    if isinstance(env, _TURN_BASED):
        raise SafeMARLError(
            f"{type(env).__name__} is turn-based, and turn-based environments are not supported: use the "
            "parallel API (PettingZoo's parallel_env, RLlib's ParallelPettingZooEnv)."
        )
    if isinstance(env, ParallelEnv):
        return env
    if type(env) is ParallelPettingZooEnv:
        return as_parallel(env.par_env)
    if isinstance(env, MultiAgentEnv):
        return MultiAgentParallelEnv(env)
    if isinstance(env, gym.Env):
        return SingleAgentParallelEnv(env)
    raise SafeMARLError(
        f"the environment is a {type(env).__name__}; it must be a PettingZoo ParallelEnv, an RLlib "
        "MultiAgentEnv, a Gymnasium Env, or offer make_vector(num_copies)."
    )
