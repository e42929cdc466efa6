"""Generalised advantage estimation over columns, for rewards and costs alike.

Schulman et al. 2016, eq. (16), with time limits and terminal states kept apart: a value bootstraps at a
time limit and not at a terminal state, and the sum over δ stops at either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def generalised_advantages(
    signal: Array,
    values: Array,
    next_values: Array,
    terminated: NDArray[np.bool_],
    cut: NDArray[np.bool_],
    gamma: float,
    lambda_: float,
) -> Array:
    """Advantages ``A_t = δ_t + γ λ (1 - cut_t) A_{t+1}``, ``δ_t = r_t + γ (1 - terminated_t) V'_t - V_t``.

    Args:
        signal: ``[T, ...]`` reward or cost per step.
        values: ``[T, ...]`` V of the observation before the step, in the signal's units.
        next_values: ``[T, ...]`` V of the observation after the step: the *final* observation
            where an episode ended, never the first one of the next episode.
        terminated: ``[T, ...]`` the agent reached a terminal state; broadcasts against ``signal``.
        cut: ``[T, ...]`` nothing after this step belongs to the same trajectory (terminal state,
            time limit, or the agent left); includes ``terminated``; broadcasts.
        gamma: discount per step.
        lambda_: GAE's λ.

    Returns:
        ``[T, ...]`` advantages in the signal's units, discounted.
    """
    bootstrap = np.where(terminated, np.float32(0.0), next_values)
    advantages: Array = signal + np.float32(gamma) * bootstrap - values
    keep = np.where(cut, 0.0, gamma * lambda_).astype(np.float32)
    for t in range(len(advantages) - 2, -1, -1):
        advantages[t] += keep[t] * advantages[t + 1]
    return advantages


def masked_mean(x: Array, mask: NDArray[np.bool_]) -> float:
    """Mean of ``x`` where ``mask`` holds; 0 where it holds nowhere."""
    count = int(mask.sum())
    return float(np.where(mask, x, 0.0).sum(dtype=np.float64) / count) if count else 0.0


def explained_variance(target: Array, prediction: Array, mask: NDArray[np.bool_]) -> float:
    """``1 - Var[target - prediction] / Var[target]`` where ``mask`` holds.

    NaN where the target does not vary: there is nothing to explain.
    """
    if not mask.any():
        return float("nan")
    y, error = target[mask].astype(np.float64), (target - prediction)[mask].astype(np.float64)
    variance = y.var()
    return float(1.0 - error.var() / variance) if variance > 1e-12 else float("nan")
