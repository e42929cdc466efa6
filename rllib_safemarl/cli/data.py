"""`safemarl data`: look at datasets, convert, draw, split and verify them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rllib_safemarl import __version__
from rllib_safemarl.cli.console import one_line_errors, say
from rllib_safemarl.cli.formats import count, number
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    import pandas as pd

    from rllib_safemarl.data.dataset import Dataset

FORMATS = ("safemarl", "dsrl", "arrays", "rllib", "minari", "table")
_PATH = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Datasets of several agents: info, convert, plot, split, verify."""


@data.command()
@click.argument("path")
@one_line_errors
def info(path: str) -> None:
    """Show what the dataset at PATH holds."""
    from rllib_safemarl.cli.data_info import describe

    for line in describe(path):
        say(line)


@data.command()
@click.argument("source")
@click.argument("target", type=_PATH)
@click.option("--from", "source_format", type=click.Choice(FORMATS), help="Format of SOURCE, if not plain.")
@click.option("--task", metavar="NAME", help="DSRL's task, where the file's name does not say it.")
@click.option("--time-limit", type=click.IntRange(min=1), help="Steps of an episode at most.")
@click.option("--num-choices", type=click.IntRange(min=1), help="Number of choices of integer actions.")
@click.option("--columns", "-c", metavar="YAML", help="Columns of a table, or a YAML file with them.")
@click.option("--cost-column", metavar="NAME", help="Column of RLlib's transitions that holds costs.")
@click.option("--split-breaks", is_flag=True, help="Cut episodes where rows do not follow one another.")
@click.option("--cost", "rules", multiple=True, metavar="RULE", help="A cost, as 'observations[8] > 3.2'.")
@click.option("--cost-function", metavar="FILE:NAME", help="Costs by a Python function of the dataset.")
@click.option("--danger-cost", type=float, help="Cost per step above which an agent is in danger.")
@click.option("--cost-limit", "limits", multiple=True, type=float, help="Limit to compare with; repeatable.")
@click.option("--factor", metavar="PARTITION", help="Cut a DSRL velocity task into agents, as 2x3.")
@click.option("--reach", type=click.IntRange(min=0), default=0, help="Joints of others that a part sees.")
@one_line_errors
def convert(source: str, target: Path, **options: Any) -> None:
    """Convert SOURCE into TARGET: a file .h5, .hdf5 or .parquet, or a folder of Parquet shards.

    SOURCE is a dataset of this package, a file in DSRL's or D4RL's layout, the name of a DSRL task
    (downloaded if need be), a folder of OMAR's or MADiff's .npy files, a recording of RLlib, the id of a
    Minari dataset, or a CSV table.
    """
    from rllib_safemarl.data.convert import SourceOptions, read_any
    from rllib_safemarl.data.files import write_dataset

    asked = SourceOptions(
        options["task"],
        options["time_limit"],
        options["num_choices"],
        options["split_breaks"],
        _columns(options["columns"]),
        options["cost_column"],
    )
    dataset = read_any(source, options["source_format"], asked)
    dataset = _changed(dataset, options)
    if not dataset.provenance.command:
        command = shlex.join(["safemarl", *sys.argv[1:]])
        dataset = replace(
            dataset, provenance=replace(dataset.provenance, command=command, version=__version__)
        )
    write_dataset(dataset, target)
    for note in dataset.provenance.notes:
        say(f"note: {note}")
    if not dataset.schema.cost_names:
        say("note: The source has no costs, so nothing can be learnt about safety; see --cost.")
    say(f"{target}: {count(dataset.num_episodes)} episodes, {count(dataset.num_rows)} rows")


def _columns(given: str | None) -> Any:
    if given is None:
        return None
    from rllib_safemarl.cli.documents import parse_mapping

    file = Path(given).expanduser()
    is_file = not given.lstrip().startswith("{") and file.is_file()
    return parse_mapping(file.read_text(encoding="utf-8") if is_file else given, "--columns")


