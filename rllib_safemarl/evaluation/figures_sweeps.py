"""Sweeps as figures: what a setting does, and all settings at once as parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from rllib_safemarl.evaluation.cells import figure as figure_text
from rllib_safemarl.evaluation.figures import (
    LEAST_FOR_BAND,
    LIMIT_COLOUR,
    colour_of,
    legend_below,
    new_figure,
    scale_costs,
    tidy,
)
from rllib_safemarl.evaluation.statistics_bootstrap import over_seeds
from rllib_safemarl.evaluation.sweeps import choices, in_order, ordered, places
from rllib_safemarl.evaluation.words import setting_text

_PANELS = {
    "return": "undiscounted return per episode,\nmean over agents",
    "cost": "undiscounted cost\nper episode and agent",
    "within_limit": "share of episodes in which\nevery agent kept to it",
}
_TITLES = {"return": "Return", "cost": "Cost", "within_limit": "Within the limit"}
_OUTPUTS = {"cost": "cost", "within_limit": "within limit", "return": "return"}
_COLOURS: Colormap = LinearSegmentedColormap.from_list("return", ["#B9D9EB", "#0072B2", "#00243D"])
_BROKEN = "#D55E00"
_MOST_TICKS = 8
"""Values of a setting that are all written at its axis."""
_MOST_LINES = 12
"""Choices of the other settings that are all named below the figure."""


def setting_figure(frame: pd.DataFrame, setting: str, settings: Sequence[str], title: str = "") -> Figure:
    """Draw what runs came to over one setting, a line for every choice of the others.

    Args:
        frame: of :func:`rllib_safemarl.evaluation.sweeps.sweep_frame`.
        setting: along the axis.
        settings: all in which runs differ.
        title: above the figure.
    """
    panels = [name for name in _PANELS if frame[name].notna().any()]
    figure = new_figure(1.0 + 3.9 * len(panels), 4.1)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    others = [name for name in settings if name != setting]
    frame = in_order(frame, others)
    groups = frame.groupby(choices(frame, others), sort=False)
    values = ordered(frame[setting])
    handles: list[Artist] = []
    for index, (label, group) in enumerate(groups):
        for axes, name in zip(grid, panels, strict=True):
            _draw_line(axes, group, setting, name, values, colour_of(index))
        if others and len(groups) <= _MOST_LINES:
            handles.append(
                Line2D([], [], color=colour_of(index), marker="o", linewidth=1.8, label=str(label))
            )
    for axes, name in zip(grid, panels, strict=True):
        _finish(axes, frame, setting, name, values)
    if "cost" in panels and np.isfinite(frame["limit"]).any():
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle="--", linewidth=1.4, label="limit"))
    legend_below(figure, handles)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw_line(
    axes: Axes, group: pd.DataFrame, setting: str, name: str, values: Sequence[Any], colour: str
) -> None:
    """Averages over seeds with intervals, and every run as a dot."""
    where, _, _ = places(values)
    at, estimates = [], []
    for place, value in zip(where, values, strict=True):
        runs = group[group[setting].map(setting_text) == setting_text(value)][name].dropna()
        if len(runs):
            at.append(place)
            estimates.append(over_seeds(runs))
            if len(runs) > 1:
                axes.plot([place] * len(runs), runs, "o", color=colour, markersize=3.0, alpha=0.45, mew=0.0)
    # The interval of few seeds reaches far beyond them; the axes keep to the runs.
    axes.plot(at, [e.mean for e in estimates], "-o", color=colour, linewidth=1.8, markersize=5.0)
    scale = axes.dataLim.frozen()
    low, high = ([getattr(e, end) for e in estimates] for end in ("low", "high"))
    if np.isfinite(low).any() and max(e.count for e in estimates) >= LEAST_FOR_BAND:
        axes.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0.0)
        axes.dataLim.set(scale)


def _finish(axes: Axes, frame: pd.DataFrame, setting: str, name: str, values: Sequence[Any]) -> None:
    """Limits, scales and words."""
    where, is_scale, is_log = places(values)
    tidy(axes, _TITLES[name])
    axes.set_xlabel(setting)
    axes.set_ylabel(_PANELS[name])
    if is_log:
        axes.set_xscale("log")
    if not is_scale or len(values) <= _MOST_TICKS:
        axes.set_xticks(where, [setting_text(value) for value in values])
        axes.minorticks_off()
    if not is_scale:
        axes.set_xlim(-0.3, len(values) - 0.7)
    if name == "within_limit":
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif name == "cost":
        limits = [
            frame[frame[setting].map(setting_text) == setting_text(value)]["limit"].max() for value in values
        ]
        finite = [limit for limit in limits if np.isfinite(limit)]
        axes.plot(where, limits, "--", color=LIMIT_COLOUR, linewidth=1.4)
        scale_costs(axes, max(finite, default=0.0), float(frame["cost"].max()))


def parallel_figure(frame: pd.DataFrame, settings: Sequence[str], title: str = "") -> Figure:
    """Draw every choice of settings as a line through all of them, its cost and its return.

    Choices whose cost is above its limit are drawn thin and dashed; the others by their return, the best of
    them thickest.

    Args:
        frame: of :func:`rllib_safemarl.evaluation.sweeps.sweep_frame`; runs that differ only in their seed
            are averaged.
        settings: in which runs differ.
        title: above the figure.
    """
    chosen = _averaged(frame, settings)
    outputs = [name for name in _OUTPUTS if chosen[name].notna().any()]
    names = [*settings, *outputs]
    figure = new_figure(1.6 + 1.7 * len(names), 4.4)
    axes = figure.subplots()
    heights = {name: _heights(chosen[name], name in settings) for name in names}
    kept = ~(chosen["cost"] > chosen["limit"])
    shade = Normalize(*_range(chosen["return"][kept]))
    best = chosen["return"].where(kept).idxmax() if kept.any() else None
    # The best last, so that it lies on top.
    for line in chosen["return"].sort_values(na_position="first").index.tolist():
        at = [heights[name][0][line] for name in names]
        if kept[line]:
            style = {
                "color": _COLOURS(shade(chosen["return"][line])),
                "linewidth": 3.4 if line == best else 1.6,
            }
        else:
            style = {"color": _BROKEN, "linewidth": 1.0, "linestyle": (0, (4, 2)), "alpha": 0.7}
        axes.plot(range(len(names)), at, solid_capstyle="round", **style)
    for place, name in enumerate(names):
        _draw_axis(axes, place, _OUTPUTS.get(name, name) if name in outputs else name, heights[name][1])
    axes.set_xlim(-0.25, len(names) - 0.6)
    axes.set_ylim(-0.06, 1.1)
    axes.axis("off")
    bar = figure.colorbar(ScalarMappable(shade, _COLOURS), ax=axes, pad=0.01, aspect=30)
    bar.set_label("return")
    bar.outline.set_visible(False)
    handles: list[Artist] = [Line2D([], [], color=_COLOURS(0.7), linewidth=1.6, label="within the limit")]
    if best is not None:
        handles.append(Line2D([], [], color=_COLOURS(1.0), linewidth=3.4, label="the best of these"))
    if not kept.all():
        handles.append(
            Line2D([], [], color=_BROKEN, linewidth=1.0, linestyle=(0, (4, 2)), label="above the limit")
        )
    legend_below(figure, handles)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _averaged(frame: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """One line per choice of settings."""
    keys = choices(frame, settings)
    outputs = ["return", "cost", "limit", "within_limit"]
    means = frame[outputs].groupby(keys, sort=False).mean()
    first = frame[list(settings)].groupby(keys, sort=False).first()
    return pd.concat([first, means], axis=1).reset_index(drop=True)


def _range(values: pd.Series) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _heights(values: pd.Series, is_setting: bool) -> tuple[list[float], list[tuple[float, str]]]:
    """Where the values of an axis stand, from 0 to 1, and its ticks."""
    if is_setting:
        different = ordered(values)
        where, _, is_log = places(different)
        where = [math.log(place) for place in where] if is_log else where
        low, high = min(where), max(where)
        height = {setting_text(v): (w - low) / (high - low) for v, w in zip(different, where, strict=True)}
        ticks = [(height[text], text) for text in map(setting_text, different)]
        few = ticks if len(ticks) <= _MOST_TICKS else ticks[:: len(ticks) - 1]
        return [height[setting_text(value)] for value in values], few
    low, high = _range(values)
    ticks = [(share, figure_text(low + share * (high - low))) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return [(float(value) - low) / (high - low) for value in values], ticks


def _draw_axis(axes: Axes, place: int, name: str, ticks: Sequence[tuple[float, str]]) -> None:
    axes.plot([place, place], [0.0, 1.0], color="#444444", linewidth=1.2, zorder=0.5)
    axes.text(place, 1.06, name, ha="center", va="bottom", fontweight="bold")
    outline = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    for height, text in ticks:
        axes.plot([place - 0.015, place + 0.015], [height, height], color="#444444", linewidth=1.2)
        axes.text(place + 0.035, height, text, va="center", fontsize=9, bbox=outline, zorder=5.0)
