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
            after the last step included. Beyond the end of its episode a window repeats its last step and
            its last moment.
        mask: ``[B, H]`` steps that lie within the episode; the first always does.
    """

    columns: Mapping[str, NDArray]
    mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, name: str) -> NDArray:
        return self.columns[name]


class WindowCutter:
    """Cuts windows that never reach across the end of an episode.

    Args:
        dataset: whole episodes, or chunks of episodes with an overlap of at least ``horizon - 1`` steps.
        horizon: H.
        columns: which to cut; ``None`` takes all.

    Raises:
        SafeMARLError: there is no such column.
    """

    def __init__(self, dataset: Dataset, horizon: int, columns: Sequence[str] | None = None) -> None:
        self.horizon = horizon
        names = list(dataset.rows) if columns is None else columns
        missing = [name for name in names if name not in dataset.rows]
        if missing:
            raise SafeMARLError(
                f"the dataset has no column {missing[0]!r}; it has {', '.join(dataset.rows)}."
            )
        self._steps = {name: dataset.rows[name] for name in names if not has_final(name)}
        self._moments = {name: dataset.points(name) for name in names if has_final(name)}
        lengths = dataset.lengths
        own = dataset.episodes.get(OWN_STEPS, lengths)
        self.starts: Index = _ranges(dataset.offsets[:-1], own)
        """``[W]`` first row of every window; there is one for each step of each episode."""
        self._ends = np.repeat(dataset.offsets[1:], lengths)
        self._episodes = np.repeat(np.arange(len(lengths)), lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def cut(self, windows: Index) -> WindowBatch:
        """The windows of the given numbers ``[B]``."""
        first = self.starts[windows]
        rows = first[:, None] + np.arange(self.horizon)
        last = self._ends[first][:, None] - 1
        mask = rows <= last
        rows = np.minimum(rows, last)
        # An episode of n steps has n + 1 moments.
        moments = np.minimum(first[:, None] + np.arange(self.horizon + 1), last + 1)
        moments += self._episodes[first][:, None]
        columns = {name: column[rows] for name, column in self._steps.items()}
        columns |= {name: column[moments] for name, column in self._moments.items()}
        return WindowBatch(columns, mask)


def _ranges(begin: Index, count: Index) -> Index:
    """``begin[0], begin[0] + 1, …`` for ``count[0]`` numbers, then the same from ``begin[1]``, and so on."""
    before = np.cumsum(count) - count
    return np.arange(count.sum()) + np.repeat(begin - before, count)
