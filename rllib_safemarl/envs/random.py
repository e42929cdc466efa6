"""Uniform numbers for many copies at once, each from its own (seed, copy, episode).

A generator object per copy costs more than a step of a whole batch; hashing the key with SplitMix64's
finaliser (Steele et al. 2014) gives every copy a stream of its own in a few array operations, whatever the
number of copies beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashed_uniform(
    seed: int, copies: NDArray[np.integer], episodes: NDArray[np.integer], count: int
) -> NDArray[np.float64]:
    """Numbers ``[M, count]``, uniform in [0, 1), for M pairs of copy and episode.

    Args:
        seed: any whole number.
        copies: ``[M]``.
        episodes: ``[M]``.
        count: numbers per pair.
    """
    state = _mix(np.full(len(copies), seed % 2**64, np.uint64) + _GOLDEN)
    for word in (copies, episodes):
        state = _mix((state ^ word.astype(np.uint64)) + _GOLDEN)
    stream = state[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return (_mix(stream) >> np.uint64(11)) * 2.0**-53


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every input bit reaches every output bit."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
