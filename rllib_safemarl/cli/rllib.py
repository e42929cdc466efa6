"""The `rllib` command, which Ray dropped after 2.41: train and evaluate, on current Tune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rllib_safemarl import __version__
from rllib_safemarl.cli.console import one_line_errors, say_first
from rllib_safemarl.cli.documents import parse_mapping
from rllib_safemarl.cli.flags import TrainFlags, train_options
from rllib_safemarl.cli.lazy import LazyGroup

COMMANDS = {"evaluate": "rllib_safemarl.cli.evaluate:evaluate"}
"""Subcommand → ``module:command``."""


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="rllib_safemarl", message="%(prog)s %(version)s")
def main() -> None:
    """Train and evaluate with RLlib and rllib_safemarl."""


@main.group(invoke_without_command=True)
@click.option("--run", "--algo", "-r", "-a", "run", metavar="NAME", help="Algorithm, such as SCAL_MAPPO_L.")
@click.option("--config", "-c", default="{}", metavar="JSON|YAML", help="Its config.")
@click.option("--experiment-name", "-n", default="default", show_default=True, help="The results' folder.")
@click.option("--num-samples", type=click.IntRange(min=1), default=1, show_default=True, help="Repetitions.")
@train_options
@click.pass_context
@one_line_errors
def train(
    ctx: click.Context, run: str | None, config: str, experiment_name: str, num_samples: int, **flags: Any
) -> None:
    """Train one algorithm, or what a file describes (see: rllib train file --help).

    An example: rllib train --run SCAL_MAPPO_L --env safemarl/crossing --config '{"cost_limit": 1.0}'
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(
                f"flags stand after the subcommand: rllib train {ctx.invoked_subcommand} …"
            )
        return
    if run is None:
        raise click.UsageError("name an algorithm by --run, or a file: rllib train file FILE.")
    say_first(f"training {run} on {flags['env'] or 'the environment of --config'}")
    from rllib_safemarl.cli.experiments import read_experiment
    from rllib_safemarl.cli.training import train_experiments

    spec = {"run": run, "config": parse_mapping(config, "--config"), "num_samples": num_samples}
    read = TrainFlags(**flags)
    train_experiments([read_experiment(experiment_name, spec, Path.cwd(), read)], read)


@train.command("file")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@train_options
@one_line_errors
def train_file(file: Path, **flags: Any) -> None:
    """Train what FILE describes.

    A .yaml file maps experiment names to run, env, stop, config (with grid_search), num_samples and so on;
    a .py file defines config, an AlgorithmConfig, and perhaps stop.
    """
    say_first(f"reading {file}")
    from rllib_safemarl.cli.experiments import read_experiments
    from rllib_safemarl.cli.training import train_experiments

    read = TrainFlags(**flags)
    train_experiments(read_experiments(file, read), read)
