"""Figures, from data frames; what is needed beyond the core is matplotlib (extra ``plot``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A00", "#444444")
"""Told apart by people with any colour vision (Okabe and Ito), darkened where they fade on white."""
LIMIT_COLOUR = "#B00020"
_MOST_IN_LEGEND = 12


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
