"""What a dataset holds, in figures per episode."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.data.columns import SPLIT, SPLITS
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.functional.safety_metrics import danger_of_cost, danger_of_margin


def danger_of(dataset: Dataset) -> NDArray[np.bool_]:
    """``[R, A]`` agents in danger after a row: a negative margin, or, without margins, costs above c̄.

    Several costs count by their sum. Agents that did not act are never in danger.
    """
    if "margins" in dataset:
        danger = danger_of_margin(dataset["margins"])
    else:
        danger = danger_of_cost(dataset["costs"].sum(-1), dataset.schema.danger_cost)
    return danger & dataset["active"]


def episode_table(datasets: Dataset | Iterable[Dataset]) -> pd.DataFrame:
    """One line per episode.

    Args:
        datasets: a dataset, or pieces of one such as :func:`rllib_safemarl.data.files.iterate_dataset` gives.

    Returns:
        Columns ``steps``; ``agent_steps`` ((step, agent) pairs in which the agent acted); ``return``
        (undiscounted, mean over agents); ``cost`` (undiscounted, mean over agents, summed over constraints;
        NaN without costs) and ``cost_<name>`` for each; ``worst_cost`` (of the agent with the greatest);
        ``danger_share`` (share of (step, agent) in danger); ``unsafe`` (any danger at all); ``terminated``
        (it did not end by a timeout); ``split`` (a name, or empty); ``behaviour`` (a name, or empty).
    """
    pieces = [datasets] if isinstance(datasets, Dataset) else datasets
    return pd.concat([_table(piece) for piece in pieces], ignore_index=True)


def _table(dataset: Dataset) -> pd.DataFrame:
    starts, agents = dataset.offsets[:-1], dataset.schema.num_agents
    costs = np.add.reduceat(dataset["costs"].astype(np.float64), starts, axis=0)
    danger = np.add.reduceat(danger_of(dataset).sum(1), starts)
    acted = np.add.reduceat(dataset["active"].sum(1), starts)
    per_agent = costs.sum(-1) if costs.shape[-1] else np.full(costs.shape[:2], np.nan)
    table = {
        "steps": dataset.lengths,
        "agent_steps": acted,
        "return": np.add.reduceat(dataset["rewards"].astype(np.float64), starts, axis=0).sum(1) / agents,
        "cost": per_agent.mean(1),
        "worst_cost": per_agent.max(1),
        **{f"cost_{name}": costs[..., c].mean(1) for c, name in enumerate(dataset.schema.cost_names)},
        "danger_share": danger / acted,
        "unsafe": danger > 0,
        "terminated": ~dataset["timeouts"][dataset.offsets[1:] - 1],
        "split": _names(dataset, SPLIT, SPLITS),
        "behaviour": _names(dataset, "behaviour", dataset.provenance.behaviours),
    }
    return pd.DataFrame(table)


def _names(dataset: Dataset, column: str, names: tuple[str, ...]) -> list[str]:
    """Names of the codes in an episode column; a code without a name is itself."""
    if column not in dataset.episodes:
        return [""] * dataset.num_episodes
    codes = dataset.episodes[column].astype(int).tolist()
    return [names[code] if 0 <= code < len(names) else str(code) for code in codes]


def frontier(costs: NDArray, returns: NDArray) -> tuple[NDArray, NDArray]:
    """The episodes that no other beats in both cost and return.

    Args:
        costs: ``[E]``.
        returns: ``[E]``.

    Returns:
        Costs, rising, and returns, rising, of those episodes.
    """
    order = np.lexsort((-returns, costs))
    best = np.maximum.accumulate(returns[order])
    better = np.concatenate([[True], best[1:] > best[:-1]])
    return costs[order][better], returns[order][better]
