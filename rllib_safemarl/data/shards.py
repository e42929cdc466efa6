"""Datasets as folders of shards: written piece by piece, read one shard at a time.

``dataset.json`` lists the shards that are part of the dataset, with rows, episodes, bytes and SHA-256. A
shard is written to a temporary file, renamed, and only then listed: whatever stops the writer, the folder
holds a valid dataset, and :class:`ShardWriter` goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.atomic import atomic_path, file_sha256, write_text
from rllib_safemarl.data.columns import SPLIT
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.hdf5 import read_hdf5, write_hdf5
from rllib_safemarl.data.normaliser import NormaliserStatistics
from rllib_safemarl.data.parquet import read_parquet, write_parquet
from rllib_safemarl.data.schema import Provenance, Schema, schema_from_json, schema_to_json
from rllib_safemarl.errors import SafeMARLError

MANIFEST, SPLIT_FILE = "dataset.json", "split.npy"
FORMAT, VERSION = "rllib_safemarl shards", 1
STORAGES = {"parquet": ".parquet", "hdf5": ".h5"}


class ShardWriter:
    """Appends episodes to a folder, shard by shard.

    ``with ShardWriter(folder, schema, provenance) as writer: writer.append(dataset)``. A folder that exists
    is continued. Leaving the block without an error marks the dataset as finished.

    Args:
        folder: of the shards.
        schema: of all of them.
        provenance: of all of them.
        storage: ``parquet`` (for Ray Data) or ``hdf5``.
        chunk_steps: see :func:`write_parquet`.
        overlap: see :func:`write_parquet`.

    Attributes:
        num_episodes: episodes written so far, those of earlier runs included.
        num_rows: their rows.

    Raises:
        SafeMARLError: the folder holds something else, or another schema.
    """

    def __init__(
        self,
        folder: str | Path,
        schema: Schema,
        provenance: Provenance | None = None,
        storage: str = "parquet",
        chunk_steps: int = 256,
        overlap: int = 32,
    ) -> None:
        if storage not in STORAGES:
            raise SafeMARLError(f"storage must be one of {', '.join(STORAGES)}, not {storage!r}.")
        self.folder, self.schema = Path(folder), schema
        self._storage, self._chunking = storage, (chunk_steps, overlap)
        self._shards: list[dict[str, Any]] = []
        self._statistics: NormaliserStatistics | None = None
        self.provenance = provenance or Provenance()
        if (self.folder / MANIFEST).is_file():
            self._continue()
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise SafeMARLError(f"{self.folder} is not empty and holds no dataset; choose another folder.")

    def _continue(self) -> None:
        manifest = read_manifest(self.folder)
        if manifest["storage"] != self._storage or manifest["schema"] != self.schema:
            raise SafeMARLError(
                f"{self.folder} holds a dataset of another storage or schema; choose another folder."
            )
        self._shards, self.provenance = manifest["shards"], manifest["provenance"]
        self._statistics = manifest["statistics"]
        (self.folder / SPLIT_FILE).unlink(missing_ok=True)

    @property
    def num_episodes(self) -> int:
        """Episodes of all shards."""
        return sum(shard["episodes"] for shard in self._shards)

    @property
    def num_rows(self) -> int:
        """Rows of all shards."""
        return sum(shard["rows"] for shard in self._shards)

    def append(self, dataset: Dataset) -> Path:
        """Write whole episodes as one shard; about 64 to 128 MB of columns are a good size.

        Raises:
            SafeMARLError: another schema, or bad values.
        """
        if dataset.schema != self.schema:
            raise SafeMARLError(f"{self.folder}: the episodes to append have another schema.")
        # Splits belong to the whole.
        kept = {name: column for name, column in dataset.episodes.items() if name != SPLIT}
        dataset = replace(dataset, provenance=self.provenance, episodes=kept)
        path = self.folder / f"shard-{len(self._shards):05d}{STORAGES[self._storage]}"
        if self._storage == "parquet":
            write_parquet(dataset, path, *self._chunking, self.num_episodes)
        else:
            write_hdf5(dataset, path)
        self._shards.append(
            {
                "file": path.name,
                "rows": dataset.num_rows,
                "episodes": dataset.num_episodes,
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
            }
        )
        statistics = NormaliserStatistics.of(dataset)
        self._statistics = statistics if self._statistics is None else self._statistics.merge(statistics)
        self._write(finished=False)
        return path

    def finish(self) -> None:
        """Mark the dataset as complete.

        Raises:
            SafeMARLError: nothing was written.
        """
        if not self._shards:
            raise SafeMARLError(f"{self.folder}: no episode was written.")
        self._write(finished=True)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.finish()

    def _write(self, finished: bool) -> None:
        described = json.loads(schema_to_json(self.schema, self.provenance))
        statistics = self._statistics.to_json() if self._statistics else {}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "finished": finished,
            "storage": self._storage,
            "overlap": self._chunking[1],
            **described,
            "shards": self._shards,
            "statistics": statistics,
        }
        write_text(self.folder / MANIFEST, json.dumps(manifest, indent=1))


def read_manifest(folder: Path, check_files: bool = True) -> dict[str, Any]:
    """A folder's manifest, with ``schema``, ``provenance`` and ``statistics`` as objects.

    Raises:
        SafeMARLError: it is missing or damaged, or a shard is missing or of another size.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SafeMARLError(f"{folder} holds no dataset: there is no {MANIFEST} in it.") from None
    except ValueError as error:
        raise SafeMARLError(f"{path} is damaged: {error}.") from error
    if not isinstance(manifest, dict):
        raise SafeMARLError(f"{path} is damaged: it describes nothing.")
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise SafeMARLError(
            f"{path} is {manifest.get('format')!r} of version {manifest.get('version')!r}; this "
            f"package reads {FORMAT!r} of version {VERSION}."
        )
    try:
        manifest["schema"], manifest["provenance"] = schema_from_json(json.dumps(manifest), str(path))
        manifest["statistics"] = NormaliserStatistics.from_json(manifest["statistics"])
        if manifest["storage"] not in STORAGES or not isinstance(manifest["finished"], bool):
            raise ValueError("storage or finished is none of those known")
        for shard in manifest["shards"]:
            _check_described(shard)
            if check_files:
                _check_shard(folder / shard["file"], shard["bytes"])
    except SafeMARLError:
        raise
    except Exception as error:
        raise SafeMARLError(f"{path} is damaged ({type(error).__name__}: {error}).") from error
    return manifest


