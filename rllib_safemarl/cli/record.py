"""`safemarl record`: datasets from behaviours in an environment."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import load_yaml, set_dotted
from rllib_safemarl.cli.formats import count, duration
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    from rllib_safemarl.evaluation.recording import Recorded
    from rllib_safemarl.evaluation.recording_recipe import Recipe

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="RECIPE|ENVIRONMENT")
@click.option(
    "--out", "-o", type=_PATH, help="File .h5, .hdf5 or .parquet, or a folder.  [default: beside RECIPE]"
)
@click.option("--episodes", type=click.IntRange(min=1), help="Episodes to record; goes before the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), help="Of everything; goes before the recipe's.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the recipe, such as env_config.n_agents=8; repeatable.",
)
@click.option(
    "--num-env-runners",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that record, a CPU each, on Ray; 0 records in this one.",
)
@click.option("--ray-address", metavar="ADDRESS", help="Ray cluster to join.")
@click.option("--any-safety", is_flag=True, help="Write the dataset whatever share of it is unsafe.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset of another recipe, or record again.")
@one_line_errors
def record(source: str, out: Path | None, assignments: tuple[str, ...], **options: Any) -> None:
    """Record episodes of behaviours into a dataset, with a card and a picture beside it.

    RECIPE is a YAML file: env, env_config, episodes, seed, and behaviours such as
    {scripted: yielding, noise: 0.2}, {policy: run/*/checkpoint_*, explore: true} or {scripted: random}, each
    with its share of the episodes. For an ENVIRONMENT of this package its usual behaviours act.

    A recording that is stopped goes on when the same command is run again. The dataset depends on the recipe
    alone, however many processes recorded it.
    """
    is_file = source.endswith((".yaml", ".yml"))
    say_first(f"recording {source}")
    recipe = _recipe(source, is_file, assignments, options)
    default = Path(source).with_suffix(".h5") if is_file else Path(f"{recipe.env.rpartition('/')[2]}.h5")
    target = (out or default).expanduser()
    from rllib_safemarl.evaluation.recording import is_recorded

    if not options["overwrite"] and is_recorded(recipe, target):
        say(f"{target} is recorded already, by this very recipe (--overwrite records it again)")
        return
    command = _command(source, out, assignments, options)
    try:
        recorded = _record(recipe, target, command, options)
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        raise SystemExit(130) from None
    _say_result(recorded)


def _recipe(source: str, is_file: bool, assignments: tuple[str, ...], options: dict[str, Any]) -> Recipe:
    from rllib_safemarl.evaluation.recording_reader import read_recipe

    document = load_yaml(Path(source).expanduser()) if is_file else {"env": source}
    if not isinstance(document, dict):
        raise SafeMARLError(f"{source} must hold a mapping with env, episodes, seed and behaviours.")
    set_dotted(document, assignments)
    document |= {key: options[key] for key in ("episodes", "seed") if options[key] is not None}
    folder = Path(source).expanduser().resolve().parent if is_file else Path.cwd()
    return read_recipe(document, folder, source)


def _command(source: str, out: Path | None, assignments: tuple[str, ...], options: dict[str, Any]) -> str:
    """The command that gives the same dataset, with a path that means something elsewhere."""
    named = source
    if source.endswith((".yaml", ".yml")):
        relative = os.path.relpath(source)
        named = source if relative.startswith("..") else relative
    given = [f"--{key}={options[key]}" for key in ("episodes", "seed") if options[key] is not None]
    given += [part for each in assignments for part in ("--set", each)]
    given += ["--out", str(out)] if out else []
    given += ["--any-safety"] if options["any_safety"] else []
    return shlex.join(["safemarl", "record", named, *given])


def _record(recipe: Recipe, target: Path, command: str, options: dict[str, Any]) -> Recorded:
    from rllib_safemarl.evaluation.recording import record as run

    runners = options["num_env_runners"]
    if runners:
        _start_ray(runners, options["ray_address"])
    progress = _Progress(recipe.episodes)
    try:
        return run(
            recipe,
            target,
            command,
            runners,
            options["any_safety"],
            options["overwrite"],
            progress.update,
            progress.stage,
        )
    finally:
        progress.close()
        if runners:
            import ray

            ray.shutdown()


def _start_ray(runners: int, address: str | None) -> None:
    from rllib_safemarl.cli.flags import TrainFlags
    from rllib_safemarl.cli.ray_session import keep_quiet, start_ray

    keep_quiet()
    start_ray(TrainFlags(ray_address=address))
    import ray

    cpus = int(ray.cluster_resources().get("CPU", 0))
    if runners > cpus:
        ray.shutdown()
        raise SafeMARLError(f"--num-env-runners {runners} asks for {runners} CPUs, and Ray has {cpus}.")


class _Progress:
    """A bar with the time that is left on a terminal, and elsewhere a line per stage.

    Args:
        episodes: to record.
    """

    def __init__(self, episodes: int) -> None:
        self._episodes, self._done, self._steps, self._here = episodes, 0, 0, 0
        self._started = time.monotonic()
        self._bar: Any = None

    def update(self, episodes: int, steps: int) -> None:
        """Take in what was recorded; the first call tells what was there before."""
        if self._done == self._steps == 0 and steps == 0:
            self._begin(episodes)
        else:
            self._here += episodes
        self._done, self._steps = self._done + episodes, self._steps + steps
        if self._bar is not None:
            self._bar.update(episodes)
        if self._done == self._episodes:
            self._end()

    def _begin(self, before: int) -> None:
        self._started = time.monotonic()
        if before:
            say(f"{count(before)} of {count(self._episodes)} episodes are there already")
        if before == self._episodes:
            return
        if sys.stdout.isatty():
            left = self._episodes
            self._bar = click.progressbar(length=left, label="recording", show_pos=True, show_eta=True)
            self._bar.__enter__()
        else:
            say(f"recording {count(self._episodes - before)} episodes")

    def _end(self) -> None:
        self.close()
        seconds = time.monotonic() - self._started
        if self._here:
            rate = count(self._steps / max(seconds, 1e-9))
            say(f"{count(self._here)} episodes, {count(self._steps)} steps in {duration(seconds)} ({rate}/s)")

    def stage(self, line: str) -> None:
        """Say what comes next."""
        say(line)

    def close(self) -> None:
        """Leave the bar's line."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def _say_result(recorded: Recorded) -> None:
    from rllib_safemarl.evaluation.recording_card import group_rows

    rows = group_rows(recorded.table, "behaviour")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        say("  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))]))
    for note in recorded.notes:
        say(f"note: {note}")
    say(f"card: {recorded.card}")
    episodes, steps = len(recorded.table), int(recorded.table["steps"].sum())
    say(f"{recorded.out}: {count(episodes)} episodes, {count(steps)} rows")
