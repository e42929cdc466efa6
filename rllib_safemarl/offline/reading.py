"""Row groups of Parquet shards, read ahead of time by Ray Data's workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rllib_safemarl.data.chunks import OWN_STEPS
from rllib_safemarl.data.columns import has_final
from rllib_safemarl.data.parquet import STEPS, column_shapes, flat_column
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.source import RowGroup
from rllib_safemarl.offline.windows import Pieces

_OWN_STEPS = f"episodes/{OWN_STEPS}"


def read_row_groups(
    groups: Sequence[RowGroup], metadata: Mapping[bytes, bytes], columns: Sequence[str] | None = None
) -> Iterator[Pieces]:
    """The pieces of row groups, in order.

    Args:
        groups: what to read.
        metadata: of the files' schema.
        columns: which row columns; ``None`` takes all.

    Raises:
        SafeMARLError: a file is damaged.
    """
    import ray.data

    names = list(column_shapes(metadata)) if columns is None else list(columns)
    items = [{"file": g.file, "number": g.number, "chunks": g.chunks.tobytes()} for g in groups]
    dataset = ray.data.from_items(items, override_num_blocks=len(items))
    dataset = dataset.map_batches(
        _read_row_group, batch_size=1, num_cpus=1, fn_kwargs={"columns": [STEPS, _OWN_STEPS, *names]}
    )
    context = dataset.context
    context.execution_options.preserve_order = True
    context.enable_progress_bars = context.print_on_execution_start = False
    context.raise_original_map_exception = True
    try:
        for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            yield _pieces(table, metadata, names)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SafeMARLError):
            # Further lines are Ray Data's advice.
            raise SafeMARLError(str(cause).splitlines()[0]) from error
        raise


def _read_row_group(item: dict[str, Any], columns: list[str]) -> pa.Table:
    """The chunks of a row group that are learned from; runs in Ray Data's workers."""
    path = str(item["file"][0])
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read_row_group(int(item["number"][0]), columns)
    except (OSError, pa.ArrowException) as error:
        raise SafeMARLError(
            f"{path} cannot be read: it was changed or damaged while it was learned from "
            f"({str(error).splitlines()[0]}); copy it again."
        ) from error
    chunks = np.frombuffer(item["chunks"][0], np.int64)
    return table if len(chunks) == table.num_rows else table.take(chunks)


def _pieces(table: pa.Table, metadata: Mapping[bytes, bytes], names: Sequence[str]) -> Pieces:
    """Chunks in a table as arrays of their own: the object store is free again at once."""
    lengths = np.array(table[STEPS].to_numpy(), np.int64)
    shapes = column_shapes(metadata)
    columns = {
        name: np.array(flat_column(table[name], lengths + has_final(name), shapes[name], name, "a row group"))
        for name in names
    }
    return Pieces(
        lengths,
        np.array(table[_OWN_STEPS].to_numpy(), np.int64),
        {name: column for name, column in columns.items() if not has_final(name)},
        {name: column for name, column in columns.items() if has_final(name)},
    )
