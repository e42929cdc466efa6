"""The multilayer perceptron that the other networks are made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn


def perceptron(sizes: Sequence[int], normalise: bool = False) -> nn.Sequential:
    """Linear layers with SiLU between them, none after the last.

    Args:
        sizes: width of the input, of the hidden layers, and of the output.
        normalise: layer normalisation before each SiLU, which keeps offline critics from growing where
            there are no data.
    """
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(fan_in, fan_out))
        if i < len(sizes) - 2:
            layers += [nn.LayerNorm(fan_out)] if normalise else []
            layers.append(nn.SiLU())
    return nn.Sequential(*layers)
