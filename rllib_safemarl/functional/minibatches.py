"""Minibatches that do not depend on how copies are spread over learners."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One round of SplitMix64 (Steele et al. 2014): a bijection that scrambles counters."""
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def _state(key: tuple[int, ...]) -> NDArray[np.uint64]:
    """One number ``[1]`` that scrambles a key."""
    state = np.zeros(1, np.uint64)
    for part in key:
        state = _splitmix(state ^ np.uint64(part & 0xFFFFFFFFFFFFFFFF))
    return state


def copy_offsets(key: tuple[int, ...], copy_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """For every copy a number ``[N]`` in [0, 1) from (key, copy) alone, evenly spread over the copies.

    Args:
        key: as of :func:`shuffled_steps`; it turns all of them by the same amount.
        copy_ids: likewise.
    """
    with np.errstate(over="ignore"):
        turns = _state(key) + copy_ids.astype(np.uint64) * _GOLDEN
    # The golden ratio's multiples, of which any number in a row lie apart (Weyl's sequence).
    return (turns >> np.uint64(11)).astype(np.float64) / 2.0**53


def shuffled_steps(key: tuple[int, ...], copy_ids: NDArray[np.int64], num_steps: int) -> NDArray[np.intp]:
    """For every copy a permutation of its time steps, drawn from (key, copy) alone.

    Args:
        key: such as (seed, iteration, group, epoch).
        copy_ids: ``[N]`` the copies' numbers among all env runners.
        num_steps: T.

    Returns:
        ``[N, T]``.
    """
    with np.errstate(over="ignore"):
        rows = _splitmix(_state(key) ^ copy_ids.astype(np.uint64))
        keys = _splitmix(rows[:, None] ^ np.arange(num_steps, dtype=np.uint64))
    return np.argsort(keys, axis=1, kind="stable")


def step_shares(num_steps: int, num_minibatches: int) -> list[slice]:
    """Cut T shuffled steps into shares of sizes that differ by at most one."""
    bounds = np.linspace(0, num_steps, min(num_minibatches, num_steps) + 1).round().astype(int)
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]
