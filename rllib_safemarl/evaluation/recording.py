"""From a recipe to a dataset: record what is missing, choose, split, write, and describe it on a card."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.data.columns import SPLIT
from rllib_safemarl.data.dataset import Dataset, concatenate
from rllib_safemarl.data.files import iterate_dataset, keep_split, write_dataset
from rllib_safemarl.data.hdf5 import SUFFIXES, import_h5py
from rllib_safemarl.data.parquet import SUFFIX as PARQUET
from rllib_safemarl.data.schema import Provenance
from rllib_safemarl.data.shards import MANIFEST, ShardWriter
from rllib_safemarl.data.splits import split_episodes
from rllib_safemarl.data.statistics import episode_table
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_card import write_card
from rllib_safemarl.evaluation.recording_choice import grid_filter, safety_problem
from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder, provenance_of
from rllib_safemarl.evaluation.recording_parts import Parts, Watch, record_here, record_on_ray
from rllib_safemarl.evaluation.recording_recipe import Recipe


@dataclass(frozen=True)
class Recorded:
    """A finished recording.

    Attributes:
        out: the dataset.
        card: its card.
        table: of its episodes, see :func:`rllib_safemarl.data.statistics.episode_table`.
        notes: what a person should know, in sentences.
    """

    out: Path
    card: Path
    table: pd.DataFrame
    notes: tuple[str, ...]


def check_target(out: Path) -> None:
    """Refuse a target that cannot be written, before anything is recorded.

    Raises:
        SafeMARLError: another suffix, or h5py is missing.
    """
    if out.suffix in SUFFIXES:
        import_h5py()
    elif out.suffix not in ("", PARQUET):
        raise SafeMARLError(f"{out}: record into a file .h5, .hdf5 or .parquet, or a folder (no suffix).")


def is_recorded(recipe: Recipe, out: Path) -> bool:
    """Whether a recipe's dataset is there, whole.

    Raises:
        SafeMARLError: something else is there.
    """
    if Parts(out, recipe).exists or not out.exists():
        return False
    found = next(iter(iterate_dataset(out)), None)
    if found is not None and _recorded_by(recipe) in found.provenance.notes:
        return True
    raise SafeMARLError(f"{out} is there already, of another recipe; --overwrite replaces it.")


def _recorded_by(recipe: Recipe) -> str:
    return f"Recorded by the recipe {recipe.fingerprint(whole=True)}."


def record(
    recipe: Recipe,
    out: Path,
    command: str,
    num_env_runners: int = 0,
    any_safety: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda episodes, steps: None,
    stage: Callable[[str], None] = lambda line: None,
) -> Recorded:
    """Record a dataset, or go on with a recording that was stopped.

    The dataset depends on the recipe alone: not on the number of processes, nor on interruptions.

    Args:
        recipe: what to record.
        out: a file ``.h5``, ``.hdf5`` or ``.parquet``, or a folder of shards.
        command: that repeats it, for the card.
        num_env_runners: processes on a Ray cluster that was started; 0 records here, without Ray.
        any_safety: write the dataset whatever share of it is unsafe.
        overwrite: replace what is at ``out``, and parts of other recipes.
        watch: told of episodes and steps as they are recorded.
        stage: told of each further stage, in a line.

    Raises:
        SafeMARLError: recipe, environment, policies or target do not fit, or the episodes say too little
            about safety.
    """
    check_target(out)
    recorder, parts = EpisodeRecorder(recipe), Parts(out, recipe)
    provenance = provenance_of(recipe, recorder, command)
    parts.open(restart=overwrite)
    run = record_on_ray(recipe, num_env_runners) if num_env_runners else record_here(recorder)
    parts.record(recorder.schema, provenance, run, max(1, num_env_runners), watch)
    chosen = _choose(recipe, parts.table(), any_safety, stage)
    stage(f"writing {out}")
    _write(parts, chosen, out, replace(provenance, notes=(_recorded_by(recipe), *chosen.notes)))
    table = episode_table(iterate_dataset(out))
    card = write_card(recipe, out, table)
    parts.remove()
    return Recorded(out, card, table, chosen.notes)


@dataclass(frozen=True)
class _Chosen:
    """Which of the recorded episodes are written.

    Attributes:
        kept: ``[E]``.
        split: ``[number kept]``, or None where they are too few.
        notes: what is to be known of that.
    """

    kept: NDArray[np.bool_]
    split: NDArray | None
    notes: tuple[str, ...]


def _choose(recipe: Recipe, table: pd.DataFrame, any_safety: bool, stage: Callable[[str], None]) -> _Chosen:
    """Filter episodes as the recipe asks, and split them; see :func:`record` for what is raised."""
    kept = np.ones(len(table), bool)
    notes: tuple[str, ...] = ()
    if recipe.grid is not None:
        kept = grid_filter(table, recipe.grid, recipe.seed)
        notes = (f"The grid filter kept {kept.sum()} of {len(kept)} episodes.",)
        stage(notes[0])
    table = table[kept].reset_index(drop=True)
    problem = safety_problem(table)
    if problem and not any_safety:
        raise SafeMARLError(
            f"{problem}: change the shares of behaviours, or write them as they are by --any-safety, which "
            "records nothing again."
        )
    if problem:
        notes += (f"For learning safety: {problem}.",)
    try:
        return _Chosen(kept, split_episodes(table, recipe.seed), notes)
    except SafeMARLError as error:
        return _Chosen(kept, None, (*notes, f"Not split: {error}"))


def _write(parts: Parts, chosen: _Chosen, out: Path, provenance: Provenance) -> None:
    """Write the chosen episodes with their split; into a folder shard by shard, never all in memory."""
    kept, split = chosen.kept, chosen.split
    if out.suffix:
        whole = concatenate(list(_chosen(parts, kept)))
        episodes = dict(whole.episodes) if split is None else {**whole.episodes, SPLIT: split}
        write_dataset(replace(whole, provenance=provenance, episodes=episodes), out)
        return
    if out.is_dir():
        if not (out / MANIFEST).is_file():
            raise SafeMARLError(f"{out} is a folder without a dataset; choose another --out.")
        shutil.rmtree(out)
    writer = None
    for piece in _chosen(parts, kept):
        writer = writer or ShardWriter(out, piece.schema, provenance)
        writer.append(piece)
    assert writer is not None
    writer.finish()
    if split is not None:
        keep_split(out, split)


def _chosen(parts: Parts, kept: NDArray[np.bool_]) -> Iterator[Dataset]:
    start = 0
    for piece in parts.pieces():
        mine = kept[start : start + piece.num_episodes]
        start += piece.num_episodes
        if mine.any():
            yield piece.select(mine)
