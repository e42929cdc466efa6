"""The picture of a dataset: cost against return, an episode a point (needs matplotlib, extra ``plot``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rllib_safemarl.data.atomic import atomic_path
from rllib_safemarl.data.statistics import frontier
from rllib_safemarl.errors import SafeMARLError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A00", "#444444")
"""Told apart by people with any colour vision (Okabe and Ito)."""
LIMIT_COLOUR = "#B00020"
_MOST_POINTS = 20_000


def frontier_figure(table: pd.DataFrame, limits: tuple[float, ...] = (), title: str = "") -> Any:
    """Draw cost against return, an episode a point, coloured by behaviour.

    Args:
        table: of :func:`rllib_safemarl.data.statistics.episode_table`.
        limits: on the cost, drawn as dashed lines.
        title: above the figure.

    Returns:
        A matplotlib figure.

    Raises:
        SafeMARLError: matplotlib is missing, or the dataset has no costs.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SafeMARLError("pictures need matplotlib: pip install 'rllib_safemarl[plot]'.") from error
    if table["cost"].isna().all():
        raise SafeMARLError("the dataset has no costs to plot; relabel them by safemarl data convert --cost.")
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_episodes(axes, table)
    costs, returns = frontier(table["cost"].to_numpy(), table["return"].to_numpy())
    # The best return that some episode reached at no more than a cost: a stair.
    right = max(float(table["cost"].max()), float(costs[-1]))
    axes.step(
        [*costs, right],
        [*returns, returns[-1]],
        where="post",
        color="#000000",
        linewidth=1.4,
        label="best return at a cost",
    )
    _draw_limits(axes, limits)
    _label(figure, axes)
    unsafe = float(table["unsafe"].mean())
    axes.set_title(f"{len(table):,} episodes, {100 * unsafe:.0f} % with danger", loc="left", fontsize=10)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw_limits(axes: Any, limits: tuple[float, ...]) -> None:
    for index, limit in enumerate(sorted(limits)):
        label = ("cost limit" if len(limits) == 1 else "cost limits") if index == 0 else None
        axes.axvline(limit, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2, label=label)


def _label(figure: Any, axes: Any) -> None:
    axes.set_xlabel("undiscounted cost per episode and agent")
    axes.set_ylabel("undiscounted return per episode,\nmean over agents")
    axes.margins(x=0.03, y=0.05)
    axes.grid(True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, frameon=False, ncols=min(4, len(labels)), loc="outside lower center"
    )
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([26.0])


def _draw_episodes(axes: Any, table: pd.DataFrame) -> None:
    if len(table) > _MOST_POINTS:
        table = table.iloc[np.random.default_rng(0).choice(len(table), _MOST_POINTS, replace=False)]
    behaviours = sorted(table["behaviour"].unique())
    size = float(np.clip(8000.0 / len(table), 6.0, 26.0))
    for index, behaviour in enumerate(behaviours):
        part = table[table["behaviour"] == behaviour]
        axes.scatter(
            part["cost"],
            part["return"],
            s=size,
            color=COLOURS[index % len(COLOURS)],
            marker="os^D"[index // len(COLOURS) % 4],
            alpha=0.6,
            linewidths=0,
            label=behaviour or "episodes",
        )


def save_frontier(figure: Any, path: str | Path) -> Path:
    """Write a PNG atomically."""
    path = Path(path)
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", dpi=150)
    return path
