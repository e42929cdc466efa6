"""Splits by episode: training, selection (losses, off-policy estimates) and calibration (of barriers).

The 70/15/15 of the offline protocol: 30 % are held out, half of them to choose by and half to calibrate on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.data.columns import SPLIT, SPLITS
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.statistics import episode_table
from rllib_safemarl.errors import SafeMARLError

SHARES = (0.7, 0.15, 0.15)
STRATA = 10


def split_episodes(
    table: pd.DataFrame, seed: int = 0, shares: Sequence[float] = SHARES, strata: int = STRATA
) -> NDArray[np.int64]:
    """Assign episodes to splits, stratified by cost.

    Episodes are ordered by cost (by their share of danger where there are no costs) and cut into strata:
    those of the least cost, ties included, and equal parts of the others. Each stratum is shuffled, and
    splits are dealt along the whole order so that each keeps its share at every point, within one episode.
    So every split sees the same costs.

    Args:
        table: of :func:`rllib_safemarl.data.statistics.episode_table`.
        seed: the split depends on nothing but this and the costs.
        shares: of train, selection and calibration.
        strata: number of parts at most.

    Returns:
        ``[E]`` codes of :data:`rllib_safemarl.data.columns.SPLITS`.

    Raises:
        SafeMARLError: shares do not add up to 1, or a split would be empty.
    """
    parts = np.asarray(shares, np.float64)
    if len(parts) != len(SPLITS) or (parts < 0).any() or abs(parts.sum() - 1.0) > 1e-6:
        raise SafeMARLError(
            f"shares {list(shares)} must be {len(SPLITS)} numbers of at least 0 that sum to 1."
        )
    keys = table["cost"].to_numpy(np.float64)
    if np.isnan(keys).any():
        keys = table["danger_share"].to_numpy(np.float64)
    order = _stratified_order(keys, np.random.default_rng(seed), strata)
    split = np.zeros(len(keys), np.int64)
    given = np.zeros(len(parts))
    for place, episode in enumerate(order):
        code = int(np.argmax(parts * (place + 1) - given))
        split[episode] = code
        given[code] += 1
    empty = [name for name, share, count in zip(SPLITS, parts, given, strict=True) if share and not count]
    if empty:
        raise SafeMARLError(
            f"{len(keys)} episodes are too few for shares of {list(shares)}: {empty[0]} would be empty."
        )
    return split


def _stratified_order(keys: NDArray, generator: np.random.Generator, strata: int) -> NDArray[np.intp]:
    """Episodes from the least to the greatest key, shuffled within strata."""
    least = np.flatnonzero(keys == keys.min())
    # Ties must not keep the order of the recording.
    others = generator.permutation(np.flatnonzero(keys > keys.min()))
    others = others[np.argsort(keys[others], kind="stable")]
    groups = [least, *np.array_split(others, max(1, min(strata - 1, len(others) // 2)))]
    return np.concatenate([generator.permutation(group) for group in groups])


def with_split(dataset: Dataset, seed: int = 0, shares: Sequence[float] = SHARES) -> Dataset:
    """The dataset with a split of its episodes."""
    split = split_episodes(episode_table(dataset), seed, shares)
    return replace(dataset, episodes={**dataset.episodes, SPLIT: split})
