"""Files in DSRL's and D4RL's layout: one agent, flat HDF5 columns, by path or by task name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.assemble import Episodes, breaks, cut_at, ends_by_count, with_next, without_next
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.columns import ColumnSpec, coerce
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.download import download
from rllib_safemarl.data.dsrl_tasks import DSRLTask, find_task, task_of_file
from rllib_safemarl.data.hdf5 import SUFFIXES, open_hdf5, read_columns
from rllib_safemarl.data.schema import ActionSchema, Provenance, single_kind
from rllib_safemarl.errors import SafeMARLError

FOLDER_VARIABLE = "DSRL_DATASET_DIR"
_VECTORS = ("observations", "next_observations", "actions")
_NUMBERS = ("rewards", "costs", "terminals", "timeouts")
_REQUIRED = ("observations", "actions", "rewards", "terminals")


def dsrl_folder() -> Path:
    """Where DSRL's files lie: ``DSRL_DATASET_DIR``, or ``~/.dsrl/datasets``."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "~/.dsrl/datasets").expanduser()


def locate(source: str | Path) -> tuple[Path, DSRLTask | None]:
    """The file of a path or task name, downloaded into :func:`dsrl_folder` where it is not there yet.

    Raises:
        SafeMARLError: there is neither such a file nor such a task, or the download fails.
    """
    path = Path(source).expanduser()
    if path.exists() or path.suffix in SUFFIXES:
        return path, task_of_file(path.name)
    task = find_task(str(source))
    path = dsrl_folder() / task.file
    return path if path.is_file() else download(task.url, path), task


def read_dsrl(
    source: str | Path,
    task: str | None = None,
    time_limit: int | None = None,
    split_breaks: bool = False,
) -> Dataset:
    """Read a file in DSRL's layout (or D4RL's, which has no costs) as a dataset of one agent.

    Terminals and timeouts stay apart. Where ``timeouts`` is missing, episodes end at terminals, where
    ``next_observations`` does not continue in the next row, and at the time limit. Where
    ``next_observations`` is missing, see :func:`rllib_safemarl.data.assemble.without_next`. Rows after the
    last end belong to no episode and are left out.

    Args:
        source: a path, or the name of a DSRL task such as ``CarCircle``.
        task: name of the task, where the file's name does not say it.
        time_limit: steps of an episode, where neither task nor file say it.
        split_breaks: cut an episode where its rows do not follow one another, instead of refusing it.

    Raises:
        SafeMARLError: one line with file, column and row of what is wrong.
    """
    path, known = locate(source)
    known = find_task(task) if task else known
    limit = time_limit or (known.time_limit if known else None)
    with open_hdf5(path) as file:
        stored = read_columns(file, path, (*_VECTORS, *_NUMBERS))
    columns = _flat_columns(stored, str(path))
    episodes = _episodes(columns, limit, split_breaks, str(path))
    has_costs = "costs" in columns
    schema = single_kind(
        ("agent",),
        columns["observations"].shape[-1],
        _bounds(columns["actions"]),
        cost_names=("cost",) if has_costs else (),
        time_limit=limit,
    )
    provenance = Provenance(
        environment=known.file.rsplit("-", 2)[0] if known else "",
        cost_limits={"cost": known.cost_limits} if known and has_costs else {},
        source=path.name,
        task=known.name if known else "",
        notes=episodes.notes,
    )
    made = make_dataset(schema, episodes.rows, episodes.offsets, episodes.final, provenance, str(path))
    return check_values(made, str(path))


def _bounds(actions: NDArray) -> ActionSchema:
    """Bounds of ±1 if all actions keep to them, else none: the files do not say."""
    size = actions.shape[-1]
    bound = 1.0 if np.abs(actions).max(initial=0.0) <= 1.0 + 1e-6 else np.inf
    return ActionSchema.box([-bound] * size, [bound] * size)


def _flat_columns(stored: dict[str, NDArray], where: str) -> dict[str, NDArray]:
    """Known columns with one length, numbers as ``[R]`` (``[R, 1]`` is read too), in their types."""
    for name in _REQUIRED:
        if name not in stored:
            raise SafeMARLError(f"{where}: the column {name!r} is missing; DSRL's layout has it at the root.")
    if stored["observations"].ndim < 2:
        raise SafeMARLError(
            f"{where}: observations has shape {stored['observations'].shape}, not (rows, size)."
        )
    rows = len(stored["observations"])
    columns = {}
    for name in (*_VECTORS, *_NUMBERS):
        if name not in stored:
            continue
        column = stored[name]
        if name in _NUMBERS and column.shape == (rows, 1):
            column = column[:, 0]
        wanted = 2 if name in _VECTORS else 1
        if column.shape[:1] != (rows,) or column.ndim != wanted:
            shape = f"({rows}, size)" if wanted == 2 else f"({rows},)"
            raise SafeMARLError(f"{where}: {name} has shape {column.shape}; it must be {shape}.")
        letter = "b" if name in ("terminals", "timeouts") else "f"
        columns[name] = coerce(name, column, ColumnSpec((), letter), where)
    if rows == 0:
        raise SafeMARLError(f"{where}: there is no row.")
    same = columns.get("next_observations", columns["observations"]).shape == columns["observations"].shape
    if not same:
        raise SafeMARLError(f"{where}: next_observations and observations have different shapes.")
    return columns


def _episodes(columns: dict[str, NDArray], limit: int | None, split_breaks: bool, where: str) -> Episodes:
    ends, notes = _ends(columns, limit, where)
    offsets = cut_at(ends)
    if len(offsets) < 2:
        raise SafeMARLError(f"{where}: no row of terminals or timeouts marks the end of an episode.")
    total, left = int(offsets[-1]), len(ends) - int(offsets[-1])
    if left:
        notes += (f"The last {left} rows, which end no episode, were left out.",)
    timeouts = ends & ~columns["terminals"]
    if "timeouts" in columns:
        timeouts = columns["timeouts"]
    rows = {
        "observations": columns["observations"][:total, None],
        "actions": columns["actions"][:total, None],
        "rewards": columns["rewards"][:total, None],
        "terminals": columns["terminals"][:total, None],
        "timeouts": timeouts[:total],
    }
    if "costs" in columns:
        rows["costs"] = columns["costs"][:total, None, None]
    if "next_observations" not in columns:
        made = without_next(rows, offsets)
    else:
        after = {"observations": columns["next_observations"][:total, None]}
        made = with_next(rows, offsets, after, where, split_breaks)
    return Episodes(made.rows, made.offsets, made.final, notes + made.notes)


def _ends(columns: dict[str, NDArray], limit: int | None, where: str) -> tuple[NDArray, tuple[str, ...]]:
    """``[R]`` ends of episodes, and a note on how they were found."""
    terminals = columns["terminals"]
    if "timeouts" in columns:
        return terminals | columns["timeouts"], ()
    if "next_observations" in columns:
        ends = terminals | breaks(columns["observations"], columns["next_observations"])
        if limit:
            ends = ends | ends_by_count(ends, limit)
        return ends, ("timeouts were missing; episodes end where next observations do not go on.",)
    if limit:
        ends = terminals | ends_by_count(terminals, limit)
        return ends, (f"timeouts were missing; episodes end after {limit} steps.",)
    if terminals.any():
        return terminals, ("timeouts were missing; episodes end at terminals alone.",)
    raise SafeMARLError(
        f"{where}: ends of episodes cannot be told without timeouts, terminals or next_observations; "
        "give the time limit (--time-limit)."
    )
