"""Gradient clipping, for one network and for stacks of networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


@torch.no_grad()
def clip_gradients(parameters: Sequence[nn.Parameter], bound: float, by: str) -> None:
    """Clip in place, by RLlib's three rules.

    Args:
        parameters: of one network.
        bound: largest value or norm.
        by: ``value`` (each element), ``norm`` (each tensor) or ``global_norm`` (all together).
    """
    if by == "value":
        nn.utils.clip_grad_value_(parameters, bound)
    elif by == "norm":
        for parameter in parameters:
            nn.utils.clip_grad_norm_([parameter], bound)
    else:
        nn.utils.clip_grad_norm_(parameters, bound, foreach=True)


@torch.no_grad()
def clip_stacked_gradients(parameters: Sequence[nn.Parameter], bound: float, by: str) -> None:
    """As :func:`clip_gradients` for M networks stacked along the first axis, each by itself."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if by == "value":
        for gradient in gradients:
            gradient.clamp_(-bound, bound)
        return
    squares = [gradient.square().flatten(1).sum(1) for gradient in gradients]
    if by == "global_norm":
        squares = [torch.stack(squares).sum(0)] * len(gradients)
    for gradient, square in zip(gradients, squares, strict=True):
        scale = (bound / (square.sqrt() + 1e-6)).clamp(max=1.0)
        gradient.mul_(scale.view(-1, *([1] * (gradient.dim() - 1))))
