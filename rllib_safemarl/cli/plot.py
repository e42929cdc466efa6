"""`safemarl plot`: learning curves of runs, and what their settings do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rllib_safemarl.evaluation.runs import Run


@click.command()
@click.argument("runs", metavar="RUNS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .png or .pdf; repeatable.  [default: curves.png, SETTING.png, parallel.png]",
)
@click.option("--against", "setting", metavar="SETTING", help="Draw what runs came to over this setting.")
@click.option("--parallel", is_flag=True, help="Draw all settings at once, as parallel coordinates.")
@click.option("--title", "-t", default="", help="Above the figure.")
@one_line_errors
def plot(runs: tuple[Path, ...], files: tuple[Path, ...], **options: Any) -> None:
    """Draw RUNS: folders of safemarl compare, of Tune experiments, or of single trials.

    Return, cost with its limit, the share of episodes within it and the multiplier are drawn over steps; runs
    that differ in nothing but their seed are averaged, with 95 % intervals.
    """
    say_first(f"drawing {', '.join(map(str, runs))}")
    if options["setting"] and options["parallel"]:
        raise SafeMARLError("--against and --parallel are two figures: draw one after the other.")
    name = options["setting"] or ("parallel" if options["parallel"] else "curves")
    files = files or (Path(f"{name}.png"),)
    _check_files(files)
    from rllib_safemarl.evaluation.runs import read_runs

    found = read_runs(runs)
    say(f"{len(found)} {'run' if len(found) == 1 else 'runs'}")
    try:
        from rllib_safemarl.evaluation.figures import save_figure
    except ImportError:
        raise SafeMARLError('pictures need matplotlib: pip install "rllib_safemarl[plot]".') from None
    figure = _draw(found, options)
    for file in files:
        say(f"picture: {save_figure(figure, file)}")


def _check_files(files: tuple[Path, ...]) -> None:
    for file in files:
        if file.suffix.lower() not in (".png", ".pdf"):
            raise SafeMARLError(f"pictures are written as .png or .pdf, not as {file.name}.")
        if not file.parent.is_dir():
            raise SafeMARLError(f"there is no folder {file.parent} to write {file.name} into.")


def _draw(runs: list[Run], options: dict[str, Any]) -> Figure:
    if options["setting"] or options["parallel"]:
        return _draw_sweep(runs, options)
    from rllib_safemarl.evaluation.figures_curves import PANELS, comparison_figure
    from rllib_safemarl.evaluation.runs import curves_by_row

    curves = curves_by_row([run for run in runs if len(run.curve) > 1])
    if not curves:
        raise SafeMARLError(
            "these runs reported once each, and so have no curves; --against SETTING draws what they came to."
        )
    return comparison_figure(curves, options["title"], PANELS)


def _draw_sweep(runs: list[Run], options: dict[str, Any]) -> Figure:
    from rllib_safemarl.evaluation.figures_sweeps import parallel_figure, setting_figure
    from rllib_safemarl.evaluation.sweeps import check_setting, sweep_frame

    frame, settings = sweep_frame(runs)
    if options["parallel"]:
        return parallel_figure(frame, settings, options["title"])
    check_setting(options["setting"], settings)
    return setting_figure(frame, options["setting"], settings, options["title"])