def _changed(dataset: Dataset, options: dict[str, Any]) -> Dataset:
    """Costs, limits and the factored view that were asked for."""
    from rllib_safemarl.data.factored import factor
    from rllib_safemarl.data.relabel import Threshold, relabel_costs

    if options["rules"] and options["cost_function"]:
        raise SafeMARLError("--cost and --cost-function exclude each other.")
    if options["rules"]:
        dataset = relabel_costs(dataset, [Threshold.parse(rule) for rule in options["rules"]])
    if options["cost_function"]:
        dataset = relabel_costs(dataset, _function(options["cost_function"]))
    if options["danger_cost"] is not None:
        dataset = replace(dataset, schema=replace(dataset.schema, danger_cost=options["danger_cost"]))
    if options["limits"]:
        limits = {name: tuple(options["limits"]) for name in dataset.schema.cost_names}
        dataset = replace(dataset, provenance=replace(dataset.provenance, cost_limits=limits))
    if options["factor"]:
        task = dataset.provenance.task
        if not task.endswith("Velocity"):
            raise SafeMARLError(
                "--factor needs a velocity task of DSRL; name it, as --task HalfCheetahVelocity."
            )
        dataset = factor(dataset, task.removesuffix("Velocity"), options["factor"], options["reach"])
    return dataset


def _function(given: str) -> Any:
    """The function named ``file.py:name``."""
    import runpy

    file, _, name = given.rpartition(":")
    if not Path(file).expanduser().is_file():
        raise SafeMARLError(f"--cost-function {given!r}: there is no file {file!r}; write FILE.py:NAME.")
    try:
        found = runpy.run_path(str(Path(file).expanduser())).get(name)
    except Exception as error:
        raise SafeMARLError(f"{file} failed: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise SafeMARLError(f"{file} has no function {name!r}.")
    return found


@data.command()
@click.argument("path")
@click.option("--out", "-o", type=_PATH, help="PNG to write.  [default: beside PATH]")
@click.option("--limit", "limits", multiple=True, type=float, help="Cost limit to draw; repeatable.")
@one_line_errors
def plot(path: str, out: Path | None, limits: tuple[float, ...]) -> None:
    """Draw cost against return of the episodes at PATH, with the best return at each cost."""
    from rllib_safemarl.data.figures import frontier_figure, save_frontier

    table, first = _table(path)
    known = first.provenance.cost_limits if len(first.schema.cost_names) == 1 else {}
    drawn = limits or tuple(limit for each in known.values() for limit in each)
    label = f" ({first.provenance.label})" if first.provenance.label else ""
    title = (first.provenance.environment or first.provenance.source or Path(path).name) + label
    target = out or Path(path.rstrip("/")).expanduser().with_suffix(".png")
    save_frontier(frontier_figure(table, drawn, title), target)
    say(f"picture: {target}")


def _table(path: str) -> tuple[pd.DataFrame, Dataset]:
    """The table of all episodes, and the first piece of the dataset, for its description."""
    import pandas as pd

    from rllib_safemarl.data.files import iterate_dataset
    from rllib_safemarl.data.statistics import episode_table

    tables, first = [], None
    for piece in iterate_dataset(path):
        tables.append(episode_table(piece))
        first = first or piece
    assert first is not None
    return pd.concat(tables, ignore_index=True), first


@data.command()
@click.argument("path")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option(
    "--shares", default="0.7,0.15,0.15", show_default=True, help="Of training, selection and calibration."
)
@one_line_errors
def split(path: str, seed: int, shares: str) -> None:
    """Split the episodes at PATH, stratified by cost, and keep the split in the dataset itself."""
    import numpy as np

    from rllib_safemarl.data.columns import SPLITS
    from rllib_safemarl.data.files import keep_split
    from rllib_safemarl.data.splits import split_episodes

    try:
        parts = [float(part) for part in shares.split(",")]
    except ValueError:
        raise SafeMARLError(f"--shares {shares!r} must be three numbers, as 0.7,0.15,0.15.") from None
    table, _ = _table(path)
    codes = split_episodes(table, seed, parts)
    keep_split(path, codes)
    for code, name in enumerate(SPLITS):
        part = table[np.asarray(codes == code)]
        if len(part):
            say(
                f"{name.ljust(11)}  {count(len(part)).rjust(7)} episodes   cost "
                f"{number(part['cost'].mean())}   "
                f"{100 * part['unsafe'].mean():.0f} % with danger"
            )


@data.command()
@click.argument("path")
@one_line_errors
def verify(path: str) -> None:
    """Read every number at PATH and compare with its hashes; status 1 if anything is wrong."""
    from rllib_safemarl.data.files import iterate_dataset

    episodes = rows = 0
    for piece in iterate_dataset(path, verify_hash=True):
        episodes, rows = episodes + piece.num_episodes, rows + piece.num_rows
    say(f"{path}: {count(episodes)} episodes, {count(rows)} rows, nothing wrong")