def _check_described(shard: dict[str, Any]) -> None:
    if any(type(shard[key]) is not int or shard[key] < 0 for key in ("rows", "episodes", "bytes")):
        raise ValueError("rows, episodes and bytes of a shard must be whole numbers")
    if Path(shard["file"]).name != shard["file"]:
        raise ValueError(f"the shard {shard['file']!r} lies elsewhere")


def _check_shard(path: Path, size: int) -> None:
    if not path.is_file():
        raise SafeMARLError(f"{path} is missing, though {MANIFEST} lists it; copy the whole folder again.")
    if path.stat().st_size != size:
        raise SafeMARLError(
            f"{path} has {path.stat().st_size} bytes, not the {size} that {MANIFEST} lists; copy it again."
        )


def iterate_shards(
    folder: str | Path, verify_hash: bool = False, unfinished: bool = False
) -> Iterator[Dataset]:
    """The shards of a folder, one after another, each a dataset of whole episodes with its part of the split.

    Args:
        folder: of the shards.
        verify_hash: compare every file with its SHA-256.
        unfinished: read a dataset whose writer has not finished.

    Raises:
        SafeMARLError: anything is missing, damaged or unfinished.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not manifest["finished"] and not unfinished:
        raise SafeMARLError(
            f"{folder} is unfinished: its writer stopped after {len(manifest['shards'])} shards; let "
            "it go on."
        )
    split, start = read_split(folder), 0
    for shard in manifest["shards"]:
        path = folder / shard["file"]
        if verify_hash and file_sha256(path) != shard.get("sha256"):
            raise SafeMARLError(f"{path} does not fit its SHA-256 in {MANIFEST}; it was changed or damaged.")
        dataset = read_parquet(path) if manifest["storage"] == "parquet" else read_hdf5(path)
        if dataset.schema != manifest["schema"] or dataset.num_episodes != shard["episodes"]:
            raise SafeMARLError(f"{path} does not belong to this dataset: {MANIFEST} describes another.")
        if split is not None:
            part = split[start : start + dataset.num_episodes]
            dataset = replace(dataset, episodes={**dataset.episodes, SPLIT: part})
        start += dataset.num_episodes
        yield dataset


def read_split(folder: Path) -> NDArray[np.int64] | None:
    """The split ``[E]`` of a folder's episodes, or ``None``.

    Raises:
        SafeMARLError: it is damaged or of another number of episodes.
    """
    path = folder / SPLIT_FILE
    if not path.is_file():
        return None
    episodes = sum(shard["episodes"] for shard in read_manifest(folder)["shards"])
    try:
        split = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SafeMARLError(f"{path} is damaged: {error}; run safemarl data split again.") from error
    if split.shape != (episodes,):
        raise SafeMARLError(
            f"{path} splits {len(split)} episodes, the dataset has {episodes}; run safemarl data split again."
        )
    return split


def write_split(folder: Path, split: NDArray) -> None:
    """Keep the split ``[E]`` of a folder's episodes."""
    with atomic_path(folder / SPLIT_FILE) as draft, draft.open("wb") as file:
        np.save(file, np.asarray(split, np.int64))
