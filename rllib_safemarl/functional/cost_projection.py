"""The projection of CUP (Yang et al. 2022) from data alone: weights of samples, and the dual that sets them.

The best policy near the data's that keeps to a limit is ``π* ∝ π_β exp((A - Σ_c ν_c A_c) / η)``, and its
cost differs from the present policy's by ``E_{π*}[A_c]``. The multipliers ν ≥ 0 minimise the dual

    ``g(ν) = η log E_β[exp((A - Σ_c ν_c A_c) / η)] + Σ_c ν_c slack_c``,

whose derivative is ``slack_c - E_{π*}[A_c]``: the limit is kept with room, or with equality and ν_c > 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

SWEEPS = 8
"""Times that each multiplier is found with the others held; one is enough for one constraint."""
HALVINGS = 40
"""Of the interval in which a multiplier lies."""


def projection_logits(advantage: Tensor, cost_advantages: Tensor, multipliers: Tensor) -> Tensor:
    """``A - Σ_c ν_c A_c``.

    Args:
        advantage: ``[..., M]`` A.
        cost_advantages: ``[C, ..., M]`` A_c.
        multipliers: ``[C, ...]`` ν, reward per unit of cost.
    """
    return advantage - (multipliers.unsqueeze(-1) * cost_advantages).sum(0)


def projection_weights(logits: Tensor, temperature: Tensor | float, most: float) -> Tensor:
    """``exp(logits / η)`` over its mean, at most ``most``; shapes ``[..., M]``.

    Args:
        logits: :func:`projection_logits`.
        temperature: η, in units of the advantage.
        most: largest weight.
    """
    scaled = logits / temperature
    return (scaled.softmax(-1) * logits.shape[-1]).clamp(max=most)


def projected_cost(
    advantage: Tensor, cost_advantages: Tensor, multipliers: Tensor, temperature: Tensor | float
) -> Tensor:
    """``E_{π*}[A_c]``, ``[C, ...]``: means of the cost advantages under the weights."""
    logits = projection_logits(advantage, cost_advantages, multipliers)
    return ((logits / temperature).softmax(-1) * cost_advantages).sum(-1)


def projection_multipliers(
    advantage: Tensor,
    cost_advantages: Tensor,
    slack: Tensor,
    temperature: Tensor | float,
    largest: Tensor | float,
) -> Tensor:
    """The multipliers ν of the dual, by bisection of its derivative in one after another.

    Args:
        advantage: ``[..., M]`` A of M samples.
        cost_advantages: ``[C, ..., M]`` A_c.
        slack: ``[C, ...]`` limit less the present policy's cost, in units of A_c; below 0 where it is broken.
        temperature: η, in units of the advantage.
        largest: bound on ν, or bounds ``[C]``, taken where no weights keep to a limit.

    Returns:
        ``[C, ...]``, reward per unit of cost, never negative.
    """
    multipliers = torch.zeros_like(slack)
    count = len(slack)
    bounds = torch.as_tensor(largest).expand(count)
    for _ in range(SWEEPS if count > 1 else 1):
        for c in range(count):
            low, high = torch.zeros_like(slack[c]), torch.ones_like(slack[c]) * bounds[c]
            multipliers[c] = low
            kept = projected_cost(advantage, cost_advantages, multipliers, temperature)[c] <= slack[c]
            for _ in range(HALVINGS):
                multipliers[c] = (low + high) / 2.0
                cost = projected_cost(advantage, cost_advantages, multipliers, temperature)[c]
                too_much = cost > slack[c]
                low = torch.where(too_much, multipliers[c], low)
                high = torch.where(too_much, high, multipliers[c])
            multipliers[c] = torch.where(kept, torch.zeros_like(high), high)
    return multipliers
