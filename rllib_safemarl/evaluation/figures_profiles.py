"""Rows as whole distributions of runs: performance profiles, and chances of being better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rllib_safemarl.evaluation.comparison_scores import Overall
from rllib_safemarl.evaluation.figures import LIMIT_COLOUR, colour_of, legend_below, new_figure, tidy
from rllib_safemarl.evaluation.statistics_bootstrap import Float
from rllib_safemarl.evaluation.statistics_profiles import performance_profile

_POINTS = 201
_FARTHEST = 3.0
"""Costs are drawn up to so many times their limit."""


def profiles_figure(rows: Sequence[Overall], title: str = "") -> Figure:
    """Draw which share of the runs reaches a return and keeps to a cost, and how often the first row wins.

    Args:
        rows: trained rows over all environments, at least two.
        title: above the figure.
    """
    with_costs = all(len(row.costs) > 0 for row in rows)
    figure = new_figure(11.5 if with_costs else 8.0, 4.1)
    panels = list(figure.subplots(1, 3 if with_costs else 2))
    returns, chances = panels[0], panels[-1]
    for index, row in enumerate(rows):
        _draw_profile(returns, row.scores, np.linspace(0.0, 1.0, _POINTS), index, at_most=False)
        if with_costs:
            _draw_profile(panels[1], row.costs, np.linspace(0.0, _FARTHEST, _POINTS), index, at_most=True)
    _label(returns, "Runs above a return", "return, 0 least and 1 greatest of all rows")
    if with_costs:
        _label(panels[1], "Runs below a cost", "worst agent's cost ÷ its limit")
        panels[1].axvline(1.0, color=LIMIT_COLOUR, linestyle="--", linewidth=1.4)
    _draw_chances(chances, rows)
    legend_below(figure, _legend(rows, with_costs))
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw_profile(axes: Axes, tasks: Sequence[Float], thresholds: Float, index: int, at_most: bool) -> None:
    profile = performance_profile(tasks, thresholds, at_most)
    colour = colour_of(index)
    axes.step(thresholds, profile.share, where="post", color=colour, linewidth=2.0)
    if np.isfinite(profile.low).any():
        axes.fill_between(
            thresholds, profile.low, profile.high, step="post", color=colour, alpha=0.13, linewidth=0.0
        )


def _label(axes: Axes, title: str, quantity: str) -> None:
    tidy(axes, title)
    axes.set_xlabel(quantity)
    axes.set_ylabel("share of runs")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0.02)


def _draw_chances(axes: Axes, rows: Sequence[Overall]) -> None:
    """One line per other row: P(a run of the first row has the greater return)."""
    first, *others = rows
    for line, row in enumerate(others):
        chance, colour = row.improvement, colour_of(line + 1)
        if np.isfinite(chance.low):
            axes.plot([chance.low, chance.high], [line, line], color=colour, linewidth=6.0, alpha=0.35)
        axes.plot([chance.mean], [line], "o", color=colour, markersize=7.0, mec="white", mew=0.8)
    tidy(axes, "Chance of being better")
    axes.axvline(0.5, color="#444444", linewidth=1.0)
    axes.set_yticks([])
    axes.set_ylim(len(others) - 0.4, -0.6)
    axes.set_xlim(-0.04, 1.04)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(f"pairs of runs in which {first.row}\nreturns more than the other row")


def _legend(rows: Sequence[Overall], with_costs: bool) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=colour_of(index), linewidth=2.0, label=row.row) for index, row in enumerate(rows)
    ]
    if with_costs:
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label="limit"))
    if any(np.isfinite(row.score.low) for row in rows):
        handles.append(Patch(color="#777777", alpha=0.25, linewidth=0.0, label="95 % interval"))
    return handles
