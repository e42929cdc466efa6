"""Columns as sequences: where recurrent policies begin to unroll, and which minibatch each goes into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.minibatches import copy_offsets, shuffled_steps


@dataclass(frozen=True)
class SequenceStates:
    """In what states G recurrent agents began the S sequences of a block.

    A sequence begins with the block, after the end of an episode, and ``length`` steps after the one before
    it began; sequences are in the order of (copy, time), as :func:`sequence_starts` tells them.

    Attributes:
        length: steps of a sequence at most.
        values: nested dicts or tuples of ``[S, G, ...]``.
    """

    length: int
    values: Any

    def __getitem__(self, sequences: Any) -> SequenceStates:
        """The states of some sequences."""
        return SequenceStates(self.length, map_leaves(lambda leaf: leaf[sequences], self.values))


def map_leaves(function: Callable[..., Any], *trees: Any) -> Any:
    """What a function gives for the leaves at each place of equally nested dicts and tuples, so nested."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {name: map_leaves(function, *(tree[name] for tree in trees)) for name in first}
    if isinstance(first, (list, tuple)):
        return tuple(map_leaves(function, *places) for places in zip(*trees, strict=True))
    return function(*trees)


def sequence_starts(
    ended: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Cut T steps of N copies into sequences that no episode's end runs through.

    Args:
        ended: ``[T, N]`` the copy's episode ended in this step.
        length: steps of a sequence at most.

    Returns:
        Step, copy and steps ``[S]`` of every sequence, in the order of (copy, time).
    """
    steps, copies = ended.shape
    starts = np.zeros((steps, copies), bool)
    since = np.zeros(copies, np.intp)
    for t in range(steps):
        starts[t] = since == 0
        since = np.where(ended[t], 0, (since + 1) % length)
    copy, step = np.nonzero(starts.T)
    following = np.append(step[1:], 0)
    last = np.append(copy[1:] != copy[:-1], True)
    return step, copy, np.where(last, steps, following) - step


def sequence_rows(
    ended: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp]]:
    """Rows of time and copy (T * N of them) of every sequence.

    Args:
        ended: as of :func:`sequence_starts`.
        length: likewise.

    Returns:
        ``[S, L]`` rows, L the longest sequence; ``[S, L]`` places that are in a sequence, what is behind its
        end repeating its last row; and ``[S]`` the copies.
    """
    step, copy, steps = sequence_starts(ended, length)
    place = np.arange(steps.max(initial=0))
    inside = place < steps[:, None]
    row = (step[:, None] + np.minimum(place, steps[:, None] - 1)) * ended.shape[1] + copy[:, None]
    return row, inside, copy


def spread_sequences(
    key: tuple[int, ...], copy: NDArray[np.intp], copy_ids: NDArray[np.int64], num_minibatches: int
) -> NDArray[np.intp]:
    """A minibatch for every sequence, drawn from (key, copy) alone.

    A copy with at least as many sequences as there are minibatches has some in each; the few sequences of
    other copies are spread, each copy beginning elsewhere.

    Args:
        key: such as (seed, iteration, group, epoch).
        copy: ``[S]`` of every sequence, rising.
        copy_ids: ``[N]`` the copies' numbers among all env runners.
        num_minibatches: K.

    Returns:
        ``[S]`` 0 … K - 1.
    """
    counts = np.bincount(copy, minlength=len(copy_ids))
    order = shuffled_steps(key, copy_ids, int(counts.max(initial=0)))
    begin = copy_offsets(key, copy_ids)
    minibatch = np.empty(len(copy), np.intp)
    for n, (count, first) in enumerate(zip(counts, np.cumsum(counts) - counts, strict=True)):
        mine = order[n][order[n] < count]
        places = ((np.arange(count) + begin[n]) * num_minibatches / max(count, 1)).astype(np.intp)
        minibatch[first + mine] = np.minimum(places, num_minibatches - 1)
    return minibatch
