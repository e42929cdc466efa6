"""The parts of a recording on disk: written as episodes are recorded, so that a rerun goes on with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from rllib_safemarl.data.atomic import write_text
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.schema import Provenance
from rllib_safemarl.data.shards import ShardWriter, iterate_shards
from rllib_safemarl.data.statistics import episode_table
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder
from rllib_safemarl.evaluation.recording_recipe import Recipe

SUFFIX = ".parts"
_RECIPE, _SHARDS = "recipe.json", "shards"
_MOST_EPISODES = 64
"""Of a part."""

Watch = Callable[[int, int], None]
"""Called with episodes and steps whenever some were recorded."""


class Recording(Protocol):
    """Records chunks of episodes, in their order."""

    def __call__(self, chunks: Sequence[range], watch: Watch) -> Iterator[Dataset]:
        """The episodes of each chunk."""


class Parts:
    """The folder of a recording under way, beside the file that it will become.

    Args:
        out: the dataset that is to be.
        recipe: of the recording.
    """

    def __init__(self, out: Path, recipe: Recipe) -> None:
        self.folder = out.with_name(out.name + SUFFIX)
        self.recipe = recipe

    @property
    def exists(self) -> bool:
        """Whether a recording has begun, of this recipe or another."""
        return self.folder.is_dir()

    def open(self, restart: bool) -> None:
        """Begin, or go on where an earlier run was stopped.

        Args:
            restart: throw parts of another recipe away.

        Raises:
            SafeMARLError: the folder holds parts of another recipe.
        """
        mine, path = self.recipe.fingerprint(), self.folder / _RECIPE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            found = None
        if self.exists and found != mine:
            if found is None and any(self.folder.iterdir()):
                raise SafeMARLError(f"{self.folder} holds no parts of a recording; move it, or change --out.")
            if found is not None and not restart:
                raise SafeMARLError(
                    f"{self.folder} holds parts of another recipe; --overwrite throws them away, or choose "
                    "another --out."
                )
            self.remove()
        write_text(path, json.dumps({"fingerprint": mine, **self.recipe.to_json()}, indent=1, default=str))

    def record(self, schema: Any, provenance: Provenance, run: Recording, workers: int, watch: Watch) -> None:
        """Record the episodes that are missing.

        Args:
            schema: of the episodes.
            provenance: of the dataset.
            run: records them.
            workers: how many record at once.
            watch: told of progress, of what was there before, too.
        """
        # Without overlap: nothing is read from these shards but whole episodes.
        with ShardWriter(self.folder / _SHARDS, schema, provenance, overlap=0) as writer:
            first, last = writer.num_episodes, self.recipe.episodes
            watch(first, 0)
            size = int(np.clip((last - first) // (20 * workers), 1, _MOST_EPISODES))
            chunks = [range(start, min(start + size, last)) for start in range(first, last, size)]
            for recorded in run(chunks, watch):
                writer.append(recorded)

    def pieces(self) -> Iterator[Dataset]:
        """What was recorded, shard by shard."""
        return iterate_shards(self.folder / _SHARDS)

    def table(self) -> pd.DataFrame:
        """A line per recorded episode."""
        return episode_table(self.pieces())

    def remove(self) -> None:
        """Throw everything away."""
        shutil.rmtree(self.folder)


def record_here(recorder: EpisodeRecorder) -> Recording:
    """Record in this process, one episode after another."""

    def run(chunks: Sequence[range], watch: Watch) -> Iterator[Dataset]:
        return (recorder.record(chunk, lambda steps: watch(1, steps)) for chunk in chunks)

    return run


def record_on_ray(recipe: Recipe, workers: int) -> Recording:
    """Record in processes of a Ray cluster, which must have been started.

    Args:
        recipe: what to record.
        workers: processes, a CPU each.
    """

    def run(chunks: Sequence[range], watch: Watch) -> Iterator[Dataset]:
        import ray

        actors = [ray.remote(num_cpus=1)(EpisodeRecorder).remote(recipe) for _ in range(workers)]
        # Two chunks for everybody, so that none waits for the driver to write.
        ahead, pending = 2 * workers, []
        for place, chunk in enumerate(chunks):
            pending.append((chunk, actors[place % workers].record.remote(chunk)))
            if len(pending) == ahead:
                yield _result(*pending.pop(0), watch)
        while pending:
            yield _result(*pending.pop(0), watch)

    return run


def _result(chunk: range, reference: Any, watch: Watch) -> Dataset:
    import ray

    try:
        recorded = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, SafeMARLError):
            raise cause from None
        line = " ".join(str(cause or error).split())[-300:]
        raise SafeMARLError(
            f"episodes {chunk.start} to {chunk.stop - 1}: a process failed: {line}"
        ) from error
    watch(len(chunk), recorded.num_rows)
    return recorded
