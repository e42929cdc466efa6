"""M equally shaped networks evaluated at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rllib_safemarl.errors import SafeMARLError, nearest_name

ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "swish": nn.functional.silu,
    "silu": nn.functional.silu,
    "elu": nn.functional.elu,
    "gelu": nn.functional.gelu,
    "leakyrelu": nn.functional.leaky_relu,
    "linear": lambda x: x,
}


def activation_name(value: Any) -> str:
    """The name of what RLlib takes as an activation: a name in any case, a class of torch's, or None.

    Raises:
        SafeMARLError: it is none of :data:`ACTIVATIONS`.
    """
    name = "linear" if value is None else str(getattr(value, "__name__", value)).lower()
    if name not in ACTIVATIONS:
        raise SafeMARLError(
            f"fcnet_activation={value!r} is not supported.{nearest_name(name, ACTIVATIONS)} Known are: "
            f"{', '.join(ACTIVATIONS)}."
        )
    return name


def forward_layers(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], activations: Sequence[str]
) -> Tensor:
    """Layers of M networks at once.

    Args:
        x: ``[M, B, in]``.
        weights: ``[M, in, out]`` of each layer.
        biases: ``[M, 1, out]`` of each layer.
        activations: name of each layer's activation.

    Returns:
        ``[M, B, out]``.
    """
    for weight, bias, activation in zip(weights, biases, activations, strict=True):
        x = torch.baddbmm(bias, x, weight)
        if activation != "linear":
            x = ACTIVATIONS[activation](x)
    return x


class StackedMLP(nn.Module):
    """M multilayer perceptrons of equal shape with separate parameters.

    One batched matrix product per layer serves all members, which on small networks costs little more
    than one member alone.

    Args:
        members: M.
        input_size: length of the input.
        hiddens: widths of the hidden layers.
        output_size: length of the output.
        activation: name of the hidden layers' activation.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        members: int,
        input_size: int,
        hiddens: Sequence[int],
        output_size: int = 1,
        activation: str = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._activations = [activation] * len(hiddens) + ["linear"]
        sizes = [input_size, *hiddens, output_size]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            gain = 1.0 if layer == len(sizes) - 2 else math.sqrt(2.0)
            weight = torch.empty(members, fan_in, fan_out)
            for member in weight:
                nn.init.orthogonal_(member, gain, generator)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, fan_out)))

    @torch.no_grad()
    def rescale_output(self, scale: NDArray, shift: NDArray) -> None:
        """Make every member's output ``scale · output + shift``; both ``[M]``."""
        factor = torch.as_tensor(scale, dtype=torch.float32, device=self.biases[-1].device)
        offset = torch.as_tensor(shift, dtype=torch.float32, device=self.biases[-1].device)
        self.weights[-1].mul_(factor[:, None, None])
        self.biases[-1].mul_(factor[:, None, None]).add_(offset[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[M, B, input]`` to ``[M, B, output]``."""
        return forward_layers(x, list(self.weights), list(self.biases), self._activations)
