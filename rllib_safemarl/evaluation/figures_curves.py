"""Learning curves: of single trials, and of rows over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rllib_safemarl.evaluation.comparison import mean_curve
from rllib_safemarl.evaluation.figures import (
    GREY,
    LEAST_FOR_BAND,
    LIMIT_COLOUR,
    Panel,
    colour_of,
    label_steps,
    legend_below,
    new_figure,
    scale_costs,
    tidy,
)
from rllib_safemarl.evaluation.statistics import FEW_SEEDS

_MOST_IN_LEGEND = 12


RETURN = Panel("team_return", "Return", "undiscounted return per episode,\nmean over agents")
COST = Panel("cost", "Cost", "undiscounted cost\nper episode and agent")
WITHIN = Panel("within_limit", "Within the limit", "share of episodes in which\nevery agent kept to it")
MULTIPLIER = Panel("multiplier", "Multiplier", "reward per unit of cost")
PANELS = (RETURN, COST, WITHIN, MULTIPLIER)
"""All that learning curves can show."""

Curves = Mapping[str, Mapping[str, Sequence[pd.DataFrame]]]
"""Environment → row → one curve per seed."""


def training_figure(curves: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Draw return and cost over environment steps, with the limit where there is one.

    Args:
        curves: trial → its readings, as :func:`rllib_safemarl.evaluation.curves.read_curve` gives them
            (columns ``steps``, ``team_return``, ``cost``, ``worst_cost`` and ``limit``; NaN until an
            episode has ended).
        title: above the figure.

    Returns:
        Two panels side by side; only the left one where no trial reports a cost.
    """
    with_cost = any(curve["cost"].notna().any() for curve in curves.values())
    figure = new_figure(11.0 if with_cost else 5.8, 4.2)
    panels = figure.subplots(1, 2 if with_cost else 1, squeeze=False)[0]
    for index, (label, curve) in enumerate(curves.items()):
        colour = colour_of(index)
        panels[0].plot(curve["steps"], curve["team_return"], color=colour, linewidth=1.8)
        if len(curves) > 1:
            panels[0].lines[-1].set_label(label)
        if with_cost:
            _draw_cost(panels[1], curve, colour, alone=len(curves) == 1)
    _label(panels[0], RETURN)
    if with_cost:
        _draw_limits(panels[1], [*curves.values()])
        _label(panels[1], COST)
        panels[1].set_ylim(bottom=0.0)
        # Beside the title, where no curve can run under it.
        panels[1].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.01, 0.985))
    if 1 < len(curves) <= _MOST_IN_LEGEND:
        legend_below(figure, panels[0].get_legend_handles_labels()[0])
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def comparison_figure(curves: Curves, title: str = "", panels: Sequence[Panel] = (RETURN, COST)) -> Figure:
    """Draw learning curves of rows over environment steps, averages over seeds with intervals.

    Args:
        curves: one curve per seed, as for :func:`training_figure`. A row keeps its colour over all
            environments.
        title: above the figure.
        panels: what is drawn, of those that some curve has values of.

    Returns:
        A line of panels per environment; more than two panels of a single one stand in pairs.
    """
    shown = [panel for panel in panels if _known(curves, panel)] or [RETURN]
    square = len(curves) == 1 and len(shown) > 2
    columns = 2 if square else len(shown)
    lines = -(-len(shown) // columns) if square else len(curves)
    figure = new_figure(5.5 * columns + (0.3 if columns == 1 else 0.0), 0.9 + 3.6 * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    rows = list(dict.fromkeys(row for by_row in curves.values() for row in by_row))
    for line, (environment, by_row) in enumerate(curves.items()):
        where = f" on {environment}" if len(curves) > 1 else ""
        axes_here = grid.ravel() if square else grid[line]
        for axes, panel in zip(axes_here, shown, strict=False):
            for row, of_seeds in by_row.items():
                _draw_mean(axes, of_seeds, panel.column, colour_of(rows.index(row)), row)
            _label(axes, panel, where, _steps_of(by_row))
            _finish(axes, panel, [curve for some in by_row.values() for curve in some])
        for axes in axes_here[len(shown) :]:
            axes.set_visible(False)
    legend_below(figure, _comparison_legend(rows, curves, COST in shown))
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _known(curves: Curves, panel: Panel) -> bool:
    everything = [curve for by_row in curves.values() for seeds in by_row.values() for curve in seeds]
    return any(panel.column in curve and bool(curve[panel.column].notna().any()) for curve in everything)


def _finish(axes: Axes, panel: Panel, curves: Sequence[pd.DataFrame]) -> None:
    """Limits and the scale of the quantity."""
    if panel == COST:
        _draw_limits(axes, curves)
        limits = [limit for limit in map(_limit, curves) if np.isfinite(limit)]
        largest = max((float(curve["cost"].max()) for curve in curves), default=0.0)
        scale_costs(axes, max(limits, default=0.0), largest)
    elif panel == WITHIN:
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif panel == MULTIPLIER:
        axes.set_ylim(bottom=0.0)


def _comparison_legend(rows: Sequence[str], curves: Curves, with_cost: bool) -> list[Artist]:
    """Rows by colour, and what thin lines, shades and dashes are where there are such."""
    everything = [list(of_seeds) for by_row in curves.values() for of_seeds in by_row.values()]
    handles: list[Artist] = [
        Line2D([], [], color=colour_of(index), linewidth=2.0, label=row) for index, row in enumerate(rows)
    ]
    if with_cost and any(np.isfinite(_limit(curve)) for seeds in everything for curve in seeds):
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label="limit"))
    counts = [len(seeds) for seeds in everything]
    if any(1 < count < FEW_SEEDS for count in counts):
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label="single seeds"))
    if max(counts) >= LEAST_FOR_BAND:
        of = "interquartile mean" if min(counts) >= FEW_SEEDS else "mean"
        handles.append(Patch(color=GREY, alpha=0.25, linewidth=0.0, label=f"95 % interval of the {of}"))
    return handles


