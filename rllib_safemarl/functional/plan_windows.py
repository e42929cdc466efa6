"""Windows as a denoiser sees them: the present as it is, every later moment as its change from the present.

In one step states move little. A denoiser of states is right to within a few percent of their spread, which
is several steps' worth; the action that its plan begins with is then noise. Changes are counted in units of
their typical size at each moment, so that an error of a few percent is one of the change.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_CHANGE = 1e-3
"""Of normalised features; what changes less does not change."""


def change_scales(x: Tensor, counted: Tensor) -> Tensor:
    """Typical size ``[H + 1, V]`` of the change from the present; 1 where nothing ever changes.

    Args:
        x: ``[M, H + 1, V]`` normalised states.
        counted: ``[M, H + 1, V]`` where they count.
    """
    change = torch.where(counted, x - x[:, :1], 0.0)
    size = (change.square().sum(0) / counted.sum(0).clamp_min(1)).sqrt()
    return torch.where(size > LEAST_CHANGE, size, 1.0)


def to_plan(x: Tensor, scales: Tensor) -> Tensor:
    """Windows ``[..., H + 1, V]`` of states as the present and changes from it."""
    return torch.cat([x[..., :1, :], (x[..., 1:, :] - x[..., :1, :]) / scales[1:]], -2)


def to_states(plan: Tensor, scales: Tensor) -> Tensor:
    """The inverse of :func:`to_plan`."""
    return torch.cat([plan[..., :1, :], plan[..., :1, :] + plan[..., 1:, :] * scales[1:]], -2)


def loss_weights(moments: int, features: int, own: int, first: float) -> Tensor:
    """Weights ``[H + 1, V]`` of a denoiser's loss: the agent's own first step decides its action.

    Args:
        moments: H + 1.
        features: V.
        own: the agent's own features, which come first.
        first: weight of these at the first planned moment; all others have 1.
    """
    weights = torch.ones(moments, features)
    weights[1, :own] = first
    return weights
