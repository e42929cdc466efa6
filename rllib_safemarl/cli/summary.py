"""What is said and drawn when an experiment has ended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rllib_safemarl.cli.console import say, say_error
from rllib_safemarl.cli.formats import count, duration, number
from rllib_safemarl.evaluation.curves import Reading, read_curve, read_result

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

PICTURE = "training.png"


def summarise(trials: list[Trial], labels: list[str], with_traceback: bool) -> int:
    """Print every trial's final figures and last checkpoint, or why it failed.

    Args:
        trials: Tune's.
        labels: one per trial; empty for a single one.
        with_traceback: whether to print tracebacks of failures, too.

    Returns:
        How many failed.
    """
    failed = 0
    for trial, label in zip(trials, labels, strict=True):
        prefix = f"{label}: " if label else ""
        if trial.last_result and "training_iteration" in trial.last_result:
            say(f"{prefix}{final_figures(read_result(trial.last_result))}")
        else:
            say(f"{prefix}not one iteration was finished")
        if trial.status == trial.ERROR:
            failed += 1
            _explain(trial, prefix, with_traceback)
        say(f"{prefix}last checkpoint: {trial.checkpoint.path if trial.checkpoint else 'none'}")
    return failed


def final_figures(reading: Reading) -> str:
    """The figures of a trial's last iteration, in a sentence."""
    text = (
        f"{count(reading.iteration)} iterations, {count(reading.steps)} steps in "
        f"{duration(reading.seconds)}; return {number(reading.team_return)}"
    )
    if math.isnan(reading.cost):
        return text
    named = f" ({reading.constraint})" if reading.constraint else ""
    text = f"{text}, cost per episode and agent{named} {number(reading.cost)}"
    if reading.holds is not None:
        text += f", {'within' if reading.holds else 'above'} its limit {number(reading.limit)}"
    return f"{text}; worst agent {number(reading.worst_cost)}"


def _explain(trial: Trial, prefix: str, with_traceback: bool) -> None:
    from rllib_safemarl.cli.live_view import why

    say_error(f"{prefix}{why(trial)}")
    if with_traceback:
        click.echo(str(trial.get_error()), err=True)
    elif trial.error_file:
        say(f"{prefix}traceback: {trial.path}/{Path(trial.error_file).name}")


def draw(name: str, folder: Path, trials: list[Trial], labels: list[str]) -> None:
    """Write a picture of return and cost over steps into the experiment's folder."""
    curves = {
        label or trial.trial_id: read_curve(Path(trial.path))
        for trial, label in zip(trials, labels, strict=True)
    }
    curves = {label: curve for label, curve in curves.items() if len(curve) > 1}
    if not curves:
        return
    try:
        from rllib_safemarl.evaluation.figures import save_figure
        from rllib_safemarl.evaluation.figures_curves import training_figure
    except ImportError:
        say('for a picture: pip install "rllib_safemarl[plot]"')
        return
    say(f"picture: {save_figure(training_figure(curves, name), folder / PICTURE)}")
