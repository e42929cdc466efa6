"""Which robots are near each other, without forming all pairs of many.

Few robots: all pairs, once and for all. Many: a grid finds *candidates* somewhat beyond the reach, and these
stay valid until some robot has moved half of what they reach further (Verlet 1967), so that the grid is built
only every few steps. Exact distances decide at every step, so results do not depend on the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

Array = NDArray[np.float64]
Index = NDArray[np.intp]

ALL_PAIRS_ROBOTS = 16
"""Up to so many robots all pairs are candidates."""
SKIN = 1.0
"""Candidates reach further than asked by this, metres."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of robots of one copy, indices into ``[N * A]``, each pair once, and again in both directions.

    Attributes:
        first: ``[K]``.
        second: ``[K]``.
        source: ``[2 K]`` rising.
        target: ``[2 K]`` index within the copy, rising for each source.
        pair: ``[2 K]`` which of the K pairs each direction belongs to.
    """

    first: Index
    second: Index
    source: Index
    target: Index
    pair: Index


@dataclass(frozen=True)
class NearPairs:
    """Candidates at one moment, and those of them in reach.

    Attributes:
        candidates: the K candidates.
        squared: ``[K]`` squared distances, metres².
        near: ``[L]`` those in reach, indices into K.
        gap: ``[2, L]`` position of the second minus that of the first, metres.
    """

    candidates: Candidates
    squared: Array
    near: Index
    gap: Array


class NeighbourSearch:
    """Finds pairs of robots at most ``reach`` metres apart, centre to centre.

    Args:
        copies: N.
        robots: A.
        reach: metres.
    """

    def __init__(self, copies: int, robots: int, reach: float) -> None:
        self._robots = robots
        self._reach = reach
        self._candidates: Candidates | None = None
        self._found_at: Array | None = None
        if robots <= ALL_PAIRS_ROBOTS:
            i, j = np.triu_indices(robots, 1)
            offset = np.arange(0, copies * robots, robots)[:, None]
            self._candidates = _both_directions((offset + i).ravel(), (offset + j).ravel(), copies, robots)

    def __call__(self, positions: Array) -> NearPairs:
        """The pairs at positions ``[N, A, 2]``."""
        candidates = self._candidates
        if candidates is None or self._found_at is not None:
            candidates = self._refresh(positions)
        plane = np.ascontiguousarray(positions.reshape(-1, 2).T)
        gap = plane.take(candidates.second, 1)
        gap -= plane.take(candidates.first, 1)
        squared = gap[0] * gap[0] + gap[1] * gap[1]
        near = np.flatnonzero(squared <= self._reach**2)
        return NearPairs(candidates, squared, near, gap.take(near, 1))

    def _refresh(self, positions: Array) -> Candidates:
        """Candidates that are still valid, or new ones."""
        if self._candidates is not None and self._found_at is not None:
            x, y = np.moveaxis(positions - self._found_at, -1, 0)
            if (x * x + y * y).max() <= (SKIN / 2.0) ** 2:
                return self._candidates
        if not np.isfinite(positions).all():
            raise SafeMARLError("safemarl/crossing: a robot's position is not finite; were its actions?")
        copies, robots, _ = positions.shape
        first, second = _pairs_on_grid(positions, self._reach + SKIN)
        self._candidates = _both_directions(first, second, copies, robots)
        self._found_at = positions.copy()
        return self._candidates


def _pairs_on_grid(positions: Array, reach: float) -> tuple[Index, Index]:
    """Pairs at most ``reach`` metres apart, from a grid of cells as wide as the reach.

    Sorted by cell, row by row, the robots of three neighbouring cells of a row stand in one run. Each robot
    meets those behind it in its own row's run and all in the next row's.
    """
    copies, robots, _ = positions.shape
    plane = np.ascontiguousarray(positions.reshape(-1, 2).T)
    column, row = ((plane - plane.min(1, keepdims=True)) / reach).astype(np.intp)
    # An empty column and row part rows and copies.
    width, height = column.max() + 2, row.max() + 2
    copy = np.repeat(np.arange(copies), robots)
    cell = (copy * height + row) * width + column
    order = np.argsort(_narrow(cell), kind="stable")
    cell, plane = cell.take(order), plane.take(order, 1)
    begin = np.zeros(copies * height * width + width + 3, np.intp)
    np.cumsum(np.bincount(cell, minlength=len(begin) - 1), out=begin[1:])
    found = []
    for start, stop in (
        (np.arange(1, len(order) + 1), begin.take(cell + 2)),
        (begin.take(cell + (width - 1)), begin.take(cell + (width + 2))),
    ):
        first, second = _expand(start, stop)
        gap = plane.take(first, 1)
        gap -= plane.take(second, 1)
        near = np.flatnonzero(gap[0] * gap[0] + gap[1] * gap[1] <= reach**2)
        found.append(order.take(np.stack([first.take(near), second.take(near)])))
    first, second = np.concatenate(found, 1)
    return first, second


def _expand(start: Index, stop: Index) -> tuple[Index, Index]:
    """Every i with every j of ``start[i] … stop[i] - 1``."""
    length = np.maximum(stop - start, 0)
    i = np.repeat(np.arange(len(start)), length)
    before = np.cumsum(length) - length
    return i, np.arange(len(i)) + np.repeat(start - before, length)


def _both_directions(first: Index, second: Index, copies: int, robots: int) -> Candidates:
    source, target = np.concatenate([first, second]), np.concatenate([second, first]) % robots
    order = np.lexsort((_narrow(target), _narrow(source)))
    pair = np.where(order < len(first), order, order - len(first))
    return Candidates(first, second, source[order], target[order], pair)


def _narrow(index: Index) -> NDArray:
    """The same numbers in 16 bits if they fit, which NumPy sorts by radix."""
    return index.astype(np.uint16) if index.max(initial=0) < 2**16 else index
