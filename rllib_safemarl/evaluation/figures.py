"""Figures, from data frames; what is needed beyond the core is matplotlib (extra ``plot``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FuncFormatter

from rllib_safemarl.evaluation.comparison import mean_curve
from rllib_safemarl.evaluation.statistics import FEW_SEEDS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A00", "#444444")
"""Told apart by people with any colour vision (Okabe and Ito), darkened where they fade on white."""
LIMIT_COLOUR = "#B00020"
_MOST_IN_LEGEND = 12
_DWARFED = 8.0
"""From so many times the limit on, costs are drawn logarithmically."""
_LEAST_FOR_BAND = 3
"""Seeds from which on an interval is drawn: that of two is nine times as wide as they lie apart."""


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
    figure = Figure(figsize=(11.0 if with_cost else 5.8, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if with_cost else 1, squeeze=False)[0]
    for index, (label, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        panels[0].plot(curve["steps"], curve["team_return"], color=colour, linewidth=1.8)
        if len(curves) > 1:
            panels[0].lines[-1].set_label(label)
        if with_cost:
            _draw_cost(panels[1], curve, colour, alone=len(curves) == 1)
    _label(panels[0], "Return", "undiscounted return per episode,\nmean over agents")
    if with_cost:
        _draw_limits(panels[1], curves)
        _label(panels[1], "Cost", "undiscounted cost\nper episode and agent")
        panels[1].set_ylim(bottom=0.0)
        # Beside the title, where no curve can run under it.
        panels[1].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.01, 0.985))
    if 1 < len(curves) <= _MOST_IN_LEGEND:
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, frameon=False, ncols=min(4, len(curves)), loc="outside lower center")
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def comparison_figure(curves: Mapping[str, Mapping[str, Sequence[pd.DataFrame]]], title: str = "") -> Figure:
    """Draw return and cost of a suite's rows over environment steps, means over seeds with intervals.

    Args:
        curves: environment → row → one curve per seed, as for :func:`training_figure`. A row keeps its
            colour over all environments.
        title: above the figure.

    Returns:
        One line of panels per environment: return, and cost with its limit.
    """
    everywhere = [curve for by_row in curves.values() for seeds in by_row.values() for curve in seeds]
    with_cost = any(curve["cost"].notna().any() for curve in everywhere)
    figure = Figure(figsize=(11.0 if with_cost else 5.8, 0.9 + 3.9 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 2 if with_cost else 1, squeeze=False)
    rows = list(dict.fromkeys(row for by_row in curves.values() for row in by_row))
    for (returns, *costs), (environment, by_row) in zip(panels, curves.items(), strict=True):
        where = f" on {environment}" if len(curves) > 1 else ""
        for row, of_seeds in by_row.items():
            colour = COLOURS[rows.index(row) % len(COLOURS)]
            for axes, column in zip((returns, *costs), ("team_return", "cost"), strict=False):
                _draw_mean(axes, of_seeds, column, colour, row)
        _label(returns, f"Return{where}", "undiscounted return per episode,\nmean over agents")
        for axes in costs:
            here = {str(i): c for i, c in enumerate(c for some in by_row.values() for c in some)}
            _draw_limits(axes, here)
            _label(axes, f"Cost{where}", "undiscounted cost\nper episode and agent")
            _scale_costs(axes, here)
    figure.legend(
        handles=_comparison_legend(rows, curves), frameon=False, ncols=4, loc="outside lower center"
    )
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _comparison_legend(
    rows: Sequence[str], curves: Mapping[str, Mapping[str, Sequence[pd.DataFrame]]]
) -> list[Artist]:
    """Rows by colour, and what thin lines, shades and dashes are where there are such."""
    everything = [list(of_seeds) for by_row in curves.values() for of_seeds in by_row.values()]
    handles: list[Artist] = [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], linewidth=2.0, label=row)
        for index, row in enumerate(rows)
    ]
    if any(len(c) and np.isfinite(c["limit"].iloc[-1]) for seeds in everything for c in seeds):
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label="limit"))
    counts = [len(seeds) for seeds in everything]
    if any(1 < count < FEW_SEEDS for count in counts):
        handles.append(Line2D([], [], color="#777777", linewidth=0.7, label="single seeds"))
    if max(counts) >= _LEAST_FOR_BAND:
        handles.append(Patch(color="#777777", alpha=0.25, linewidth=0.0, label="95 % interval of the mean"))
    return handles


def _draw_mean(axes: Axes, of_seeds: Sequence[pd.DataFrame], column: str, colour: str, label: str) -> None:
    """The mean over seeds with its interval, and below five seeds every seed, thinly."""
    mean = mean_curve([*of_seeds], column)
    if not len(mean):
        return
    if 1 < len(of_seeds) < FEW_SEEDS:
        for curve in of_seeds:
            axes.plot(curve["steps"], curve[column], color=colour, linewidth=0.7, alpha=0.55)
    axes.plot(mean["steps"], mean["mean"], color=colour, linewidth=2.0, label=label)
    if len(of_seeds) < _LEAST_FOR_BAND:
        return
    # The interval of few seeds reaches far beyond them; the axes keep to the curves.
    scale = axes.dataLim.frozen()
    axes.fill_between(mean["steps"], mean["low"], mean["high"], color=colour, alpha=0.13, linewidth=0.0)
    axes.dataLim.set(scale)


def _scale_costs(axes: Axes, curves: Mapping[str, pd.DataFrame]) -> None:
    """From 0; beyond twice the limit logarithmically where costs dwarf it, so that both can be read."""
    limits = [float(curve["limit"].iloc[-1]) for curve in curves.values() if len(curve)]
    limit = max((limit for limit in limits if np.isfinite(limit)), default=0.0)
    largest = max((float(curve["cost"].max()) for curve in curves.values()), default=0.0)
    if limit > 0.0 and largest > _DWARFED * limit:
        axes.set_yscale("symlog", linthresh=2.0 * limit, linscale=1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks = [0.0, limit, 2.0 * limit, *(limit * step for step in (5, 10, 20, 50, 100, 200, 500, 1000))]
        axes.set_yticks([tick for tick in ticks if tick <= largest])
        axes.minorticks_off()
        axes.set_ylim(0.0, 1.15 * largest)
    else:
        axes.set_ylim(bottom=0.0)


def _draw_cost(axes: Axes, curve: pd.DataFrame, colour: str, alone: bool) -> None:
    """The mean over agents; of a single trial also the worst agent."""
    label = "mean over agents" if alone else None
    axes.plot(curve["steps"], curve["cost"], color=colour, linewidth=1.8, label=label)
    if alone:
        axes.plot(
            curve["steps"], curve["worst_cost"], color=colour, linewidth=1.0, alpha=0.55, label="worst agent"
        )


def _draw_limits(axes: Axes, curves: Mapping[str, pd.DataFrame]) -> None:
    """A dashed line for every limit that some trial had at its end."""
    limits = {float(curve["limit"].iloc[-1]) for curve in curves.values() if len(curve)}
    for index, limit in enumerate(sorted(limit for limit in limits if np.isfinite(limit))):
        axes.axhline(
            limit, color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label=None if index else "limit"
        )


def _label(axes: Axes, title: str, quantity: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("environment steps")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02)
    axes.grid(True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG atomically and return its path."""
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=150)
    os.replace(temporary, path)
    return path
