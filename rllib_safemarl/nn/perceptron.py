"""The multilayer perceptron that the other networks are made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


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


def of_parts(network: nn.Sequential, parts: Sequence[Tensor]) -> Tensor:
    """What a :func:`perceptron` makes of an input in parts ``[..., F_i]``, broadcast against each other.

    Many actions in one state cost the state's share of the first layer once, not once for each action.
    """
    if all(part.shape[:-1] == parts[0].shape[:-1] for part in parts):
        return network(torch.cat(list(parts), -1))
    first, *others = network
    weights = first.weight.split([part.shape[-1] for part in parts], -1)
    x = nn.functional.linear(parts[0], weights[0], first.bias)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        x = x + nn.functional.linear(part, weight)
    for layer in others:
        x = layer(x)
    return x
