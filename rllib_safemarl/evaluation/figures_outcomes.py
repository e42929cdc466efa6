"""How episodes ended: shares of outcomes, one bar per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rllib_safemarl.evaluation.comparison_rows import RowSummary
from rllib_safemarl.evaluation.figures import colour_of, legend_below, new_figure, tidy

_LINE = 0.3
"""Height of a bar with the room around it, inches."""
_LETTER = 0.075
_LEAST_WITH_TEXT = 0.07
"""Shares from here on have their number written on them."""


def outcomes_figure(rows: Sequence[RowSummary], outcomes: Sequence[str], title: str = "") -> Figure:
    """Draw the shares of outcomes of every row that knows them, means over seeds.

    Args:
        rows: of a comparison; those of one environment stand together.
        outcomes: columns of which exactly one is 1 in every episode.
        title: above the figure.
    """
    by_environment: dict[str, list[RowSummary]] = {}
    for row in rows:
        if any(row.knows(name) for name in outcomes):
            by_environment.setdefault(row.environment, []).append(row)
    heights = [len(here) + 1.2 for here in by_environment.values()]
    longest = max((len(row.name) for here in by_environment.values() for row in here), default=0)
    figure = new_figure(5.5 + _LETTER * longest, 1.0 + _LINE * sum(heights))
    grid = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (environment, here) in zip(grid, by_environment.items(), strict=True):
        _draw(axes, here, outcomes)
        tidy(axes, environment if len(heights) > 1 else "")
        axes.grid(visible=False, axis="y")
    grid[-1].set_xlabel("share of episodes")
    handles = [Patch(color=colour_of(k), label=_in_words(name)) for k, name in enumerate(outcomes)]
    legend_below(figure, handles, columns=5)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw(axes: Axes, rows: Sequence[RowSummary], outcomes: Sequence[str]) -> None:
    lines, left = np.arange(len(rows)), np.zeros(len(rows))
    for k, name in enumerate(outcomes):
        shares = np.nan_to_num([row.of(name).mean for row in rows])
        axes.barh(lines, shares, left=left, height=0.72, color=colour_of(k))
        for line, share, start in zip(range(len(rows)), shares, left, strict=True):
            if share >= _LEAST_WITH_TEXT:
                axes.text(
                    start + share / 2,
                    line,
                    f"{share:.0%}",
                    ha="center",
                    va="center",
                    color="white",
                    fontsize=8,
                )
        left = left + shares
    axes.set_yticks(lines, [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))


def _in_words(name: str) -> str:
    return name.replace("_", " ")
