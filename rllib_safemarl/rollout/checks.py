"""One look over a finished block for what must never reach a learner."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.columns import ColumnBatch


def check_step(step: Step, env: VectorEnv) -> None:
    """Refuse a step whose arrays are not ``[N, A, ...]``, which NumPy might stretch without a word.

    Raises:
        SafeMARLError: names the array, its shape and the one it must have.
    """
    n, a, c = env.num_copies, env.num_agents, len(env.cost_names)
    expected = {"reward": (n, a), "cost": (n, a, c), "terminated": (n, a), "truncated": (n,)}
    shapes = {f"Step.{name}": (np.shape(getattr(step, name)), shape) for name, shape in expected.items()}
    shapes["Step.active"] = np.shape(step.active), (n, a)
    for kind in env.kinds:
        values = step.observation.values.get(kind.name, np.empty(()))
        mine = (n, len(kind.agents), kind.observation_size)
        shapes[f"observations of kind {kind.name!r}"] = np.shape(values), mine
    for name, (shape, fits) in shapes.items():
        if shape != fits:
            raise SafeMARLError(
                f"{name} of {type(env).__name__} has shape {shape}; it must be {fits} for {n} copies, {a} "
                f"agents and {c} costs."
            )


def check_block(batch: ColumnBatch, env: VectorEnv) -> None:
    """Refuse costs that break the cost contract, and rewards or observations that are not finite.

    Raises:
        SafeMARLError: names the agent, the step within the block and the copy.
    """
    # A policy that saw NaN acts NaN, and all else becomes NaN of it.
    check_observations(batch.observations.values, env)
    _refuse(~(np.isfinite(batch.cost) & (batch.cost >= 0.0)), batch.cost, "cost", env)
    _refuse(~np.isfinite(batch.reward), batch.reward, "reward", env)


def check_observations(values: Mapping[str, NDArray[np.float32]], env: VectorEnv, first: int = 0) -> None:
    """Refuse observations that are not finite.

    Args:
        values: kind → ``[T, N, A_kind, D]``.
        env: whose they are.
        first: the step of the first of them.

    Raises:
        SafeMARLError: names the agent, the step and the copy.
    """
    for kind in env.kinds:
        finite = np.isfinite(values[kind.name])
        if not finite.all():
            t, n, row, place = np.argwhere(~finite)[0]
            raise SafeMARLError(
                f"agent {env.possible_agents[kind.agents[row]]!r} observed "
                f"{values[kind.name][t, n, row, place]} at place {place}, before step {first + t} of this "
                f"block in copy {n}; observations must be finite."
            )


def _refuse(bad: NDArray[np.bool_], values: NDArray, what: str, env: VectorEnv) -> None:
    if not bad.any():
        return
    place = tuple(np.argwhere(bad)[0])
    t, n, a, *rest = place
    name = f"{what} {env.cost_names[rest[0]]!r}" if rest else what
    mend = "costs must be finite and not negative" if rest else "rewards must be finite"
    raise SafeMARLError(
        f"agent {env.possible_agents[a]!r} got {name} = {values[place]} in step {t} of this "
        f"block in copy {n}; {mend}."
    )
