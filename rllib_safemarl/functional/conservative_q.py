"""Conservative Q-learning (Kumar et al. 2020): values of actions that the data do not hold are held down."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def conservative_gap(sampled: Tensor, log_density: Tensor, recorded: Tensor) -> Tensor:
    """``log ∫ exp Q(s, a) da - Q(s, a_D)``, the term of CQL(H), its eq. (4).

    The integral is estimated by importance sampling: ``log (1/S) Σ exp(Q(s, a_k) - log μ(a_k))``. For
    choices, each sampled once of n, μ = 1/n and the estimate is the exact log-sum-exp. Of a continuum the
    data's action belongs among the samples: the term is then never below ``-log S - log μ(a_D)``, while
    without it a peak of Q that no sample hits makes it fall without end.

    Args:
        sampled: ``[..., S, M]`` Q of S sampled actions.
        log_density: ``[S, M]`` log μ of each of them.
        recorded: ``[..., M]`` Q of the data's actions.

    Returns:
        ``[..., M]``.
    """
    count = sampled.shape[-2]
    return (sampled - log_density).logsumexp(-2) - math.log(count) - recorded


def uniform_actions(low: Tensor, high: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Actions from a box, and their log density.

    Args:
        low: ``[D]`` or ``[M, D]``.
        high: as ``low``.
        uniform: ``[S, M, D]`` numbers in [0, 1).

    Returns:
        ``[S, M, D]`` and ``[S, M]``.
    """
    density = uniform_density(low, high)
    return low + uniform * (high - low), density.expand(uniform.shape[:-1])


def uniform_density(low: Tensor, high: Tensor) -> Tensor:
    """Log density ``[...]`` of actions drawn from all of a box with bounds ``[..., D]``."""
    return -(high - low).clamp_min(1e-6).log().sum(-1)


def nearby_actions(
    centre: Tensor, reach: float, low: Tensor, high: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """Actions from the box of ``reach`` about a centre ``[M, D]``, cut at the bounds, and their log density.

    Args:
        centre: ``[M, D]`` the policy's actions.
        reach: half of the box's width, above 0.
        low: ``[D]`` bounds.
        high: ``[D]``.
        uniform: ``[S, M, D]`` numbers in [0, 1).
    """
    centre = torch.minimum(torch.maximum(centre, low), high)
    return uniform_actions(torch.maximum(centre - reach, low), torch.minimum(centre + reach, high), uniform)
