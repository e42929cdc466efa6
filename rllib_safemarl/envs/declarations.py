"""What a foreign environment says of itself: agents, spaces, time limit, optional attributes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rllib_safemarl.envs.spaces import check_action_space, check_observation_space
from rllib_safemarl.envs.vector import Kind, kinds_of
from rllib_safemarl.errors import SafeMARLError

_TIME_LIMITS = ("time_limit", "max_cycles", "max_steps", "max_episode_steps")


def declared(env: Any, name: str) -> Any:
    """An attribute of the environment or of what it wraps, or ``None``."""
    for each in (env, getattr(env, "unwrapped", None)):
        value = getattr(each, name, None)
        if value is not None:
            return value
    return None


def declared_time_limit(env: Any) -> int | None:
    """Steps per episode at most, from the usual attributes, or ``None``."""
    for name in _TIME_LIMITS:
        value = declared(env, name)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0:
            return int(value)
    return None


def agents_of(env: Any) -> tuple[Any, ...]:
    """The environment's ``possible_agents``.

    Raises:
        SafeMARLError: it names none.
    """
    agents = getattr(env, "possible_agents", None)
    if not agents:
        raise SafeMARLError(f"{env} has no possible_agents; list there every agent that may ever act.")
    return tuple(agents)


def declared_kinds(env: Any, agents: Sequence[Any]) -> tuple[Kind, ...]:
    """Kinds of the agents of a ParallelEnv.

    Raises:
        SafeMARLError: an agent's space is of a type that columns cannot hold.
    """
    observation_spaces = {agent: env.observation_space(agent) for agent in agents}
    action_spaces = {agent: env.action_space(agent) for agent in agents}
    for agent in agents:
        check_observation_space(observation_spaces[agent], agent)
        check_action_space(action_spaces[agent], agent)
    return kinds_of(agents, observation_spaces, action_spaces)


def keeps_state(env: Any) -> bool:
    """Whether the outermost environment can save and restore itself; a wrapped one forgets its wrappers."""
    return all(callable(getattr(type(env), name, None)) for name in ("get_state", "set_state"))


def needs_argument(make: Callable[..., Any]) -> bool:
    """Whether ``make`` has a positional argument without default."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in kinds and p.default is p.empty for p in parameters)
