"""Where windows come from: a dataset read once into columns, or Parquet files too large for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rllib_safemarl.data import parquet, shards
from rllib_safemarl.data.chunks import EPISODE, OWN_STEPS
from rllib_safemarl.data.columns import SPLIT, SPLITS
from rllib_safemarl.data.dataset import Dataset, concatenate
from rllib_safemarl.data.files import iterate_dataset
from rllib_safemarl.data.hdf5 import SUFFIXES, import_h5py
from rllib_safemarl.data.normaliser import NormaliserStatistics
from rllib_safemarl.data.schema import Schema
from rllib_safemarl.errors import SafeMARLError

Prepare = Callable[[Dataset], Dataset]
ALL = "all"
BLOCK_WINDOWS = 32
"""Windows in a block of a dataset in memory."""
POOL_BYTES = 128 << 20
"""Columns of streamed windows that are shuffled together at most; a learner holds about three times that."""


@dataclass(frozen=True)
class RowGroup:
    """A piece of a Parquet file that is read whole.

    Attributes:
        file: its path.
        number: which of the file's row groups.
        chunks: ``[M]`` the rows of it that are learned from.
    """

    file: str
    number: int
    chunks: NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """A dataset as learners see it.

    Attributes:
        schema: agents, kinds, costs.
        statistics: of its columns.
        counts: ``[K]`` windows in each block.
        dataset: its episodes, if they are in memory.
        row_groups: its K blocks, if they are streamed.
        metadata: of the streamed files' schema.
        window_bytes: columns of a streamed window's first step, 0 in memory.
    """

    schema: Schema
    statistics: NormaliserStatistics
    counts: NDArray[np.int64]
    dataset: Dataset | None = None
    row_groups: Sequence[RowGroup] = ()
    metadata: Mapping[bytes, bytes] = field(default_factory=dict)
    window_bytes: float = 0.0

    @property
    def streamed(self) -> bool:
        """Whether blocks are read while they are learned from."""
        return self.dataset is None

    def width(self, column: str) -> int:
        """Length of the last axis of a row column; 0 where there is none."""
        if self.dataset is not None:
            rows = self.dataset.rows
            return rows[column].shape[-1] if column in rows else 0
        return parquet.column_shapes(self.metadata).get(column, (0,))[-1]

    def pool_windows(self, wanted: int) -> int:
        """How many windows to shuffle together: as many as wanted, but no more than memory is meant for."""
        if not self.window_bytes:
            return wanted
        return max(1, min(wanted, int(POOL_BYTES / self.window_bytes)))

    def has(self, column: str) -> bool:
        """Whether there is such a row column."""
        rows = parquet.column_shapes(self.metadata) if self.dataset is None else self.dataset.rows
        return column in rows


def open_source(
    paths: str | Sequence[str],
    split: str = "train",
    in_memory_bytes: float = 1 << 30,
    horizon: int = 1,
    prepare: Prepare | None = None,
) -> Source:
    """Open one dataset, or several of the same schema.

    Args:
        paths: files or folders, see :func:`rllib_safemarl.data.read_dataset`.
        split: ``train``, ``selection``, ``calibration`` or ``all``; a dataset without splits is taken whole
            as ``train``.
        in_memory_bytes: what is larger is streamed.
        horizon: steps of the windows that will be cut.
        prepare: from a :class:`Dataset` of one split to what is learned from: fewer episodes, more columns.

    Raises:
        SafeMARLError: a file is damaged, the split is missing or empty, or it is too large and
            cannot be streamed.
    """
    if split not in (*SPLITS, ALL):
        raise SafeMARLError(f"there is no split {split!r}; it must be one of {', '.join((*SPLITS, ALL))}.")
    files = _paths(paths)
    if not is_streamed(paths, in_memory_bytes):
        return _in_memory(files, split, prepare)
    if prepare is not None:
        raise SafeMARLError(
            "this algorithm looks at the dataset as a whole, which is too large for in_memory_bytes: raise "
            "it, or keep fewer episodes by safemarl data convert."
        )
    return _streamed(files, split, horizon)


def is_streamed(paths: str | Sequence[str], in_memory_bytes: float) -> bool:
    """Whether datasets are too large to be read at once."""
    return sum(map(size_in_memory, _paths(paths))) > in_memory_bytes


def _paths(paths: str | Sequence[str]) -> list[Path]:
    return [Path(path).expanduser() for path in ([paths] if isinstance(paths, str) else paths)]


def size_in_memory(path: Path) -> int:
    """Bytes of a dataset's columns, from what its files say of themselves.

    Raises:
        SafeMARLError: there is none, or it cannot be read.
    """
    total = 0
    for file in _files(path):
        try:
            if file.suffix == parquet.SUFFIX:
                with pq.ParquetFile(file) as opened:
                    groups = range(opened.metadata.num_row_groups)
                    total += sum(opened.metadata.row_group(g).total_byte_size for g in groups)
            elif file.suffix in SUFFIXES:
                with import_h5py().File(file) as opened:
                    total += _hdf5_bytes(opened)
        except OSError as error:
            raise SafeMARLError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from error
    return total


def _hdf5_bytes(group: Any) -> int:
    """Bytes of all datasets in a group of an HDF5 file, uncompressed."""
    return sum(each.nbytes if hasattr(each, "nbytes") else _hdf5_bytes(each) for each in group.values())


def _files(path: Path) -> list[Path]:
    """The files of a dataset."""
    if path.is_dir():
        return [path / shard["file"] for shard in shards.read_manifest(path)["shards"]]
    if not path.is_file():
        raise SafeMARLError(f"there is no dataset {path}.")
    return [path]


def _in_memory(files: Sequence[Path], split: str, prepare: Prepare | None) -> Source:
    dataset = concatenate([part for file in files for part in iterate_dataset(file)])
    if split != ALL and (SPLIT in dataset.episodes or split != "train"):
        codes = dataset.episodes.get(SPLIT)
        if codes is not None and not (codes == SPLITS.index(split)).any():
            raise SafeMARLError(f"no episode of {files[0]} is in the split {split!r}.")
        dataset = dataset.split(split)
    if prepare is not None:
        dataset = prepare(dataset)
    counts = np.full(-(-dataset.num_rows // BLOCK_WINDOWS), BLOCK_WINDOWS)
    counts[-1] = dataset.num_rows - counts[:-1].sum()
    return Source(dataset.schema, NormaliserStatistics.of(dataset), counts, dataset)


def _streamed(paths: Sequence[Path], split: str, horizon: int) -> Source:
    row_groups: list[RowGroup] = []
    counts: list[int] = []
    size = 0.0
    metadata: Mapping[bytes, bytes] = {}
    statistics: NormaliserStatistics | None = None
    for path in paths:
        if not path.is_dir():
            raise SafeMARLError(
                f"{path} is larger than in_memory_bytes and is one file: write a folder of shards by "
                "safemarl data convert, which can be streamed, or raise in_memory_bytes."
            )
        manifest = shards.read_manifest(path)
        if manifest["storage"] != "parquet":
            raise SafeMARLError(
                f"{path} is larger than in_memory_bytes, and only Parquet shards are streamed: convert it by "
                "safemarl data convert, or raise in_memory_bytes."
            )
        if manifest["statistics"] is None:
            raise SafeMARLError(f"{path} is not finished: it has no statistics yet; complete or convert it.")
        statistics = (
            manifest["statistics"] if statistics is None else statistics.merge(manifest["statistics"])
        )
        chosen = _chosen(path, split)
        for file in _files(path):
            metadata = _check_overlap(file, horizon)
            for group, windows, group_bytes in _row_groups(file, chosen):
                row_groups.append(group)
                counts.append(windows)
                size += group_bytes
    if not counts:
        raise SafeMARLError(f"no episode of {paths[0]} is in the split {split!r}.")
    assert statistics is not None
    schema = shards.read_manifest(paths[0])["schema"]
    return Source(schema, statistics, np.array(counts), None, row_groups, metadata, size / sum(counts))


def _check_overlap(file: Path, horizon: int) -> Mapping[bytes, bytes]:
    metadata = pq.read_schema(file).metadata or {}
    overlap = int(metadata.get(parquet.OVERLAP, b"0"))
    if horizon > overlap + 1:
        raise SafeMARLError(
            f"{file}: its chunks repeat {overlap} steps, too few for windows of {horizon}: convert it by "
            f"safemarl data convert --overlap {horizon - 1}."
        )
    return metadata


def _chosen(path: Path, split: str) -> NDArray[np.bool_] | None:
    """``[E]`` episodes of a split, or ``None`` for all."""
    codes = shards.read_split(path)
    if split == ALL or (codes is None and split == "train"):
        return None
    if codes is None:
        raise SafeMARLError(f"{path} is not split yet; use safemarl data split.")
    return codes == SPLITS.index(split)


def _row_groups(file: Path, chosen: NDArray[np.bool_] | None) -> list[tuple[RowGroup, int, float]]:
    """Row groups of a file with windows to learn from, how many these are, and the bytes of their columns."""
    found = []
    with pq.ParquetFile(file) as opened:
        for number in range(opened.metadata.num_row_groups):
            places = opened.read_row_group(number, [f"episodes/{EPISODE}", f"episodes/{OWN_STEPS}"])
            episode, own = (places[f"episodes/{name}"].to_numpy() for name in (EPISODE, OWN_STEPS))
            kept = np.arange(len(own)) if chosen is None else np.flatnonzero(chosen[episode])
            if len(kept):
                share = opened.metadata.row_group(number).total_byte_size * len(kept) / len(own)
                found.append((RowGroup(str(file), number, kept), int(own[kept].sum()), share))
    return found
