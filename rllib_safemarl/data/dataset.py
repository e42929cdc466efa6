"""`Dataset`: episodes of several agents as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.columns import (
    FINAL,
    SPLIT,
    SPLITS,
    check_row_shapes,
    check_shapes,
    coerce,
    row_specs,
    spec_of,
)
from rllib_safemarl.data.schema import Provenance, Schema, schema_to_json
from rllib_safemarl.errors import SafeMARLError, nearest_name

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Dataset:
    """R rows of E episodes, one after another; a row is one joint step of A agents.

    Attributes:
        schema: agents, kinds, costs.
        rows: row columns ``[R, ...]``:
            ``observations/<kind>`` ``[R, A_kind, D]`` before acting,
            ``actions/<kind>`` ``[R, A_kind, D]`` reals or choices, ``[R, A_kind]`` for a single choice,
            ``rewards`` ``[R, A]`` per step, ``costs`` ``[R, A, C]`` per step, never negative,
            ``terminals`` ``[R, A]`` the agent reached a terminal state by this step,
            ``timeouts`` ``[R]`` the episode was cut after this step,
            ``active`` ``[R, A]`` the agent acted; the others' rows hold zeros, or the last that they saw.
            Optional: ``margins`` ``[R, A]`` signed distance to danger *after* the step, as costs;
            ``positions`` ``[R, A, P]``; ``neighbours`` ``[R, A, K]`` indices of agents within one hop,
            ``-1`` for none; ``states`` ``[R, A, S]`` per agent; ``team_state`` ``[R, S]`` for central
            critics; ``signals/<name>`` ``[R, A, ...]``.
        episodes: episode columns ``[E, ...]``: ``final/<name>`` what was seen after the last row, for
            observations, positions, neighbours, states, team_state and active (agents that would have acted
            next); ``split`` (codes of :data:`SPLITS`); any further numbers, such as ``behaviour``, ``seed``.
        offsets: ``[E + 1]`` first row of each episode, and R.
        provenance: where it all comes from.

    Raises:
        SafeMARLError: shapes or types do not fit; see :func:`rllib_safemarl.data.checks.check_values` for
            what the values must obey.
    """

    schema: Schema
    rows: Mapping[str, NDArray]
    episodes: Mapping[str, NDArray]
    offsets: NDArray[np.int64]
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        check_shapes(self.schema, self.rows, self.episodes, self.offsets, "dataset")

    @property
    def num_rows(self) -> int:
        """R."""
        return int(self.offsets[-1])

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``[E]`` steps of each episode."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for part in (self.rows, self.episodes) for column in part.values())

    def __getitem__(self, name: str) -> NDArray:
        """A row or episode column; with one kind, ``observations`` and ``actions`` need no kind."""
        if name in ("observations", "actions", "final/observations") and len(self.schema.kinds) == 1:
            name = f"{name}/{self.schema.kinds[0].name}"
        for part in (self.rows, self.episodes):
            if name in part:
                return part[name]
        known = [*self.rows, *self.episodes]
        raise SafeMARLError(f"the dataset has no column {name!r}.{nearest_name(name, known)}")

    def __contains__(self, name: object) -> bool:
        return name in self.rows or name in self.episodes

    def next(self, name: str) -> NDArray:
        """``[R, ...]`` what was seen after each row.

        Args:
            name: a row column that describes a moment: observations, positions, neighbours, states,
                team_state or active.
        """
        column, after = self[name], np.empty_like(self[name])
        after[:-1] = column[1:]
        after[self.offsets[1:] - 1] = self[FINAL + name]
        return after

    def points(self, name: str) -> NDArray:
        """``[R + E, ...]`` every moment of every episode, its last one included.

        Episode e's moments are ``point_offsets[e]`` up to ``point_offsets[e + 1]``, one more than its rows.
        """
        column, last = self[name], self[FINAL + name]
        joined = np.empty((len(column) + len(last), *column.shape[1:]), column.dtype)
        is_last = np.zeros(len(joined), bool)
        is_last[self.point_offsets[1:] - 1] = True
        joined[~is_last], joined[is_last] = column, last
        return joined

    @property
    def point_offsets(self) -> NDArray[np.int64]:
        """``[E + 1]`` offsets into :meth:`points`."""
        return self.offsets + np.arange(len(self.offsets))

    def episode(self, index: int) -> Dataset:
        """One episode, as views into the columns."""
        if not -self.num_episodes <= index < self.num_episodes:
            raise IndexError(f"episode {index} of {self.num_episodes}")
        index %= self.num_episodes
        start, end = self.offsets[index], self.offsets[index + 1]
        return replace(
            self,
            rows={name: column[start:end] for name, column in self.rows.items()},
            episodes={name: column[index : index + 1] for name, column in self.episodes.items()},
            offsets=np.array([0, end - start]),
        )

    def __iter__(self) -> Iterator[Dataset]:
        return (self.episode(index) for index in range(self.num_episodes))

    def select(self, chosen: Any) -> Dataset:
        """Some episodes, by a mask ``[E]`` or by indices in any order."""
        index = np.arange(self.num_episodes)[np.asarray(chosen)]
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        taken = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return replace(
            self,
            rows={name: column[taken] for name, column in self.rows.items()},
            episodes={name: column[index] for name, column in self.episodes.items()},
            offsets=offsets,
        )

    def split(self, name: str) -> Dataset:
        """The episodes of one split: ``train``, ``selection`` or ``calibration``.

        Raises:
            SafeMARLError: the dataset is not split, or has no such split.
        """
        if name not in SPLITS:
            raise SafeMARLError(
                f"there is no split {name!r}; splits are {', '.join(SPLITS)}.{nearest_name(name, SPLITS)}"
            )
        if SPLIT not in self.episodes:
            raise SafeMARLError("the dataset is not split yet; use safemarl data split, or split_episodes().")
        return self.select(self.episodes[SPLIT] == SPLITS.index(name))

    @property
    def content_hash(self) -> str:
        """SHA-256 of schema and columns; the split, which may change, is left out."""
        digest = hashlib.sha256(schema_to_json(self.schema, Provenance()).encode())
        parts: dict[str, NDArray] = {**self.rows, **self.episodes, "offsets": self.offsets}
        for name in sorted(parts.keys() - {SPLIT}):
            column = np.ascontiguousarray(parts[name])
            digest.update(f"{name} {column.dtype.str} {column.shape}".encode())
            digest.update(column.data)
        return digest.hexdigest()


def make_dataset(
    schema: Schema,
    rows: Mapping[str, Any],
    offsets: Any,
    episodes: Mapping[str, Any] | None = None,
    provenance: Provenance | None = None,
    where: str = "dataset",
) -> Dataset:
    """A dataset from arrays, in the right types, with what follows from the rest filled in.

    Args:
        schema: agents, kinds, costs.
        rows: see :class:`Dataset`. ``active`` may be missing (all act); with one kind ``observations`` and
            ``actions`` need no kind.
        offsets: ``[E + 1]`` first row of each episode, and R.
        episodes: episode columns. ``final/active`` may be missing.
        provenance: where the data comes from.
        where: the file, for messages.

    Raises:
        SafeMARLError: see :class:`Dataset`.
    """
    offsets = check_offsets(np.asarray(offsets), where)
    row_columns = _typed(schema, dict(rows), where)
    episode_columns = _typed(schema, dict(episodes or {}), where)
    if "active" not in row_columns:
        row_columns["active"] = np.ones((offsets[-1], schema.num_agents), bool)
    if "costs" not in row_columns and not schema.cost_names:
        row_columns["costs"] = np.zeros((offsets[-1], schema.num_agents, 0), np.float32)
    check_row_shapes(schema, row_columns, int(offsets[-1]), where)
    if FINAL + "active" not in episode_columns:
        last = offsets[1:] - 1
        episode_columns[FINAL + "active"] = row_columns["active"][last] & ~row_columns["terminals"][last]
    check_shapes(schema, row_columns, episode_columns, offsets, where)
    return Dataset(schema, row_columns, episode_columns, offsets, provenance or Provenance())


def check_offsets(offsets: NDArray, where: str) -> NDArray[np.int64]:
    """Offsets that start at 0 and rise.

    Raises:
        SafeMARLError: they do not.
    """
    fits = offsets.ndim == 1 and len(offsets) > 1 and offsets.dtype.kind in "iu" and offsets[0] == 0
    if not fits or (np.diff(offsets.astype(np.int64)) <= 0).any():
        falls = np.flatnonzero(np.diff(offsets.astype(np.int64)) <= 0) if fits else offsets[:0]
        row = f"[{falls[0] + 1}]" if len(falls) else ""
        raise SafeMARLError(
            f"{where}: episode_offsets{row} must start at 0 and rise with every episode; an episode has at "
            "least one row."
        )
    return offsets.astype(np.int64)


def _typed(schema: Schema, columns: dict[str, Any], where: str) -> dict[str, NDArray]:
    specs, typed = row_specs(schema), {}
    for name, column in columns.items():
        array = np.asarray(column)
        if name.removeprefix(FINAL) in ("observations", "actions") and len(schema.kinds) == 1:
            name = f"{name}/{schema.kinds[0].name}"
        if name.removeprefix(FINAL) in specs:
            array = coerce(name, array, spec_of(specs, name, where), where)
        elif array.dtype.kind not in "fiub":
            raise SafeMARLError(f"{where}: {name} holds {array.dtype}, not numbers.")
        typed[name] = array
    return typed


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """Episodes of several datasets of one schema, one after another; provenance of the first.

    Raises:
        SafeMARLError: there are none, or schemas or columns differ.
    """
    if not datasets:
        raise SafeMARLError("there is no dataset to put together.")
    first = datasets[0]
    if len(datasets) == 1:
        return first
    for other in datasets[1:]:
        if other.schema != first.schema:
            raise SafeMARLError(
                "datasets of different agents, spaces, costs or time limits cannot be joined."
            )
        different = (first.rows.keys() ^ other.rows.keys()) | (first.episodes.keys() ^ other.episodes.keys())
        if different:
            raise SafeMARLError(
                f"datasets to be joined must have the same columns; not all have {sorted(different)[0]!r}."
            )
    starts = np.cumsum([0, *(part.num_rows for part in datasets)])
    offsets = [part.offsets[:-1] + start for part, start in zip(datasets, starts[:-1], strict=True)]
    return replace(
        first,
        rows={name: np.concatenate([part.rows[name] for part in datasets]) for name in first.rows},
        episodes={
            name: np.concatenate([part.episodes[name] for part in datasets]) for name in first.episodes
        },
        offsets=np.concatenate([*offsets, starts[-1:]]),
    )
