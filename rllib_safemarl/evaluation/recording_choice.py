"""Which recorded episodes a dataset keeps, and whether they say enough about danger."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.evaluation.recording_recipe import Grid

UNSAFE_SHARE = (0.05, 0.40)
"""A dataset to learn safety from holds so many episodes in which any agent was ever in danger: without them
nobody learns what danger is, with more of them hardly anything else."""
LEAST_DANGER = 0.01
"""And so many of its agent steps are in danger."""


def grid_filter(table: pd.DataFrame, grid: Grid, seed: int) -> NDArray[np.bool_]:
    """Thin out crowded cells of cost × return, as DSRL does.

    Cells are equal parts of the ranges of cost and return that the episodes span. Of a cell with more than
    ``most_per_cell`` episodes, so many are drawn; one with fewer than ``least_per_cell`` is dropped.

    Args:
        table: of :func:`rllib_safemarl.data.statistics.episode_table`.
        grid: cells, and how many episodes each keeps.
        seed: the choice depends on nothing but this and the table.

    Returns:
        ``[E]`` episodes kept.
    """
    # Without costs there is one column of cells.
    cost = _cells(np.nan_to_num(table["cost"].to_numpy(np.float64)), grid.cost_cells)
    cell = cost * grid.return_cells + _cells(table["return"].to_numpy(np.float64), grid.return_cells)
    kept, order = np.zeros(len(table), bool), np.random.default_rng(seed).permutation(len(table))
    for each in np.unique(cell):
        members = order[cell[order] == each]
        if len(members) >= grid.least_per_cell:
            kept[members[: grid.most_per_cell]] = True
    return kept


def _cells(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    low, span = values.min(), np.ptp(values)
    if span == 0.0:
        return np.zeros(len(values), np.int64)
    return np.minimum((values - low) / span * count, count - 1).astype(np.int64)


def danger_shares(table: pd.DataFrame) -> tuple[float, float]:
    """Share of episodes with any danger, and share of agent steps in danger."""
    return float(table["unsafe"].mean()), float(
        np.average(table["danger_share"], weights=table["agent_steps"])
    )


def safety_problem(table: pd.DataFrame) -> str:
    """Why a dataset of these episodes says too little about danger or about safety; empty if it does not."""
    unsafe, danger = danger_shares(table)
    low, high = UNSAFE_SHARE
    if not low <= unsafe <= high:
        return f"{100 * unsafe:.1f} % of the episodes are unsafe, not {100 * low:g} to {100 * high:g} %"
    if danger < LEAST_DANGER:
        return f"{100 * danger:.2f} % of the agent steps are in danger, not {100 * LEAST_DANGER:g} % or more"
    return ""