def _draw_mean(axes: Axes, of_seeds: Sequence[pd.DataFrame], column: str, colour: str, label: str) -> None:
    """The average over seeds with its interval, and below five seeds every seed, thinly."""
    of_seeds = [curve for curve in of_seeds if column in curve]
    if not of_seeds:
        return
    mean = mean_curve(of_seeds, column)
    if not len(mean):
        return
    if 1 < len(of_seeds) < FEW_SEEDS:
        for curve in of_seeds:
            # Of learners from data there are figures only where they were evaluated.
            known = curve.dropna(subset=[column])
            axes.plot(known["steps"], known[column], color=colour, linewidth=0.7, alpha=0.55)
    axes.plot(mean["steps"], mean["mean"], color=colour, linewidth=2.0, label=label)
    if len(of_seeds) < LEAST_FOR_BAND:
        return
    # The interval of few seeds reaches far beyond them; the axes keep to the curves.
    scale = axes.dataLim.frozen()
    axes.fill_between(mean["steps"], mean["low"], mean["high"], color=colour, alpha=0.13, linewidth=0.0)
    if len(of_seeds) < FEW_SEEDS:
        axes.dataLim.set(scale)


def _draw_cost(axes: Axes, curve: pd.DataFrame, colour: str, alone: bool) -> None:
    """The mean over agents; of a single trial also the worst agent."""
    label = "mean over agents" if alone else None
    axes.plot(curve["steps"], curve["cost"], color=colour, linewidth=1.8, label=label)
    if alone:
        axes.plot(
            curve["steps"], curve["worst_cost"], color=colour, linewidth=1.0, alpha=0.55, label="worst agent"
        )


def _limit(curve: pd.DataFrame) -> float:
    """The limit at the end of a trial; NaN without."""
    return float(curve["limit"].iloc[-1]) if len(curve) else np.nan


def _draw_limits(axes: Axes, curves: Sequence[pd.DataFrame]) -> None:
    """A dashed line for every limit that some trial had at its end."""
    limits = {limit for limit in map(_limit, curves) if np.isfinite(limit)}
    for index, limit in enumerate(sorted(limits)):
        axes.axhline(
            limit, color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label=None if index else "limit"
        )


def _steps_of(by_row: Mapping[str, Sequence[pd.DataFrame]]) -> str:
    """What is counted along the axis: learners from data sample nothing."""
    curves = [curve for of_seeds in by_row.values() for curve in of_seeds]
    from_data = ["loss" in curve and bool(curve["loss"].notna().any()) for curve in curves]
    if not any(from_data):
        return "environment steps"
    return "steps learned from" if all(from_data) else "steps sampled, or learned from"


def _label(axes: Axes, panel: Panel, where: str = "", steps: str = "environment steps") -> None:
    tidy(axes, f"{panel.title}{where}")
    label_steps(axes, steps)
    axes.set_ylabel(panel.quantity)
