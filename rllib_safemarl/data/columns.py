"""The columns a dataset may have: their names, shapes and types, and what values they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.schema import Schema
from rllib_safemarl.errors import SafeMARLError

FINAL = "final/"
"""Prefix of episode columns that hold what was seen after an episode's last row."""
SIGNALS = "signals/"
"""Prefix of further row columns ``[rows, A, ...]``, such as the behaviour's ``log_prob``."""
SPLIT = "split"
SPLITS = ("train", "selection", "calibration")
"""Meaning of the codes 0, 1, 2 in the episode column ``split``."""

SEEN = ("active", "positions", "neighbours", "states", "team_state")
"""Row columns beside observations that describe a moment and so have a value after the last row."""
Columns = Mapping[str, NDArray]


@dataclass(frozen=True)
class ColumnSpec:
    """How a column must look.

    Attributes:
        tail: shape of one row; ``None`` where any length will do.
        kind: numpy's letter: ``f`` float32, ``i`` integer, ``b`` bool.
        per_agent: the first axis of the tail counts agents.
        required: must be there.
    """

    tail: tuple[int | None, ...]
    kind: str = "f"
    per_agent: bool = False
    required: bool = True

    @property
    def dtype(self) -> type:
        """What it is stored as."""
        return {"f": np.float32, "i": np.int64, "b": np.bool_}[self.kind]


def row_specs(schema: Schema) -> dict[str, ColumnSpec]:
    """Columns of rows ``[R, ...]``; signals, whose names are free, are not among them."""
    a, c = schema.num_agents, len(schema.cost_names)
    specs = {}
    for kind in schema.kinds:
        members = len(kind.agents)
        letter = "f" if kind.action.continuous else "i"
        specs[f"observations/{kind.name}"] = ColumnSpec((members, kind.observation_size), "f", True)
        specs[f"actions/{kind.name}"] = ColumnSpec((members, *kind.action.tail), letter, True)
    return {
        **specs,
        "rewards": ColumnSpec((a,), "f", True),
        "costs": ColumnSpec((a, c), "f", True),
        "terminals": ColumnSpec((a,), "b", True),
        "timeouts": ColumnSpec((), "b"),
        "active": ColumnSpec((a,), "b", True),
        "margins": ColumnSpec((a,), "f", True, False),
        "positions": ColumnSpec((a, None), "f", True, False),
        "neighbours": ColumnSpec((a, None), "i", True, False),
        "states": ColumnSpec((a, None), "f", True, False),
        "team_state": ColumnSpec((None,), "f", False, False),
    }


def has_final(name: str) -> bool:
    """Whether a row column describes a moment and so has a twin ``final/<name>`` per episode."""
    return name in SEEN or name.partition("/")[0] == "observations"


def spec_of(schema_specs: Mapping[str, ColumnSpec], name: str, where: str) -> ColumnSpec:
    """The spec of a row column, or of its final twin."""
    plain = name.removeprefix(FINAL)
    if plain in schema_specs:
        return schema_specs[plain]
    if name.startswith(SIGNALS):
        return ColumnSpec((), "f", True, False)
    raise SafeMARLError(f"{where}: there is no column {name!r}; call further row columns 'signals/<name>'.")


def check_shapes(schema: Schema, rows: Columns, episodes: Columns, offsets: NDArray, where: str) -> None:
    """Refuse missing columns and wrong shapes or types.

    Raises:
        SafeMARLError: one line that names file, column, and what was expected.
    """
    check_row_shapes(schema, rows, int(offsets[-1]), where)
    specs, num_episodes = row_specs(schema), len(offsets) - 1
    for name in rows:
        if has_final(name) and FINAL + name not in episodes:
            raise SafeMARLError(
                f"{where}: the column {FINAL + name!r}, the last {name} of each episode, is missing."
            )
    for name, column in episodes.items():
        if name.startswith(FINAL):
            _check_final(name, column, num_episodes, rows, specs, schema, where)
        elif column.shape != (num_episodes,):
            raise SafeMARLError(
                f"{where}: the episode column {name!r} has shape {column.shape}; give one number for each of "
                f"the {num_episodes} episodes."
            )


def check_row_shapes(schema: Schema, rows: Columns, num_rows: int, where: str) -> None:
    """The part of :func:`check_shapes` that concerns row columns."""
    specs = row_specs(schema)
    for name, spec in specs.items():
        if spec.required and name not in rows:
            raise SafeMARLError(f"{where}: the column {name!r} is missing.")
    for name, column in rows.items():
        _check_column(name, column, spec_of(specs, name, where), num_rows, "rows", schema, where)


def _check_final(
    name: str,
    column: NDArray,
    num_episodes: int,
    rows: Columns,
    specs: Mapping[str, ColumnSpec],
    schema: Schema,
    where: str,
) -> None:
    of_rows = name.removeprefix(FINAL)
    if of_rows not in rows or not has_final(of_rows):
        raise SafeMARLError(f"{where}: there is {name!r}, but no {of_rows!r} that it could end.")
    _check_column(name, column, spec_of(specs, name, where), num_episodes, "episodes", schema, where)
    if column.shape[1:] != rows[of_rows].shape[1:]:
        raise SafeMARLError(
            f"{where}: {name} has shape {column.shape}, which does not fit {rows[of_rows].shape} of its rows."
        )


def _check_column(
    name: str, column: NDArray, spec: ColumnSpec, length: int, unit: str, schema: Schema, where: str
) -> None:
    if name.startswith(SIGNALS):
        fits = column.shape[1:2] == (schema.num_agents,)
        expected = f"({length}, {schema.num_agents}, ...)"
    else:
        fits = len(column.shape) == 1 + len(spec.tail) and all(
            wanted is None or wanted == given
            for wanted, given in zip(spec.tail, column.shape[1:], strict=True)
        )
        tail = ", ".join("any" if size is None else str(size) for size in spec.tail)
        expected = f"({length}, {tail})" if tail else f"({length},)"
    if not fits or column.shape[0] != length:
        raise SafeMARLError(
            f"{where}: {name} has shape {column.shape}; with {length} {unit} and {schema.num_agents} agents "
            f"it must be {expected}."
        )
    if not name.startswith(SIGNALS) and column.dtype.kind != spec.kind:
        raise SafeMARLError(
            f"{where}: {name} holds {column.dtype}; it must hold {np.dtype(spec.dtype).name}."
        )


def coerce(name: str, column: NDArray, spec: ColumnSpec, where: str) -> NDArray:
    """A column in its type, if its values allow it.

    Raises:
        SafeMARLError: text or objects, fractions where there are choices, or flags other than 0 and 1.
    """
    if column.dtype == spec.dtype:
        return column
    if column.dtype.kind not in "fiub":
        raise SafeMARLError(f"{where}: {name} holds {column.dtype}, not numbers.")
    if spec.kind == "f":
        return column.astype(np.float32)
    wrong = (column != 0) & (column != 1) if spec.kind == "b" else column != np.rint(column)
    if wrong.any():
        row = first_row(wrong)
        meaning = "flags of 0 and 1" if spec.kind == "b" else "whole numbers"
        raise SafeMARLError(
            f"{where}: {name}[{row}] is {_value(column[row], wrong[row])}, but must be {meaning}."
        )
    return column.astype(spec.dtype)


def first_row(wrong: NDArray) -> int:
    """The first row in which anything is wrong."""
    return int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])


def _value(row: NDArray, wrong: NDArray) -> str:
    return str(np.ravel(row)[np.ravel(wrong)][0])
