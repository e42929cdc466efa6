"""The network of a policy that learns from a fixed dataset: it knows the scale of what it sees."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.nn.stacked import ACTIVATIONS

OUTPUT_GAIN = 0.01
"""The last layer's initial weights are this share of torch's: a first policy acts around 0."""
LOG_STD_RANGE = (-4.0, 0.5)
"""Of a Gaussian's deviation, in units of half the width of the actions' bounds."""


class ActorNetwork(nn.Module):
    """Normalised views to the mean of real actions, or to the logits of choices.

    Args:
        views: V, length of a view.
        hiddens: widths of the hidden layers.
        outputs: D of real actions, or the number of all choices.
        activation: of the hidden layers.
        bounded: put real actions out by tanh, between -1 and 1.
        spread: learn a deviation for each dimension, free of the view, and put its logarithm out as well.

    Raises:
        SafeMARLError: there is no such activation.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        views: int,
        hiddens: Sequence[int],
        outputs: int,
        activation: str = "relu",
        bounded: bool = False,
        spread: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise SafeMARLError(
                f"there is no activation {activation!r}; use one of {', '.join(ACTIVATIONS)}."
                f"{nearest_name(activation, ACTIVATIONS)}"
            )
        sizes = [views, *hiddens, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self._activations = (*[activation] * len(hiddens), "tanh" if bounded else "linear")
        with torch.no_grad():
            self.layers[-1].weight.mul_(OUTPUT_GAIN)
            self.layers[-1].bias.zero_()
        self.log_std = nn.Parameter(torch.full((outputs,), -1.0)) if spread else None
        self.register_buffer("mean", torch.zeros(views))
        self.register_buffer("deviation", torch.ones(views))

    def set_scales(self, mean: Any, deviation: Any) -> None:
        """Take over the mean and deviation ``[V]`` of views."""
        for buffer, value in ((self.mean, mean), (self.deviation, deviation)):
            buffer.copy_(torch.as_tensor(value, dtype=torch.float32))

    def forward(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[B, P]`` of raw views ``[B, V]``."""
        x = (views - self.mean) / self.deviation
        for layer, activation in zip(self.layers, self._activations, strict=True):
            x = ACTIVATIONS[activation](layer(x))
        if self.log_std is None:
            return x
        return torch.cat([x, self.log_std.clamp(*LOG_STD_RANGE).expand_as(x)], -1)

    @torch.no_grad()
    def folded(self) -> PolicyMLP:
        """The same as plain layers on raw views: the first one normalises."""
        weights = [layer.weight.detach().t() for layer in self.layers]
        biases = [layer.bias.detach() for layer in self.layers]
        biases[0] = biases[0] - (self.mean / self.deviation) @ weights[0]
        weights[0] = weights[0] / self.deviation[:, None]
        log_std = None if self.log_std is None else self.log_std.detach().clamp(*LOG_STD_RANGE)
        return PolicyMLP(tuple(weights), tuple(biases), self._activations, log_std)
