"""Normaliser statistics: means, deviations and ranges of columns, over any number of shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError, nearest_name


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of one column's numbers, over rows and the agents that acted in them.

    Attributes:
        count: (row, agent) pairs.
        mean: ``[D]``.
        squares: ``[D]`` summed squared deviations from the mean.
        low: ``[D]`` smallest value.
        high: ``[D]`` largest value.
    """

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def std(self) -> NDArray[np.float64]:
        """``[D]`` standard deviation, of the numbers themselves (not of a wider population)."""
        return np.sqrt(self.squares / self.count)

    @classmethod
    def of(cls, values: NDArray) -> ColumnStatistics:
        """Statistics of ``[M, D]`` values, M at least 1."""
        values = values.astype(np.float64)
        mean = values.mean(0)
        return cls(len(values), mean, np.square(values - mean).sum(0), values.min(0), values.max(0))

    def merge(self, other: ColumnStatistics) -> ColumnStatistics:
        """Statistics of both together (Chan et al. 1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        return ColumnStatistics(
            count,
            self.mean + shift * (other.count / count),
            self.squares + other.squares + np.square(shift) * (self.count * other.count / count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


@dataclass(frozen=True)
class NormaliserStatistics:
    """Statistics of all columns of reals.

    These are observations and actions per kind, rewards, costs, positions, margins and states.

    Attributes:
        columns: row column → its statistics; a column for which nobody acted is missing.
    """

    columns: Mapping[str, ColumnStatistics]

    def __getitem__(self, name: str) -> ColumnStatistics:
        if name not in self.columns:
            raise SafeMARLError(f"there are no statistics of {name!r}.{nearest_name(name, self.columns)}")
        return self.columns[name]

    @classmethod
    def of(cls, dataset: Dataset) -> NormaliserStatistics:
        """Statistics of a dataset's rows; those of agents that did not act are left out."""
        active = dataset["active"]
        members = {kind.name: list(kind.agents) for kind in dataset.schema.kinds}
        found = {}
        for name, column in dataset.rows.items():
            if column.dtype.kind != "f" or name.startswith("signals/"):
                continue
            if name == "team_state":
                values = column
            else:
                kind = name.partition("/")[2]
                mask = active[:, members[kind]] if kind else active
                values = column[mask]
            if len(values):
                found[name] = ColumnStatistics.of(values.reshape(len(values), -1))
        return cls(found)

    def merge(self, other: NormaliserStatistics) -> NormaliserStatistics:
        """Statistics of both together."""
        merged = {**self.columns, **other.columns}
        for name in self.columns.keys() & other.columns.keys():
            merged[name] = self.columns[name].merge(other.columns[name])
        return NormaliserStatistics(merged)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            name: {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in vars(each).items()
            }
            for name, each in self.columns.items()
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> NormaliserStatistics:
        """The inverse of :meth:`to_json`."""
        return cls(
            {
                name: ColumnStatistics(
                    int(each["count"]),
                    *(np.array(each[key], np.float64) for key in ("mean", "squares", "low", "high")),
                )
                for name, each in described.items()
            }
        )
