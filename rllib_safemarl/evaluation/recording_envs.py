"""Environments to record in: one copy, by name or from a user's file, and what datasets must know of it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from pettingzoo import ParallelEnv

from rllib_safemarl.data.schema import ActionSchema, KindSchema, Schema
from rllib_safemarl.envs.declarations import declared
from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_recipe import Recipe


def make_env(recipe: Recipe) -> VectorEnv:
    """One copy of a recipe's environment.

    Raises:
        SafeMARLError: there is no such environment or function, or its settings do not fit.
    """
    if ":" not in recipe.env:
        return make_vector(recipe.env, 1, **recipe.env_config)
    make = _function(recipe.env, recipe.folder)
    try:
        made = make(**recipe.env_config)
    except Exception as error:
        raise SafeMARLError(f"env {recipe.env!r} failed: {type(error).__name__}: {error}") from error
    if isinstance(made, VectorEnv):
        return made
    if hasattr(made, "make_vector"):
        return made.make_vector(1)
    return ParallelVectorEnv(lambda: made if isinstance(made, ParallelEnv) else _adapted(made))


def _adapted(env: Any) -> ParallelEnv:
    # RLlib's environments: importing them takes seconds.
    from rllib_safemarl.rollout.make_env import as_parallel

    return as_parallel(env)


def _function(name: str, folder: Path) -> Callable[..., Any]:
    """The function named ``file.py:function`` or ``module:function``."""
    source, _, function = name.rpartition(":")
    try:
        if source.endswith(".py"):
            files = [base / source for base in (folder, Path.cwd()) if (base / source).is_file()]
            if not files:
                raise SafeMARLError(f"env {name!r}: there is no file {source!r} in {folder} nor here.")
            found = runpy.run_path(str(files[0])).get(function)
        else:
            found = getattr(import_module(source), function, None)
    except SafeMARLError:
        raise
    except Exception as error:
        raise SafeMARLError(f"env {name!r}: {source} fails: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise SafeMARLError(f"env {name!r}: {source} has no function {function!r}.")
    return found


def schema_of(env: VectorEnv, recipe: Recipe) -> Schema:
    """The schema of episodes of an environment.

    Raises:
        SafeMARLError: an action space cannot be stored.
    """
    graph, limits = env.graph(), [limit for limit in (env.time_limit, recipe.time_limit) if limit]
    hops = None if graph is None or graph.hops is None else tuple(map(tuple, graph.hops.tolist()))
    return Schema(
        agents=tuple(map(str, env.possible_agents)),
        kinds=tuple(
            KindSchema(
                kind.name, kind.agents, kind.observation_size, ActionSchema.of_space(kind.action_space)
            )
            for kind in env.kinds
        ),
        cost_names=tuple(env.cost_names),
        time_limit=min(limits, default=None),
        step_seconds=recipe.step_seconds or _step_seconds(env),
        hops=hops,
        danger_cost=recipe.danger_cost,
    )


def _step_seconds(env: VectorEnv) -> float | None:
    """Seconds per step, where the environment, its settings or what it wraps say so."""
    wrapped = getattr(env, "envs", [None])[0]
    for source in (env, getattr(env, "config", None), wrapped):
        for name in ("step_seconds", "dt"):
            value = declared(source, name)
            if isinstance(value, (int, float)) and value > 0:
                return float(value)
    return None
