"""Columns of a recurrent policy as whole sequences: unrolled from the states that it had when it acted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.functional.sequences import (
    SequenceStates,
    map_leaves,
    sequence_rows,
    spread_sequences,
)


class Sequences:
    """The S sequences of G agents in T steps of N copies.

    Args:
        states: in which they began.
        ended: ``[T, N]`` the copy's episode ended in this step.
        device: where to unroll.
    """

    def __init__(
        self, states: SequenceStates, ended: NDArray[np.bool_], device: torch.device | None = None
    ) -> None:
        rows, inside, self._copy = sequence_rows(ended, states.length)
        self._rows, self._inside = (torch.from_numpy(array).to(device) for array in (rows, inside))
        self._states = map_leaves(lambda leaf: torch.from_numpy(np.array(leaf)).to(device), states.values)
        self._in_order = self._rows[self._inside].argsort()

    def inputs(self, policy: TrainablePolicy, views: Tensor, some: Tensor | None = None) -> Tensor:
        """Distribution inputs of sequences, unrolled under the present weights.

        Args:
            policy: the policy.
            views: ``[T * N, G, V]``.
            some: numbers of sequences, or ``None`` for all.

        Returns:
            ``[R * G, P]`` in the order of :meth:`rows`, or of time and copy for all.
        """
        # None at all still has a gradient, which is 0.
        chosen = torch.arange(len(self._rows)) if some is None else some if len(some) else some.new_zeros(1)
        inside = self._inside[chosen]
        longest = int(inside.sum(1).max())
        seen = views[self._rows[chosen, :longest]].transpose(1, 2)
        states = map_leaves(lambda leaf: leaf[chosen].flatten(0, 1), self._states)
        out = policy.sequence_inputs(seen.flatten(0, 1), states)
        by_row = out.unflatten(0, seen.shape[:2]).transpose(1, 2)[inside[:, :longest]]
        if some is None:
            return by_row[self._in_order].flatten(0, 1)
        return (by_row if len(some) else by_row[:0]).flatten(0, 1)

    def rows(self, some: Tensor) -> Tensor:
        """Indices ``[R]`` into T * N of the steps of some sequences, one sequence after another."""
        return self._rows[some][self._inside[some]]

    def minibatches(
        self, key: tuple[int, ...], copy_ids: NDArray[np.int64], num_minibatches: int, acting: NDArray
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """One pass over all sequences, whole ones in every minibatch.

        Args:
            key: seeds the shuffling, such as (seed, iteration, group, epoch).
            copy_ids: ``[N]`` the copies' numbers among all env runners.
            num_minibatches: minibatches at most; those that no learner has anything for are left out.
            acting: ``[T * N]`` how many rows count at each time and copy.

        Yields:
            ``[R]`` indices into ``T * N``, numbers of the sequences that they are of, and the rows that count
            there over all learners, at least 1.
        """
        minibatch = torch.from_numpy(spread_sequences(key, self._copy, copy_ids, num_minibatches))
        parts = [(minibatch == k).nonzero().flatten().to(self._rows.device) for k in range(num_minibatches)]
        rows = [self.rows(some) for some in parts]
        sizes = np.array([float(len(each)) for each in rows])
        counts = np.array([float(acting[each.cpu().numpy()].sum()) for each in rows])
        sizes, counts = sum_arrays(sizes, counts)
        for each, some, size, count in zip(rows, parts, sizes, counts, strict=True):
            if size:
                yield each, some, max(float(count), 1.0)
