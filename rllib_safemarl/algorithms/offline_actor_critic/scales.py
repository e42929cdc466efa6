"""The scale of what is seen, earned and paid, from the statistics of a dataset, streamed or not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.normaliser import ColumnStatistics, NormaliserStatistics
from rllib_safemarl.functional.views import ViewLayout

Float = NDArray[np.float64]
LEAST = 1e-3
"""Deviations below it are those of numbers that never change; these stay as they are."""


def view_scales(
    statistics: NormaliserStatistics, recorded: Mapping[str, str], kind: str, layout: ViewLayout
) -> tuple[Float, Float]:
    """Mean and deviation ``[V]`` of the views of a kind of agent.

    A neighbour is taken for any agent of the dataset, and two positions for independent; flags of slots stay
    as they are.

    Args:
        statistics: of the dataset's columns.
        recorded: kind of the team → its name in the dataset.
        kind: whose views.
        layout: of these views.
    """
    own = statistics[f"observations/{recorded[kind]}"]
    mean, deviation = [own.mean], [_safe(own.std)]
    if layout.slots:
        columns = [statistics[f"observations/{name}"] for name in recorded.values()]
        slot_mean, slot_deviation = _padded(columns, layout.observation_size)
        flags = layout.slot_size - layout.observation_size - layout.position_size
        spread = np.zeros(0)
        if layout.position_size:
            spread = _safe(math.sqrt(2.0) * statistics["positions"].std)
        mean += [slot_mean, np.zeros(layout.position_size), np.zeros(flags)] * layout.slots
        deviation += [slot_deviation, spread, np.ones(flags)] * layout.slots
    return np.concatenate(mean), np.concatenate(deviation)


def value_scale(column: ColumnStatistics, gamma: float) -> Float:
    """Typical spread ``[D]`` of discounted sums of independent numbers like these: ``σ / √(1 - γ²)``."""
    return _safe(column.std) / math.sqrt(max(1.0 - gamma**2, 1e-6))


def value_floor(column: ColumnStatistics, gamma: float) -> float:
    """Less than nearly all discounted sums of such numbers, in units of their :func:`value_scale`.

    Three times that scale below their mean, or below 0, whichever is less. The least number for ever is no
    floor to learn with: one rare number sets it, and values that it enters learn of little else.
    """
    mean = float(column.mean[0]) / max(1.0 - gamma, 1e-6)
    return min(mean / float(value_scale(column, gamma)[0]), 0.0) - 3.0


def _safe(deviation: Float) -> Float:
    return np.where(deviation > LEAST, deviation, 1.0)


def _padded(columns: list[ColumnStatistics], size: int) -> tuple[Float, Float]:
    """Mean and deviation of observations of several kinds, each padded with zeros to one size."""
    count = sum(column.count for column in columns)
    mean, squares = np.zeros(size), np.zeros(size)
    for column in columns:
        width = len(column.mean)
        mean[:width] += column.count * column.mean
        squares[:width] += column.squares + column.count * column.mean**2
    mean /= count
    return mean, _safe(np.sqrt(np.maximum(squares / count - mean**2, 0.0)))
