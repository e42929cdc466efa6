"""What rows came to: return, cost against its limit and danger, one line per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from rllib_safemarl.evaluation.cells import figure as figure_text
from rllib_safemarl.evaluation.comparison_rows import RowSummary
from rllib_safemarl.evaluation.figures import (
    COLOURS,
    GREY,
    LIMIT_COLOUR,
    Panel,
    legend_below,
    new_figure,
    scale_costs,
    tidy,
)
from rllib_safemarl.evaluation.statistics import ROUNDING

HELD, BROKEN = COLOURS[0], COLOURS[1]
_LINE = 0.27
"""Height of a row, inches."""
_LONGEST, _LETTER = 64, 0.075
"""Letters of a name that are drawn, at most, and their width, inches."""
_BEYOND = 0.12
"""Intervals are drawn as far beyond all seeds as this share of what these span."""
_SQUEEZED = 0.2
"""Rows that would share less than this part of the axis with others beside them get it for themselves."""


_RETURN = Panel("return", "Return", "per episode, mean over agents")
_COST = Panel("worst_agent_cost", "Worst agent's cost", "per episode")
_DANGER = Panel("dangerous_episodes", "Dangerous episodes", "share of episodes")


def results_figure(rows: Sequence[RowSummary], title: str = "") -> Figure:
    """Draw every row's return, its worst agent's cost and its dangerous episodes, with intervals.

    Args:
        rows: of a comparison; those of one environment stand together.
        title: above the figure.
    """
    by_environment: dict[str, list[RowSummary]] = {}
    for row in rows:
        if row.seeds_done:
            by_environment.setdefault(row.environment, []).append(row)
    panels = [p for p in (_RETURN, _COST, _DANGER) if any(row.knows(p.column) for row in rows)]
    heights = [len(here) + 1.5 for here in by_environment.values()]
    longest = min(_LONGEST, max((len(row.name) for row in rows), default=0))
    height = 1.1 + _LINE * sum(heights) + 0.35 * len(heights)
    figure = new_figure(0.4 + _LETTER * longest + 2.9 * len(panels), height)
    grid = figure.subplots(
        len(by_environment), len(panels), squeeze=False, sharey="row", height_ratios=heights
    )
    for line, (environment, here) in enumerate(by_environment.items()):
        for axes, panel in zip(grid[line], panels, strict=True):
            _draw(axes, here, panel)
            tidy(axes, panel.title if line == 0 else "")
            axes.set_xlabel(panel.quantity if line == len(by_environment) - 1 else "")
        _name_rows(grid[line][0], here)
        if len(by_environment) > 1:
            _name_block(grid[line][0], environment)
    legend_below(figure, _legend(rows, panels), columns=5)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _name_block(axes: Axes, environment: str) -> None:
    """The environment's name inside its block, where no title of a panel can run into it."""
    axes.set_ylim(top=-1.5)
    where = axes.get_yaxis_transform()
    axes.text(0.01, -0.95, environment, transform=where, fontweight="bold", va="center", zorder=4.0)


def _name_rows(axes: Axes, rows: Sequence[RowSummary]) -> None:
    names = [row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…" for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _draw(axes: Axes, rows: Sequence[RowSummary], panel: Panel) -> None:
    """Means with intervals and single seeds; the limit of costs."""
    known = [row for row in rows if row.knows(panel.column)]
    for row in known:
        _draw_row(axes, rows.index(row), row, panel)
    values = np.array([v for row in known for v in row.values(panel.column)], float)
    if not len(values):
        return
    if panel == _COST:
        limits = sorted({row.limit for row in rows if np.isfinite(row.limit)})
        for limit in limits:
            axes.axvline(limit, color=LIMIT_COLOUR, linestyle="--", linewidth=1.4)
        scale_costs(axes, max(limits, default=0.0), float(values.max()), along="x")
        if axes.get_xscale() == "linear":
            axes.set_xlim(0.0, 1.08 * max(values.max(), *limits, 1e-9))
            axes.set_xlim(left=-0.03 * axes.get_xlim()[1])
        else:
            axes.set_xlim(left=-0.3 * max(limits))
    elif panel == _DANGER:
        axes.set_xlim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        _scale_returns(axes, rows)


def _scale_returns(axes: Axes, rows: Sequence[RowSummary]) -> None:
    """As far as seeds lie; an arrow and a number of rows so bad that the others could not be told apart."""
    means = [row.of("return").mean for row in rows]
    far = _far_off(rows)
    values = np.array([v for k, row in enumerate(rows) if k not in far for v in row.values("return")])
    margin = _BEYOND * (float(np.ptp(values)) or max(abs(float(values[0])), 1.0))
    axes.set_xlim(values.min() - margin, values.max() + margin)
    for line in far:
        left = axes.get_xlim()[0]
        axes.plot([left], [line], "<", color=_colour(rows[line]), markersize=7.0, clip_on=False)
        axes.annotate(
            figure_text(means[line]),
            (left, line),
            (9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )


def _far_off(rows: Sequence[RowSummary]) -> list[int]:
    """The fewest of the worst rows, at most a quarter, without which the others have much more room."""
    order = sorted(range(len(rows)), key=lambda k: rows[k].of("return").mean)
    span = float(np.ptp(np.concatenate([row.values("return") for row in rows])))
    for count in range(1, len(rows) // 4 + 1):
        others = np.concatenate([rows[k].values("return") for k in order[count:]])
        if np.ptp(others) < _SQUEEZED * span:
            return order[:count]
    return []


def _draw_row(axes: Axes, line: int, row: RowSummary, panel: Panel) -> None:
    estimate, colour = row.of(panel.column), _colour(row)
    if panel == _DANGER and not estimate.high > estimate.low + ROUNDING:
        # Seeds alike, or one alone: what their episodes tell.
        estimate = row.dangerous
    if np.isfinite(estimate.low):
        axes.plot([estimate.low, estimate.high], [line, line], color=colour, linewidth=2.2, alpha=0.55)
    seeds = row.values(panel.column)
    if len(seeds) > 1:
        axes.plot(seeds, [line] * len(seeds), "o", color=colour, markersize=3.5, alpha=0.45, mew=0.0)
    axes.plot([row.of(panel.column).mean], [line], "o", color=colour, markersize=6.5, mec="white", mew=0.8)


def _colour(row: RowSummary) -> str:
    if row.seeds_held is None:
        return GREY
    return HELD if row.seeds_held == row.seeds_done else BROKEN


def _legend(rows: Sequence[RowSummary], panels: Sequence[Panel]) -> list[Artist]:
    names = {HELD: "limit held by every seed", BROKEN: "not by every seed", GREY: "without limit"}
    used = {_colour(row) for row in rows if row.seeds_done}
    handles: list[Artist] = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=name)
        for colour, name in names.items()
        if colour in used and len(used | {GREY}) > 1
    ]
    if any(row.seeds_done > 1 for row in rows):
        handles.append(
            Line2D(
                [], [], color=GREY, marker="o", markersize=3.5, mew=0.0, linestyle="", label="single seeds"
            )
        )
        handles.append(Line2D([], [], color=GREY, linewidth=2.2, alpha=0.55, label="95 % interval"))
    if _COST in panels and any(np.isfinite(row.limit) for row in rows):
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label="limit"))
    return handles
