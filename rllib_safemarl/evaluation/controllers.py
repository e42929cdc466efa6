"""Controllers that need no training, by name: the environment's own scripted ones, and random actions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.registry import CONTROLLERS
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.actions import random_actions

Controller = Callable[[VectorEnv], dict[str, NDArray]]
"""Actions kind → ``[N, A_kind, ...]`` from the environment's present state."""
RANDOM = "random"


def controller_names(env_name: str) -> tuple[str, ...]:
    """Names of all controllers of an environment."""
    return (RANDOM, *_scripted(env_name))


def named_controller(
    env_name: str, name: str, seed: int = 0, settings: Mapping[str, Any] | None = None
) -> Controller:
    """A controller by name: ``random``, or one of the environment's own scripted ones.

    Args:
        env_name: name of the environment.
        name: of the controller.
        seed: of random actions.
        settings: further arguments of a scripted controller, such as ``{"gain": 0.5}``.

    Raises:
        SafeMARLError: the environment has no such controller, or that has no such setting.
    """
    known, settings = _scripted(env_name), dict(settings or {})
    if name != RANDOM and name not in known:
        names = controller_names(env_name)
        raise SafeMARLError(
            f"{env_name} has no controller {name!r}.{nearest_name(name, names)} It has: {', '.join(names)}."
        )
    allowed = () if name == RANDOM else tuple(inspect.signature(known[name]).parameters)[1:]
    for setting in settings:
        if setting not in allowed:
            has = f"It has: {', '.join(allowed)}." if allowed else "It has none."
            raise SafeMARLError(
                f"the controller {name!r} of {env_name} has no setting {setting!r}."
                f"{nearest_name(setting, allowed)} {has}"
            )
    if name == RANDOM:
        return _random_controller(np.random.default_rng(seed))
    controller = known[name]
    return lambda env: {env.kinds[0].name: controller(env, **settings)}


def _scripted(env_name: str) -> Mapping[str, Callable[..., NDArray]]:
    if env_name not in CONTROLLERS:
        return {}
    module, attribute = CONTROLLERS[env_name].split(":")
    return getattr(import_module(module), attribute)


def _random_controller(generator: np.random.Generator) -> Controller:
    def act(env: VectorEnv) -> dict[str, NDArray]:
        return {
            kind.name: random_actions(kind.action_space, (env.num_copies, len(kind.agents)), generator)
            for kind in env.kinds
        }

    return act
