"""What a dataset is labelled with before it is learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.columns import SIGNALS, SPLIT
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.splits import with_split
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.barrier_sets import BarrierSets, barrier_sets
from rllib_safemarl.offline.source import ALL

INITIAL, DANGER, NEXT_DANGER = f"{SIGNALS}initial", f"{SIGNALS}danger", f"{SIGNALS}next_danger"
PRE_DANGER, LEAST_MARGIN = f"{SIGNALS}pre_danger", f"{SIGNALS}least_margin"
ROW = f"{SIGNALS}row"
LABELS = (INITIAL, DANGER, NEXT_DANGER, PRE_DANGER, LEAST_MARGIN, ROW)
"""Row columns ``[R, A]`` that :func:`label` adds, the row's own number among them."""


DANGER_SOURCES = ("margins", "costs")
"""What can tell that an agent is in danger."""


def moment_margins(dataset: Dataset, source: str = "margins") -> NDArray[np.float32]:
    """The margin in every moment ``[R + E, A]``, see :meth:`Dataset.points`.

    That of an episode's first moment was not recorded, and is taken to be that of the second. From costs, or
    where the dataset has no margins, it is the cost below which there is no danger, less the cost.
    """
    if source == "margins" and "margins" in dataset:
        after = dataset["margins"]
    elif dataset.schema.cost_names:
        after = dataset.schema.danger_cost - dataset["costs"].sum(-1)
    else:
        raise SafeMARLError(
            "the dataset has neither margins nor costs, so nothing says what danger is; add costs by "
            "safemarl data convert --cost."
        )
    margins = np.empty((dataset.num_rows + dataset.num_episodes, after.shape[1]), np.float32)
    first = np.zeros(len(margins), bool)
    first[dataset.point_offsets[:-1]] = True
    margins[~first] = after
    margins[first] = after[dataset.offsets[:-1]]
    return margins


def moment_sets(dataset: Dataset, horizon: int, source: str = "margins") -> BarrierSets:
    """Membership of every moment and agent, ``[R + E, A]``."""
    last = dataset.offsets[1:] - 1
    terminated = np.asarray(dataset["terminals"][last].all(1))
    return barrier_sets(moment_margins(dataset, source), dataset.point_offsets, terminated, horizon)


def take_split(dataset: Dataset, name: str) -> Dataset:
    """The episodes of a split; a dataset that is not split yet is split as ``safemarl data split`` does it.

    Args:
        dataset: all of its episodes, or those of the split.
        name: of the split, or ``all``.
    """
    if name == ALL:
        return dataset
    return (dataset if SPLIT in dataset.episodes else with_split(dataset)).split(name)


def label(dataset: Dataset, horizon: int, source: str = "margins") -> Dataset:
    """The dataset with :data:`LABELS`; ``next_danger`` is of the moment after a row.

    Args:
        dataset: to be labelled.
        horizon: T_h, steps.
        source: one of :data:`DANGER_SOURCES`.

    Raises:
        SafeMARLError: nothing tells what danger is, or nobody is ever in it.
    """
    sets = moment_sets(dataset, horizon, source)
    if not sets.danger.any():
        raise SafeMARLError(
            "no agent is ever in danger in the dataset, so no barrier can be learnt from it; record unsafe "
            "behaviour, too."
        )
    is_row = np.ones(len(sets.danger), bool)
    is_row[dataset.point_offsets[1:] - 1] = False
    is_next = np.ones(len(sets.danger), bool)
    is_next[dataset.point_offsets[:-1]] = False
    labels = {
        INITIAL: sets.initial[is_row],
        DANGER: sets.danger[is_row],
        NEXT_DANGER: sets.danger[is_next],
        PRE_DANGER: sets.pre_danger[is_row],
        LEAST_MARGIN: sets.least_margin[is_row].astype(np.float32),
        ROW: np.repeat(np.arange(dataset.num_rows)[:, None], len(dataset.schema.agents), 1),
    }
    return replace(dataset, rows={**dataset.rows, **labels})
