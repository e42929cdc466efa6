"""Windows: H consecutive steps of one episode, cut from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.chunks import OWN_STEPS
from rllib_safemarl.data.columns import has_final
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError

Index = NDArray[np.int64]


@dataclass(frozen=True)
class WindowBatch:
    """B windows of H steps.

    Attributes:
        columns: name → ``[B, H, ...]`` of what happens in a step (actions, rewards, costs, …), and
            ``[B, H + 1, ...]`` of what is seen (observations, positions, neighbours, active, …), the moment
            after the last step included; ``[B, H, ...]`` of both where that moment is not wanted. Beyond the
            end of its episode a window repeats its last step and its last moment.
        mask: ``[B, H]`` steps that lie within the episode; the first always does.
    """

    columns: Mapping[str, NDArray]
    mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, name: str) -> NDArray:
        return self.columns[name]


@dataclass(frozen=True)
class Pieces:
    """Whole episodes, or chunks of them, as arrays to cut windows from.

    Attributes:
        lengths: ``[E]`` steps of each piece.
        own: ``[E]`` first steps of each piece in which windows begin; all of them in whole episodes.
        steps: name → ``[R, ...]`` columns with one row for each step.
        moments: name → ``[R + E, ...]`` columns with one row more for each piece, what was seen at its end.
    """

    lengths: Index
    own: Index
    steps: Mapping[str, NDArray]
    moments: Mapping[str, NDArray]

    @classmethod
    def of(cls, dataset: Dataset, columns: Sequence[str] | None = None, last_moment: bool = True) -> Pieces:
        """The episodes or chunks of a dataset.

        Args:
            dataset: where to take them from.
            columns: which columns; ``None`` takes all.
            last_moment: whether windows will hold the moment after their last step; else nothing is copied.

        Raises:
            SafeMARLError: there is no such column.
        """
        names = list(dataset.rows) if columns is None else columns
        missing = [name for name in names if name not in dataset.rows]
        if missing:
            raise SafeMARLError(
                f"the dataset has no column {missing[0]!r}; it has {', '.join(dataset.rows)}."
            )
        seen = [name for name in names if last_moment and has_final(name)]
        return cls(
            dataset.lengths,
            dataset.episodes.get(OWN_STEPS, dataset.lengths),
            {name: dataset.rows[name] for name in names if name not in seen},
            {name: dataset.points(name) for name in seen},
        )

    @classmethod
    def join(cls, parts: Sequence[Pieces]) -> Pieces:
        """Pieces of several parts, one after another."""

        def joined(columns: Sequence[Mapping[str, NDArray]]) -> dict[str, NDArray]:
            return {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}

        return cls(
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.own for part in parts]),
            joined([part.steps for part in parts]),
            joined([part.moments for part in parts]),
        )


class WindowCutter:
    """Cuts windows that never reach across the end of an episode.

    Args:
        pieces: whole episodes, or chunks of episodes with an overlap of at least ``horizon - 1`` steps.
        horizon: H.
        last_moment: whether windows hold what is seen after their last step.
    """

    def __init__(self, pieces: Pieces, horizon: int, last_moment: bool = True) -> None:
        self.horizon, self.last_moment = horizon, last_moment
        self._steps, self._moments = pieces.steps, pieces.moments
        self._ends = np.cumsum(pieces.lengths)
        # Of the two arrays with a number per row, whole episodes need none but this.
        self._piece = np.repeat(np.arange(len(self._ends), dtype=np.int32), pieces.lengths)
        whole = np.array_equal(pieces.own, pieces.lengths)
        self._starts = None if whole else _ranges(self._ends - pieces.lengths, pieces.own)
        self._size = int(pieces.own.sum())

    def __len__(self) -> int:
        return self._size

    def cut(self, windows: Index) -> WindowBatch:
        """The windows of the given numbers ``[B]``; there is one for each step of each episode."""
        first = windows if self._starts is None else self._starts[windows]
        piece = self._piece[first]
        left = (self._ends[piece] - first)[:, None]
        ahead = np.arange(self.horizon)
        rows = first[:, None] + np.minimum(ahead, left - 1)
        moments = rows
        if self.last_moment:
            moments = first[:, None] + np.minimum(np.arange(self.horizon + 1), left)
        # A piece of n steps has n + 1 moments.
        moments = moments + piece[:, None]
        # take() copies whole rows without holding the interpreter; indexing does neither.
        columns = {name: column.take(rows, 0) for name, column in self._steps.items()}
        columns |= {name: column.take(moments, 0) for name, column in self._moments.items()}
        return WindowBatch(columns, ahead < left)


def _ranges(begin: Index, count: Index) -> Index:
    """``begin[0], begin[0] + 1, …`` for ``count[0]`` numbers, then the same from ``begin[1]``, and so on."""
    before = np.cumsum(count) - count
    return np.arange(count.sum()) + np.repeat(begin - before, count)
