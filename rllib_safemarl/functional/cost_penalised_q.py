"""Constraints-penalised Q-learning (Xu et al. 2022): rewards are valued only where the cost critic allows."""

from __future__ import annotations

import torch
from torch import Tensor


def allowed(costs: Tensor, limits: Tensor) -> Tensor:
    """``1(Q_c ≤ l)`` for every cost at once: ``[...]`` of values ``[C, ...]`` and limits ``[C]``."""
    shape = (len(limits), *[1] * (costs.dim() - 1))
    return (costs <= limits.view(shape)).all(0)


def penalised_value(value: Tensor, costs: Tensor, limits: Tensor, floor: Tensor | float) -> Tensor:
    """The value in the penalised Bellman operator, eq. (6): Q where it is allowed, else a floor.

    The paper's floor is 0, for rewards that are never negative; where they are, 0 would be a prize, and the
    floor is less than rewards come to.

    Args:
        value: ``[...]`` Q.
        costs: ``[C, ...]`` Q_c of the same actions.
        limits: ``[C]`` l.
        floor: value of what is not allowed.
    """
    return torch.where(allowed(costs, limits), value, torch.full_like(value, float(floor)))


def outside(surprise: Tensor, of_data: Tensor, quantile: float) -> Tensor:
    """Which actions are out of the data's distribution.

    Args:
        surprise: ``[S, M]`` of sampled actions, larger for less likely ones.
        of_data: ``[M]`` of the data's own.
        quantile: of these, above which an action is outside.
    """
    return surprise > torch.quantile(of_data, quantile)


def next_log_weight(log_weight: Tensor, costs: Tensor, wanted: Tensor, rate: float) -> Tensor:
    """One step of the dual that lifts the cost of actions outside to what is wanted.

    ``log α ← log α + rate · α · (wanted - E[Q_c])``, within ±5 as in public code.

    Args:
        log_weight: ``[C]``.
        costs: ``[C]`` mean Q_c of actions outside.
        wanted: ``[C]`` at least so much.
        rate: step size.
    """
    return (log_weight + rate * log_weight.exp() * (wanted - costs)).clamp(-5.0, 5.0)
