"""Means over the part of a tensor that counts."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``x`` where ``mask`` holds, 0 where it holds nowhere; the mask broadcasts.

    What is left out may be anything, NaN included.
    """
    mask = mask.expand_as(x)
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp_min(1)
