"""Which states of a dataset a barrier is trained on: safe ones X_0, dangerous ones X_d, the rest.

Danger is a negative margin. A state is safe where no danger comes within the next T_h steps; it is in
neither set where danger is near but not there, or where the data end too soon to tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Bool = NDArray[np.bool_]
Index = NDArray[np.integer]


@dataclass(frozen=True)
class BarrierSets:
    """Membership of every state.

    Attributes:
        initial: ``[R, ...]`` in X_0: neither danger now nor within the horizon.
        danger: ``[R, ...]`` in X_d.
        pre_danger: ``[R, ...]`` not in danger, but in danger within the horizon.
        least_margin: ``[R, ...]`` smallest margin from now to the horizon or the episode's end.
    """

    initial: Bool
    danger: Bool
    pre_danger: Bool
    least_margin: Float


def steps_left(offsets: Index) -> NDArray[np.int64]:
    """Later rows of the same episode, for every row.

    Args:
        offsets: ``[E + 1]`` first row of each episode, and the number of rows R at the end.

    Returns:
        ``[R]``.
    """
    ends = np.repeat(offsets[1:], np.diff(offsets))
    return (ends - 1 - np.arange(offsets[-1])).astype(np.int64)


def future_minimum(values: Float, left: Index, horizon: int) -> Float:
    """``min_{0 ≤ j ≤ horizon} values[t + j]`` within the episode.

    Args:
        values: ``[R, ...]`` of episodes one after another.
        left: ``[R]`` :func:`steps_left`.
        horizon: steps ahead.

    Returns:
        ``[R, ...]``.
    """
    least = np.array(values)
    shape = (-1,) + (1,) * (values.ndim - 1)
    for ahead in range(1, min(horizon, len(values) - 1) + 1):
        within = (left[:-ahead] >= ahead).reshape(shape)
        np.minimum(least[:-ahead], values[ahead:], out=least[:-ahead], where=within)
    return least


def barrier_sets(margin: Float, offsets: Index, terminated: Bool, horizon: int) -> BarrierSets:
    """Sort the states of a dataset.

    Args:
        margin: ``[R, ...]`` signed distance to danger *in* each state (not after its step), ``inf`` where
            an agent takes no part; for costs without geometry ``c̄ - c``.
        offsets: ``[E + 1]`` as in :func:`steps_left`.
        terminated: ``[E]`` the episode ended in a terminal state. After a terminal state nothing can
            happen; after a time limit it could, so states with less than half of the horizon left are
            not called safe.
        horizon: T_h, steps.
    """
    left = steps_left(offsets)
    least = future_minimum(margin, left, horizon)
    danger, soon = margin < 0.0, least < 0.0
    known = np.repeat(terminated, np.diff(offsets)) | (2 * left >= horizon)
    initial = ~soon & known.reshape((-1,) + (1,) * (margin.ndim - 1))
    return BarrierSets(initial, danger, soon & ~danger, least)
