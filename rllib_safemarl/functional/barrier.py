"""Losses and conditions of a control barrier function learnt from data.

h ≥ 0 marks states from which danger can be avoided. In discrete time the condition
``Δh/Δt + α h ≥ 0`` (eq. (7) with a linear α and a forward difference) is ``h_{t+1} ≥ (1 - αΔt) h_t``: with
0 < αΔt ≤ 1 and h_t ≥ 0 it keeps h ≥ 0, and with h_t < 0 it makes the violation shrink.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.masked_means import masked_mean


def check_rate(alpha: float, step_seconds: float) -> float:
    """The rate αΔt, where the discrete-time condition means what it should.

    Args:
        alpha: α, 1/s.
        step_seconds: Δt, s.

    Raises:
        SafeMARLError: αΔt is not in (0, 1]. Above 1 the condition would let h change its sign.
    """
    rate = alpha * step_seconds
    if not 0.0 < rate <= 1.0 + 1e-9:
        raise SafeMARLError(
            f"the barrier needs 0 < alpha * step_seconds <= 1, not {alpha:g} * {step_seconds:g}; "
            f"choose alpha in (0, {1.0 / step_seconds if step_seconds > 0 else math.inf:g}]."
        )
    return min(rate, 1.0)


def barrier_condition(h: Tensor, next_h: Tensor, alpha: float, step_seconds: float) -> Tensor:
    """``Δh/Δt + α h``, per second; not negative where the condition holds. Shapes ``[...]``."""
    return (next_h - h) / step_seconds + alpha * h


@dataclass(frozen=True)
class BarrierLoss:
    """Parts of the loss of eq. (12), each a mean over its set; 0 where the set is empty.

    Attributes:
        initial: ``max(0, γ_h - h)`` over X_0.
        danger: ``max(0, γ_h + h)`` over X_d.
        condition: ``max(0, γ_h - Δh/Δt - α h)`` over X_0 (where the data were safe; see the README of
            the algorithm).
        initial_right: share of X_0 with h ≥ 0.
        danger_right: share of X_d with h < 0.
        condition_right: share of X_0 where the condition holds.
    """

    initial: Tensor
    danger: Tensor
    condition: Tensor
    initial_right: Tensor
    danger_right: Tensor
    condition_right: Tensor

    def total(self, weights: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
        """The weighted sum; weights of the initial, danger and condition terms."""
        return weights[0] * self.initial + weights[1] * self.danger + weights[2] * self.condition


def barrier_loss(
    h: Tensor,
    next_h: Tensor,
    initial: Tensor,
    danger: Tensor,
    followed: Tensor,
    margin: float,
    alpha: float,
    step_seconds: float,
) -> BarrierLoss:
    """Eq. (12).

    Sums over sets are taken as means: else the loss of the rare dangerous states would drown in a
    batch, and learning rates would depend on the batch's size.

    Args:
        h: ``[...]`` of x_t.
        next_h: ``[...]`` of x_{t+1}; read where ``followed``.
        initial: ``[...]`` x_t in X_0.
        danger: ``[...]`` x_t in X_d.
        followed: ``[...]`` x_{t+1} belongs to the same episode.
        margin: γ_h, by which signs and condition should hold.
        alpha: α, 1/s.
        step_seconds: Δt, s.
    """
    condition = barrier_condition(h, next_h, alpha, step_seconds)
    derived = initial & followed
    return BarrierLoss(
        initial=masked_mean(torch.relu(margin - h), initial),
        danger=masked_mean(torch.relu(margin + h), danger),
        condition=masked_mean(torch.relu(margin - condition), derived),
        initial_right=masked_mean((h >= 0.0).to(h.dtype), initial),
        danger_right=masked_mean((h < 0.0).to(h.dtype), danger),
        condition_right=masked_mean((condition >= 0.0).to(h.dtype), derived),
    )


def future_margin_loss(h: Tensor, least_margin: Tensor, scale: float, limit: float = 1.0) -> Tensor:
    """Smooth L1 distance of h from the least margin within the horizon, so that h looks ahead.

    As in :func:`barrier_loss` each set has its mean, here states with and without danger to come, and half of
    the weight: as a mean over all, where one state in fifty has danger to come, h would not tell them apart.

    Args:
        h: ``[...]``.
        least_margin: ``[...]`` metres, or units of cost; infinite where nobody is near.
        scale: h per unit of margin.
        limit: bound on the scaled margin's magnitude, as the barrier's own.

    Returns:
        A scalar, half of the sum of both means.
    """
    target = (scale * least_margin).clamp(-limit, limit)
    distance = torch.nn.functional.smooth_l1_loss(h, target, reduction="none")
    danger = least_margin < 0.0
    return 0.5 * (masked_mean(distance, danger) + masked_mean(distance, ~danger))


def barrier_satisfaction(
    h: Tensor, next_h: Tensor, initial: Tensor, danger: Tensor, followed: Tensor, rates: tuple[float, float]
) -> Tensor:
    """``y = min{ inf_{X_0} h, inf_{X_d} -h, inf_{X_0} (Δh/Δt + α h) }``, eq. (8).

    Positive where a barrier is right everywhere in the data; the third set is X_0, as in
    :func:`barrier_loss`.

    Args:
        h: ``[...]`` of x_t; the other tensors as in :func:`barrier_loss`.
        next_h: of x_{t+1}.
        initial: x_t in X_0.
        danger: x_t in X_d.
        followed: x_{t+1} belongs to the same episode.
        rates: α in 1/s and Δt in s.

    Returns:
        A scalar, infinite where all sets are empty.
    """
    condition = barrier_condition(h, next_h, *rates)
    terms = ((h, initial), (-h, danger), (condition, initial & followed))
    return torch.stack([torch.where(mask, x, math.inf).amin() for x, mask in terms]).amin()


def plans_hold(h: Tensor, rate: float, moments: int | None = None) -> Tensor:
    """Whether plans keep the condition ``h_{t+1} ≥ (1 - αΔt) h_t`` and, from h ≥ 0, stay there.

    A plan that starts at h < 0 is in recovery: only the condition counts, which lets h stay negative
    while it grows. From h_t ≥ 0 the condition implies h_{t+1} ≥ 0, so it alone decides.

    Args:
        h: ``[..., H + 1]`` along plans, calibrated: h̃ = h - δ.
        rate: αΔt, of :func:`check_rate`.
        moments: planned moments to check, all H where not given.

    Returns:
        ``[...]``.
    """
    last = h.shape[-1] if moments is None else 1 + moments
    return (h[..., 1:last] >= (1.0 - rate) * h[..., : last - 1]).all(-1)


def choose_plan(h: Tensor, score: Tensor, rate: float, moments: int | None = None) -> tuple[Tensor, Tensor]:
    """The plan to follow: of those that hold the best, else the one whose worst moment is the least bad.

    Args:
        h: ``[..., M, H + 1]`` of M plans, calibrated.
        score: ``[..., M]`` larger is better.
        rate: αΔt.
        moments: as in :func:`plans_hold`.

    Returns:
        ``[...]`` index of the plan, and ``[...]`` whether any held.
    """
    holds = plans_hold(h, rate, moments)
    last = h.shape[-1] if moments is None else 1 + moments
    worst = h[..., 1:last].amin(-1)
    best = torch.where(holds, score, -math.inf).argmax(-1)
    feasible = holds.any(-1)
    return torch.where(feasible, best, worst.argmax(-1)), feasible
