"""Datasets by path: one HDF5 or Parquet file, or a folder of shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data import hdf5, parquet, shards
from rllib_safemarl.data.columns import SPLIT
from rllib_safemarl.data.damage import damage_said
from rllib_safemarl.data.dataset import Dataset, concatenate
from rllib_safemarl.errors import SafeMARLError

SHARD_BYTES = 96 << 20


def read_dataset(path: str | Path, verify_hash: bool = False) -> Dataset:
    """Read a dataset whole.

    Args:
        path: an HDF5 file of ours or in DSRL's layout, a Parquet file of ours, or a folder of shards.
        verify_hash: compare with stored hashes too.

    Raises:
        SafeMARLError: one line with file, column and row of what is wrong.
    """
    return concatenate(list(iterate_dataset(path, verify_hash)))


def iterate_dataset(path: str | Path, verify_hash: bool = False) -> Iterator[Dataset]:
    """Read a dataset piece by piece: a folder's shards, or a file whole; see :func:`read_dataset`."""
    path = Path(path).expanduser()
    with damage_said(path):
        yield from _pieces(path, verify_hash)


def _pieces(path: Path, verify_hash: bool) -> Iterator[Dataset]:
    if path.is_dir():
        yield from shards.iterate_shards(path, verify_hash)
    elif path.suffix == parquet.SUFFIX:
        yield parquet.read_parquet(path)
    elif path.suffix in hdf5.SUFFIXES:
        if hdf5.is_ours(path):
            yield hdf5.read_hdf5(path, verify_hash)
        else:
            from rllib_safemarl.data.dsrl import read_dsrl

            yield read_dsrl(path)
    elif not path.exists():
        raise SafeMARLError(f"there is no dataset {path}.")
    else:
        raise SafeMARLError(
            f"{path} is no dataset: use a file .h5, .hdf5 or .parquet, or a folder of shards; convert "
            "others by safemarl data convert."
        )


def write_dataset(dataset: Dataset, path: str | Path, shard_bytes: int = SHARD_BYTES) -> Path:
    """Write a dataset as its path says.

    ``.h5`` and ``.hdf5`` are one HDF5 file, ``.parquet`` one Parquet file, no suffix a folder of Parquet
    shards.

    Args:
        dataset: what to write.
        path: where to.
        shard_bytes: bytes of columns of one shard at most, though at least an episode.

    Raises:
        SafeMARLError: another suffix, bad values, or a folder that exists.
    """
    path = Path(path).expanduser()
    if path.suffix in hdf5.SUFFIXES:
        return hdf5.write_hdf5(dataset, path)
    if path.suffix == parquet.SUFFIX:
        return parquet.write_parquet(dataset, path)
    if path.suffix:
        raise SafeMARLError(
            f"{path}: write to a file .h5, .hdf5 or .parquet, or to a folder (a name without suffix)."
        )
    if path.is_dir() and any(path.iterdir()):
        raise SafeMARLError(f"{path} is not empty; choose another folder.")
    per_row = max(1.0, dataset.nbytes / dataset.num_rows)
    shard_of = (dataset.offsets[1:] - 1) // max(1, int(shard_bytes / per_row))
    with shards.ShardWriter(path, dataset.schema, dataset.provenance) as writer:
        for shard in np.unique(shard_of):
            writer.append(dataset.select(shard_of == shard))
    if SPLIT in dataset.episodes:
        shards.write_split(path, dataset.episodes[SPLIT])
    return path


def keep_split(path: str | Path, split: NDArray) -> None:
    """Keep a split ``[E]`` in a dataset's own file or folder.

    Raises:
        SafeMARLError: the file is not of this package.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        shards.write_split(path, split)
    elif path.suffix == parquet.SUFFIX:
        dataset = parquet.read_parquet(path)
        parquet.write_parquet(replace(dataset, episodes={**dataset.episodes, SPLIT: split}), path)
    elif hdf5.is_ours(path):
        hdf5.set_split(path, split)
    else:
        raise SafeMARLError(
            f"{path} is in DSRL's layout and stays as it is; convert it by safemarl data convert, then split."
        )
