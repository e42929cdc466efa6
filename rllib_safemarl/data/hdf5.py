"""Datasets as HDF5 files: a strict superset of DSRL's layout (needs h5py, the extra ``data``).

A file of **one agent** *is* a DSRL file: at the root ``observations``, ``next_observations``, ``actions``
``[rows, size]``, ``rewards``, ``costs``, ``terminals``, ``timeouts`` ``[rows]``, gzip-compressed; float32,
flags as bool. Everything else comes on top, and no dataset is a scalar, so that a reader which slices every
dataset of the file by rows gets through.

**Several agents** add the agent axis: ``observations [rows, agents, size]``, ``rewards [rows, agents]``, and
so on; ``timeouts`` stays ``[rows]``, for an episode is cut for all at once. Several costs add a last axis to
``costs``. As next observations are the following row's, only the last of each episode is kept, in
``final/observations [episodes, agents, size]``, which halves the file; ``next_observations=True`` writes them
out as well.

**Kinds.** Where agents differ in the sizes of observations or actions, ``observations`` and ``actions`` are
groups with a dataset per kind, ``observations/<kind> [rows, agents of the kind, size]``. Padding to the
largest kind would waste space and hide the sizes; a group per *agent* would lose the axis along which
policies shared by a kind are trained; so the kind is the unit, as in
:class:`rllib_safemarl.envs.vector.VectorEnv`. Agents of one kind need no group, and their file looks as
above.

Optional row datasets: ``active`` (left out when all act always), ``margins``, ``positions``,
``neighbours``, ``states``, ``team_state``, ``signals/<name>``. Episode datasets: ``episode_offsets
[episodes + 1]``, ``split``, ``final/<name>``, ``episodes/<name>``. Attributes of the root: ``format``,
``format_version``, ``metadata`` (JSON: agents, kinds, costs, time limit, graph, and provenance: environment,
env_config, behaviours, cost limits, seed, version, command, source, label), ``content_hash``. For meanings
see :class:`rllib_safemarl.data.dataset.Dataset`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.atomic import atomic_path
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.columns import FINAL, SPLIT, row_specs
from rllib_safemarl.data.damage import damage_said
from rllib_safemarl.data.dataset import Dataset, check_offsets, make_dataset
from rllib_safemarl.data.schema import Schema, schema_from_json, schema_to_json
from rllib_safemarl.errors import SafeMARLError

FORMAT = "rllib_safemarl dataset"
VERSION = 1
SUFFIXES = (".h5", ".hdf5")
_CHUNK_BYTES = 1 << 18
_OFFSETS = "episode_offsets"
_EPISODES = "episodes/"


def import_h5py() -> Any:
    """h5py, or one line that names the extra."""
    try:
        import h5py
    except ImportError as error:
        raise SafeMARLError("HDF5 files need h5py: pip install 'rllib_safemarl[data]'.") from error
    return h5py


def write_hdf5(dataset: Dataset, path: str | Path, next_observations: bool = False) -> Path:
    """Write a dataset; the file appears whole or not at all, and replaces one of its name.

    Args:
        dataset: what to write; its values are checked first.
        path: ends in ``.h5`` or ``.hdf5``.
        next_observations: write them out for several agents too.

    Raises:
        SafeMARLError: h5py is missing, or values are bad.
    """
    h5py, path = import_h5py(), Path(path)
    check_values(dataset, str(path))
    with atomic_path(path) as draft, h5py.File(draft, "w") as file:
        for name, column in _file_columns(dataset, next_observations).items():
            row_bytes = max(1, int(np.prod(column.shape[1:], dtype=np.int64)) * column.itemsize)
            rows = int(np.clip(_CHUNK_BYTES // row_bytes, 1, max(1, len(column))))
            chunks = (rows, *(max(1, size) for size in column.shape[1:]))
            file.create_dataset(name, data=column, chunks=chunks, compression="gzip", shuffle=True)
        file.attrs["format"], file.attrs["format_version"] = FORMAT, VERSION
        file.attrs["metadata"] = schema_to_json(dataset.schema, dataset.provenance)
        file.attrs["content_hash"] = dataset.content_hash
    return path


def _file_columns(dataset: Dataset, next_observations: bool) -> dict[str, NDArray]:
    """Columns by their names in the file, without what follows from the others."""
    schema = dataset.schema
    alone = schema.num_agents == 1
    stored: dict[str, NDArray] = {}
    for name, column in dataset.rows.items():
        stored[_file_name(schema, name)] = _without_axes(schema, name, column)
        if name.startswith("observations/") and (alone or next_observations):
            after = _without_axes(schema, name, dataset.next(name))
            stored["next_" + _file_name(schema, name)] = after
    if dataset["active"].all():
        del stored["active"]
    if not schema.cost_names:
        del stored["costs"]
    for name, column in dataset.episodes.items():
        if name.startswith(FINAL):
            of_rows = name.removeprefix(FINAL)
            stored[FINAL + _file_name(schema, of_rows)] = _without_axes(schema, of_rows, column)
        else:
            stored[name if name == SPLIT else _EPISODES + name] = column
    if alone:
        # They stand in next_observations.
        stored.pop(FINAL + "observations")
    stored[_OFFSETS] = dataset.offsets
    return stored


def _file_name(schema: Schema, name: str) -> str:
    """One kind needs no group."""
    is_of_kind = name.startswith(("observations/", "actions/"))
    return name.split("/")[0] if is_of_kind and len(schema.kinds) == 1 else name


def _without_axes(schema: Schema, name: str, column: NDArray) -> NDArray:
    """Drop the axis of a single cost, and that of a single agent."""
    if name == "costs" and column.shape[-1] == 1:
        column = column[..., 0]
    return column[:, 0] if schema.num_agents == 1 and _is_per_agent(schema, name) else column


def _with_axes(schema: Schema, name: str, column: NDArray) -> NDArray:
    """The inverse of :func:`_without_axes`; shapes are checked afterwards."""
    if schema.num_agents == 1 and _is_per_agent(schema, name) and column.ndim:
        column = column[:, None]
    return column[..., None] if name == "costs" and len(schema.cost_names) == 1 else column


def _is_per_agent(schema: Schema, name: str) -> bool:
    spec = row_specs(schema).get(name)
    return spec.per_agent if spec else True


def is_ours(path: Path) -> bool:
    """Whether an HDF5 file has our attributes; one without is read as DSRL's.

    Raises:
        SafeMARLError: it cannot be opened.
    """
    with damage_said(path), open_hdf5(path) as file:
        return file.attrs.get("format") == FORMAT


def open_hdf5(path: Path) -> Any:
    """An HDF5 file for reading.

    Raises:
        SafeMARLError: it does not exist, is no HDF5 file, or is cut off.
    """
    h5py = import_h5py()
    if not path.is_file():
        raise SafeMARLError(f"there is no dataset {path}.")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = "it is cut off" if "truncated" in str(error) else "it is no HDF5 file, or damaged"
        raise SafeMARLError(
            f"{path} cannot be read: {reason}; copy or download it again (HDF5 says: {first_line(error)})."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read_columns(file: Any, path: Path, only: tuple[str, ...] | None = None) -> dict[str, NDArray]:
    """Datasets of an open file, by their names; ``only`` some of them, or all.

    Raises:
        SafeMARLError: one of them is damaged.
    """
    h5py, names = import_h5py(), []
    try:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    except (OSError, RuntimeError, KeyError) as error:
        raise SafeMARLError(f"{path} is damaged: {first_line(error)}; copy it again.") from error
    columns = {}
    for name in names:
        if only is not None and name not in only:
            continue
        try:
            columns[name] = np.asarray(file[name][()])
        except (OSError, RuntimeError, KeyError) as error:
            raise SafeMARLError(
                f"{path}: {name} is damaged ({first_line(error)}); copy the file again."
            ) from error
    return columns


def read_hdf5(path: str | Path, verify_hash: bool = False) -> Dataset:
    """Read a file that :func:`write_hdf5` wrote, whole.

    Args:
        path: the file.
        verify_hash: compare with the hash in the file too.

    Raises:
        SafeMARLError: one line with file, column and row of what is wrong.
    """
    path = Path(path)
    with damage_said(path):
        return _read_hdf5(path, verify_hash)


def _read_hdf5(path: Path, verify_hash: bool) -> Dataset:
    with open_hdf5(path) as file:
        found, version = file.attrs.get("format"), file.attrs.get("format_version")
        if found != FORMAT or version != VERSION:
            raise SafeMARLError(
                f"{path} is {found!r} of version {version}; this package reads {FORMAT!r} of "
                f"version {VERSION}."
            )
        schema, provenance = schema_from_json(file.attrs.get("metadata", ""), str(path))
        content_hash = file.attrs.get("content_hash")
        stored = read_columns(file, path)
    if _OFFSETS not in stored:
        raise SafeMARLError(f"{path}: the column {_OFFSETS!r} is missing.")
    offsets = check_offsets(stored.pop(_OFFSETS), str(path))
    rows, episodes = _split_columns(schema, stored, offsets)
    dataset = check_values(make_dataset(schema, rows, offsets, episodes, provenance, str(path)), str(path))
    if verify_hash and dataset.content_hash != content_hash:
        raise SafeMARLError(
            f"{path}: the columns do not fit their content_hash; the file was changed or damaged since it "
            "was written."
        )
    return dataset


def _split_columns(
    schema: Schema, stored: dict[str, NDArray], offsets: NDArray
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Row and episode columns under their names in memory."""
    rows: dict[str, NDArray] = {}
    episodes: dict[str, NDArray] = {}
    for name, column in stored.items():
        if name == SPLIT or name.startswith(_EPISODES):
            episodes[name.removeprefix(_EPISODES)] = column
        elif name.startswith(FINAL):
            of_rows = name.removeprefix(FINAL)
            episodes[FINAL + of_rows] = _with_axes(schema, _kind_name(schema, of_rows), column)
        elif not name.startswith("next_observations"):
            rows[name] = _with_axes(schema, _kind_name(schema, name), column)
        elif schema.num_agents == 1 and len(column) == offsets[-1]:
            episodes[FINAL + "observations"] = column[offsets[1:] - 1][:, None]
    return rows, episodes


def _kind_name(schema: Schema, name: str) -> str:
    return f"{name}/{schema.kinds[0].name}" if name in ("observations", "actions") else name


def set_split(path: str | Path, split: NDArray) -> None:
    """Keep a split ``[E]`` in a file, which is replaced atomically.

    Args:
        path: of the file.
        split: codes of :data:`rllib_safemarl.data.columns.SPLITS`.
    """
    h5py, path = import_h5py(), Path(path)
    with atomic_path(path) as draft:
        shutil.copyfile(path, draft)
        with h5py.File(draft, "r+") as file:
            if SPLIT in file:
                del file[SPLIT]
            file.create_dataset(SPLIT, data=np.asarray(split, np.int64), compression="gzip")
