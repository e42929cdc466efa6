"""Episodes of a dataset, summed up like those of an evaluation."""

from __future__ import annotations

import math

import numpy as np

from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.statistics import danger_of
from rllib_safemarl.evaluation.rollouts import EpisodeSet
from rllib_safemarl.functional.safety_metrics import (
    EpisodeSafety,
    depth_of_cost,
    depth_of_margin,
    episode_safety,
)
from rllib_safemarl.offline.source import open_source


def dataset_episodes(path: str, split: str, clearance: float) -> EpisodeSet:
    """All episodes of a split.

    Args:
        path: of the dataset.
        split: one of its splits, or ``all``.
        clearance: κ_s of the environment, in the unit of the margins.

    Raises:
        SafeMARLError: the dataset cannot be read or has no such split.
    """
    dataset = open_source(path, split, math.inf).dataset
    assert dataset is not None
    starts = dataset.offsets[:-1]
    return EpisodeSet(
        np.add.reduceat(dataset["rewards"].astype(np.float64), starts),
        np.add.reduceat(dataset["costs"].astype(np.float64), starts),
        dataset.lengths.astype(np.float64),
        {},
        dataset.schema.cost_names,
        _safety(dataset, clearance),
    )


def _safety(dataset: Dataset, clearance: float) -> list[EpisodeSafety]:
    """``[E]``; empty where neither margins nor costs say what danger is."""
    schema = dataset.schema
    if "margins" in dataset:
        depth = depth_of_margin(dataset["margins"], clearance)
    elif schema.cost_names:
        depth = depth_of_cost(dataset["costs"].sum(-1), schema.danger_cost)
    else:
        return []
    danger, acted, found = danger_of(dataset), dataset["active"], []
    for start, end in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True):
        crashed = not dataset["timeouts"][end - 1] and bool(danger[end - 1].any())
        lost = max(0, schema.time_limit - int(end - start)) if crashed and schema.time_limit else 0
        found.append(episode_safety(danger[start:end], depth[start:end], acted[start:end], lost))
    return found
