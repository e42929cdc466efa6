"""Datasets as Parquet files for Ray Data: one row per chunk of an episode.

A column of the table holds, per chunk, a flat list of all numbers of that column of a dataset: ``[steps,
...]``, or ``[steps + 1, ...]`` for what is seen (observations, positions, neighbours, states, active), the
moment after the chunk's last step included. Sizes follow from the schema in the file's metadata and
``steps``. So a chunk stands alone: windows are cut from it without any other. Floats are split by bytes and
compressed by zstd, which packs them as small as HDF5 does and reads faster than a row per transition.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rllib_safemarl.data.atomic import atomic_path
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.chunks import cut_chunks, join_chunks
from rllib_safemarl.data.columns import FINAL, has_final
from rllib_safemarl.data.damage import damage_said
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.schema import schema_from_json, schema_to_json
from rllib_safemarl.errors import SafeMARLError

SUFFIX = ".parquet"
STEPS = "steps"
_EPISODES = "episodes/"
_METADATA, _VERSION_KEY, VERSION = b"safemarl", b"safemarl_version", b"1"
_SIZES = b"safemarl_sizes"
OVERLAP = b"safemarl_overlap"
"""Key of the metadata that says how many steps chunks repeat."""
_ROW_GROUP_BYTES = 1 << 24


def encode_chunks(chunks: Dataset) -> pa.Table:
    """A dataset of chunks as a table, one row per chunk; see the module's text."""
    names, arrays, sizes = [STEPS], [pa.array(chunks.lengths)], []
    for name in chunks.rows:
        column, bounds = chunks.rows[name], chunks.offsets
        if has_final(name):
            column, bounds = chunks.points(name), chunks.point_offsets
        tail = column.shape[1:]
        sizes.append(f"{name}={','.join(map(str, tail))}")
        flat = pa.array(np.ascontiguousarray(column).ravel())
        bounds = (bounds * int(np.prod(tail, dtype=np.int64))).astype(np.int32)
        names.append(name)
        arrays.append(pa.ListArray.from_arrays(pa.array(bounds), flat))
    for name, column in chunks.episodes.items():
        if not name.startswith(FINAL):
            names.append(_EPISODES + name)
            arrays.append(pa.array(column))
    metadata = {
        _METADATA: schema_to_json(chunks.schema, chunks.provenance).encode(),
        _VERSION_KEY: VERSION,
        _SIZES: ";".join(sizes).encode(),
    }
    return pa.table(dict(zip(names, arrays, strict=True))).replace_schema_metadata(metadata)


def decode_chunks(
    table: pa.Table, metadata: Mapping[bytes, bytes] | None = None, where: str = "chunks"
) -> Dataset:
    """The dataset of chunks in a table, or in some of its rows.

    Episode columns ``episode``, ``start`` and ``own_steps`` say which part of which episode each chunk is.

    Args:
        table: rows of a file, whole or not, such as a batch of Ray Data in the format ``pyarrow``.
        metadata: of the file's schema, where the table's own was lost on the way.
        where: the file, for messages.

    Raises:
        SafeMARLError: the table is not ours, or damaged.
    """
    metadata = metadata or table.schema.metadata or {}
    if metadata.get(_VERSION_KEY) != VERSION:
        raise SafeMARLError(
            f"{where} is no dataset of this package in version {VERSION.decode()}; convert it by "
            "safemarl data convert."
        )
    schema, provenance = schema_from_json(metadata[_METADATA].decode(), where)
    if STEPS not in table.column_names:
        raise SafeMARLError(f"{where}: the column {STEPS!r} is missing.")
    steps = table[STEPS].to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(steps)])
    rows: dict[str, NDArray] = {}
    episodes: dict[str, NDArray] = {}
    for name, tail in column_shapes(metadata).items():
        if name not in table.column_names:
            raise SafeMARLError(f"{where}: the column {name!r} is missing.")
        flat = flat_column(table[name], steps + has_final(name), tail, name, where)
        if has_final(name):
            is_last = np.zeros(len(flat), bool)
            is_last[np.cumsum(steps + 1) - 1] = True
            rows[name], episodes[FINAL + name] = flat[~is_last], flat[is_last]
        else:
            rows[name] = flat
    for name in table.column_names:
        if name.startswith(_EPISODES):
            episodes[name.removeprefix(_EPISODES)] = table[name].to_numpy()
    return make_dataset(schema, rows, offsets, episodes, provenance, where)


def column_shapes(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[int, ...]]:
    """Column → shape of one of its rows."""
    parts = (part.split("=") for part in metadata[_SIZES].decode().split(";"))
    return {name: tuple(int(size) for size in sizes.split(",") if size) for name, sizes in parts}


def flat_column(column: Any, moments: NDArray, tail: tuple[int, ...], name: str, where: str) -> NDArray:
    """All numbers of a list column as ``[moments of all chunks, *tail]``."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    size = int(np.prod(tail, dtype=np.int64))
    found = lists.value_lengths().to_numpy(zero_copy_only=False)
    if lists.null_count or (found != moments * size).any():
        chunk = int(np.flatnonzero(np.nan_to_num(found, nan=-1) != moments * size)[0])
        raise SafeMARLError(
            f"{where}: {name} of chunk {chunk} holds {found[chunk]} numbers; it must hold "
            f"{moments[chunk] * size}."
        )
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(int(moments.sum()), *tail)


def write_parquet(
    dataset: Dataset,
    path: str | Path,
    chunk_steps: int = 256,
    overlap: int = 32,
    first_episode: int = 0,
) -> Path:
    """Write one file of whole episodes in chunks; it appears whole or not at all.

    Args:
        dataset: what to write; its values are checked first.
        path: the file.
        chunk_steps: steps of a chunk at most, without its overlap.
        overlap: steps of the next chunk that each chunk repeats; the longest window that can be cut.
        first_episode: number of the dataset's first episode among those of all files.
    """
    path = Path(path)
    check_values(dataset, str(path))
    table = encode_chunks(cut_chunks(dataset, chunk_steps, overlap, first_episode))
    table = table.replace_schema_metadata({**table.schema.metadata, OVERLAP: str(overlap).encode()})
    floats = [
        f"{field.name}.list.element"
        for field in table.schema
        if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type)
    ]
    rows = max(1, int(_ROW_GROUP_BYTES / max(1.0, table.nbytes / max(1, table.num_rows))))
    with atomic_path(path) as draft:
        pq.write_table(
            table,
            draft,
            row_group_size=rows,
            compression="zstd",
            use_dictionary=False,
            use_byte_stream_split=floats,
            write_page_checksum=True,
        )
    return path


def read_parquet(path: str | Path) -> Dataset:
    """Read a file that :func:`write_parquet` wrote, as whole episodes.

    Raises:
        SafeMARLError: it is missing, cut off or damaged.
    """
    path = Path(path)
    with damage_said(path):
        dataset = join_chunks(decode_chunks(read_table(path), where=str(path)), str(path))
        return check_values(dataset, str(path))


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file's table.

    Raises:
        SafeMARLError: it is missing, cut off or damaged.
    """
    if not path.is_file():
        raise SafeMARLError(f"there is no dataset {path}.")
    try:
        # Not read_table(): that takes folders named key=value for columns.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise SafeMARLError(
            f"{path} cannot be read: it is cut off, damaged or no Parquet file "
            f"({str(error).splitlines()[0]}); copy it again."
        ) from error


def is_our_table(path: Path) -> bool:
    """Whether a Parquet file is a dataset of this package."""
    return _VERSION_KEY in (read_table(path, columns=[]).schema.metadata or {})
