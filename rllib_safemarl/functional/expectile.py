"""Expectile regression, for values under the best actions that the data hold."""

from __future__ import annotations

import torch
from torch import Tensor


def expectile_loss(difference: Tensor, tau: float) -> Tensor:
    """``L^τ(u) = |τ - 1(u < 0)| u²``, Kostrikov et al. 2021, eq. (5); eq. (15) of the paper.

    With ``u = Q - V``, its minimiser over V is the τ-expectile of Q: the mean for τ = 1/2, towards the
    largest Q as τ → 1.

    Args:
        difference: ``[...]`` u.
        tau: τ, 0 … 1.

    Returns:
        ``[...]`` losses, not averaged.
    """
    return torch.where(difference < 0.0, 1.0 - tau, tau) * difference.square()
