"""Any source that can be read, by its path or name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.dsrl_tasks import TASKS
from rllib_safemarl.data.files import read_dataset
from rllib_safemarl.data.hdf5 import SUFFIXES, is_ours
from rllib_safemarl.data.parquet import SUFFIX, is_our_table
from rllib_safemarl.data.shards import MANIFEST
from rllib_safemarl.errors import SafeMARLError, nearest_name

FORMATS = ("safemarl", "dsrl", "arrays", "rllib", "minari", "table")


@dataclass(frozen=True)
class SourceOptions:
    """What a source does not say itself.

    Attributes:
        task: DSRL's task.
        time_limit: steps of an episode at most.
        num_choices: of integer actions.
        split_breaks: cut episodes where rows do not follow one another, instead of refusing them.
        columns: of a table, see :class:`rllib_safemarl.data.frames.FrameColumns`.
        cost_column: of RLlib's transitions.
    """

    task: str | None = None
    time_limit: int | None = None
    num_choices: int | None = None
    split_breaks: bool = False
    columns: Mapping[str, Any] | None = None
    cost_column: str | None = None


def read_any(source: str, source_format: str | None = None, options: SourceOptions | None = None) -> Dataset:
    """Read a source of any known format.

    Args:
        source: a path, or the name of a DSRL task, or the id of a Minari dataset.
        source_format: one of :data:`FORMATS`; by default told from the source.
        options: what the source does not say.

    Raises:
        SafeMARLError: the format is unknown or cannot be told, or the source is bad.
    """
    options = options or SourceOptions()
    chosen = source_format or detect_format(source)
    if chosen == "safemarl":
        return read_dataset(source)
    if chosen == "dsrl":
        from rllib_safemarl.data.dsrl import read_dsrl

        return read_dsrl(source, options.task, options.time_limit, options.split_breaks)
    if chosen == "arrays":
        from rllib_safemarl.data.arrays import read_arrays

        return read_arrays(source, options.time_limit, options.num_choices, options.split_breaks)
    if chosen == "rllib":
        from rllib_safemarl.data.rllib_parquet import read_rllib

        made = read_rllib(source, options.num_choices, options.cost_column)
        return replace(made, schema=replace(made.schema, time_limit=options.time_limit))
    if chosen == "minari":
        from rllib_safemarl.data.minari import read_minari

        return read_minari(source, options.time_limit)
    if chosen == "table":
        return _read_table(source, options)
    raise SafeMARLError(
        f"there is no format {chosen!r}; formats are {', '.join(FORMATS)}.{nearest_name(chosen, FORMATS)}"
    )


def _read_table(source: str, options: SourceOptions) -> Dataset:
    from rllib_safemarl.data.frames import FrameColumns, read_frame

    if options.columns is None:
        raise SafeMARLError(
            f"{source} is a table: say by --columns which of its columns hold what, such as "
            "'{episode: run, step: t, agent: robot, observations: [x, y], actions: [ax, ay], reward: r, "
            "costs: {crash: hit}}'."
        )
    return read_frame(source, FrameColumns.from_dict(options.columns), options.time_limit)


def detect_format(source: str) -> str:
    """The format of a source, told from its name and files.

    Raises:
        SafeMARLError: it cannot be told.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _format_of_folder(path)
    if path.is_file():
        if path.suffix in SUFFIXES:
            return "safemarl" if is_ours(path) else "dsrl"
        if path.suffix == SUFFIX:
            return "safemarl" if is_our_table(path) else "rllib"
        if path.suffix in (".csv", ".gz", ".zip"):
            return "table"
    if source in TASKS:
        return "dsrl"
    if not path.exists():
        raise SafeMARLError(
            f"there is no {source}: neither a file or folder, nor a task of "
            f"DSRL.{nearest_name(source, TASKS)}"
        )
    raise SafeMARLError(f"the format of {source} cannot be told; name it by --from ({', '.join(FORMATS)}).")


def _format_of_folder(path: Path) -> str:
    if (path / MANIFEST).is_file():
        return "safemarl"
    if any(path.glob("obs*.npy")) or any(path.glob("seed_*_data")):
        return "arrays"
    if next(path.rglob(f"*{SUFFIX}"), None):
        return "rllib"
    raise SafeMARLError(f"the folder {path} holds no dataset of a known format ({', '.join(FORMATS)}).")
