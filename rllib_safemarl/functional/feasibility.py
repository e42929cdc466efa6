"""FISOR (Zheng et al. 2024): which states can be kept safe for ever, from data alone, and whom to imitate.

The feasible value ``Q_h(s, a)`` is the largest violation to come, discounted, eq. (6) of that paper:
``Q_h = (1 - γ) h(s) + γ max(h(s), V_h(s'))`` with h > 0 in danger and h < 0 elsewhere, and
``V_h = min_a Q_h`` over actions that the data hold, by a reversed expectile. A state is feasible where
V_h ≤ 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rllib_safemarl.functional.expectile import expectile_loss

SAFE = -1.0
"""h of a step without violation, as published."""


def violation(danger: Tensor, height: float) -> Tensor:
    """``h [...]``: the height in danger ``[...]``, else -1."""
    return torch.where(danger, height, SAFE)


def feasibility_target(h: Tensor, next_value: Tensor, ended: Tensor, gamma: float) -> Tensor:
    """``(1 - γ) h + γ max(h, V_h(s'))``; where nothing comes after, the worst to come is h itself.

    Args:
        h: ``[...]`` :func:`violation` of the step.
        next_value: ``[...]`` V_h after it.
        ended: ``[...]`` nothing comes after it.
        gamma: discount per step.
    """
    worst = torch.where(ended, h, torch.maximum(h, next_value))
    return (1.0 - gamma) * h + gamma * worst


def lower_expectile_loss(difference: Tensor, tau: float) -> Tensor:
    """``|τ - 1(u > 0)| u²`` of ``u = Q_h - V_h``: towards the least Q_h as τ → 1."""
    return expectile_loss(-difference, tau)


def imitation_weights(
    advantage: Tensor,
    value_h: Tensor,
    q_h: Tensor,
    gains: tuple[float, float],
    most: float,
) -> Tensor:
    """Weights of the data's actions, eq. (10): of large advantage and feasible, or the least infeasible.

    ``exp(α_1 A) 1(Q_h ≤ 0)`` in states with V_h ≤ 0, ``exp(α_2 (V_h - Q_h))`` elsewhere.

    Args:
        advantage: ``[...]`` A of rewards.
        value_h: ``[...]`` V_h.
        q_h: ``[...]`` Q_h of the action.
        gains: α_1, per unit of A, and α_2.
        most: largest weight.
    """
    feasible = torch.where(q_h <= 0.0, (gains[0] * advantage).exp(), 0.0)
    infeasible = (gains[1] * (value_h - q_h)).exp()
    return torch.where(value_h <= 0.0, feasible, infeasible).clamp(max=most)
