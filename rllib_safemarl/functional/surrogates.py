"""The constrained surrogate and the sequential factor M, as functions of tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def constrained_advantage(reward: Tensor, cost: Tensor, multiplier: Tensor) -> Tensor:
    """``A_λ = A - Σ_j λ_j A_j`` (Scal-MAPPO-L, eq. 18, without the constant offset).

    Args:
        reward: ``[..., G]`` reward advantages.
        cost: ``[..., G, C]`` cost advantages in their own units, not divided by their deviation.
        multiplier: ``[G, C]`` λ, reward per unit of cost.

    Returns:
        ``[..., G]`` in reward units.
    """
    return reward - (cost * multiplier).sum(-1)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """``min(r A, clip(r, 1 ± ε) A)`` per row (Scal-MAPPO-L, eq. 20), to be maximised.

    The factor M > 0 of the sequential scheme goes into A: ``M · min(r A, clip(r) A)`` is the same.

    Args:
        ratio: r, new over old probability of the agent's own action; any shape.
        advantage: M · A_λ, A_λ normalised; same shape.
        clip: ε.
    """
    return _ClippedSurrogate.apply(ratio, advantage, clip)


class _ClippedSurrogate(torch.autograd.Function):
    """The surrogate with its gradient written out, which on small batches halves its time.

    The gradient with respect to r is A where the minimum is r A, and 0 where it is the clipped term.
    """

    @staticmethod
    def forward(ctx: Any, ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
        plain = ratio * advantage
        surrogate = torch.minimum(plain, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)
        ctx.save_for_backward(advantage * (plain == surrogate))
        return surrogate

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad * ctx.saved_tensors[0], None, None


def surrogate_change(log_ratio: Tensor, advantage: Tensor) -> Tensor:
    """``(r - 1) A`` per row; its mean is what an update adds to the surrogate (L of Cor. 3.6).

    Args:
        log_ratio: ``[...]`` log r of the agents' own actions.
        advantage: A, centred; leading axes may come before those of ``log_ratio``.
    """
    return torch.expm1(log_ratio) * advantage


def sequential_factor(log_ratios: Tensor, scope: Tensor, clip: float) -> Tensor:
    """``M_i = Π_{j in scope(i)} r_j`` over agents already updated, in log space and clamped.

    Args:
        log_ratios: ``[..., A]`` log r of agents updated in this iteration, 0 for the others.
        scope: ``[G, A]`` 1 where agent j counts for row agent i, else 0.
        clip: M stays within ``[1 / clip, clip]``; ``inf`` leaves it free.

    Returns:
        ``[..., G]``.
    """
    bound = math.log(clip)
    return (log_ratios @ scope.T).clamp(-bound, bound).exp()


def moving_sequential_factor(log_ratios: Tensor, index: Tensor, clip: float) -> Tensor:
    """:func:`sequential_factor` where the scope changes from row to row.

    Args:
        log_ratios: ``[B, A]``.
        index: ``[B, G, K]`` agents that count for each row agent, ``-1`` for none.
        clip: as there.

    Returns:
        ``[B, G]``.
    """
    flat = index.clamp(min=0).flatten(1).long()
    picked = log_ratios.gather(1, flat).view(index.shape) * (index >= 0)
    bound = math.log(clip)
    return picked.sum(-1).clamp(-bound, bound).exp()
