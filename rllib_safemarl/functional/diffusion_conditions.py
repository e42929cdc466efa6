"""The condition y = (least barrier of a window, its return) on the scale of the data's ranks.

Returns of windows that run into danger lie far below all others, so on a linear scale every window worth
asking for would look alike. Ranks spread them evenly: -1 is the least of the data, 0 its median, 1 the most.
"""

from __future__ import annotations

import torch
from torch import Tensor

RANK_POINTS = 201
"""Quantiles that make up a scale."""


def quantile_table(values: Tensor) -> Tensor:
    """Evenly spaced quantiles ``[RANK_POINTS]`` of ``values [W]``, rising."""
    ordered = values.double().sort().values
    at = torch.linspace(0.0, len(ordered) - 1.0, RANK_POINTS, dtype=torch.float64, device=values.device)
    low = at.floor().long()
    high = at.ceil().long()
    return torch.lerp(ordered[low], ordered[high], at - low).to(values.dtype)


def to_ranks(values: Tensor, table: Tensor) -> Tensor:
    """Ranks ``[...]`` in [-1, 1] of ``values [...]``, linear between the quantiles of ``table [P]``.

    A value that many share has the rank in the middle of theirs.
    """
    values = values.contiguous()
    last = len(table) - 1
    left = torch.searchsorted(table, values)
    right = torch.searchsorted(table, values, right=True)
    below, above = table[(left - 1).clamp(0, last)], table[left.clamp(0, last)]
    between = left - 1 + ((values - below) / (above - below).clamp_min(1e-12)).clamp(0.0, 1.0)
    place = torch.where(left == right, between, (left + right - 1) / 2.0)
    return 2.0 * place.clamp(0.0, last).to(values.dtype) / last - 1.0


def rank_of_quantile(quantile: float) -> float:
    """The rank of a quantile, 0 … 1."""
    return 2.0 * quantile - 1.0
