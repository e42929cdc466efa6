"""A policy network as plain layers, and several of them evaluated at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllib_safemarl.nn.stacked import forward_layers


@dataclass(frozen=True)
class PolicyMLP:
    """Layers ``x ← activation(x W + b)`` from a view to distribution inputs.

    Attributes:
        weights: ``[in, out]`` of each layer.
        biases: ``[out]`` of each layer.
        activations: name of each layer's activation, ``linear`` for none.
        log_std: ``[D]`` appended to the output where it is free of the view, else ``None``.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activations: tuple[str, ...]
    log_std: Tensor | None = None

    @property
    def shape(self) -> tuple:
        """Equal for networks that can be stacked."""
        sizes = tuple(tuple(w.shape) for w in self.weights)
        return sizes, self.activations, self.log_std is None


class PolicyStack:
    """P equally shaped policy networks.

    Args:
        networks: of equal ``shape``; their values are copied.
    """

    def __init__(self, networks: Sequence[PolicyMLP]) -> None:
        first = networks[0]
        layers = range(len(first.weights))
        self._activations = first.activations
        self._weights = [torch.stack([n.weights[k] for n in networks]) for k in layers]
        self._biases = [torch.stack([n.biases[k] for n in networks])[:, None] for k in layers]
        self._log_std: Tensor | None = None
        if first.log_std is not None:
            stacked = [n.log_std for n in networks if n.log_std is not None]
            self._log_std = torch.stack(stacked)[:, None]

    def __call__(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[P, B, …]`` of views ``[P, B, V]``."""
        out = forward_layers(views, self._weights, self._biases, self._activations)
        if self._log_std is None:
            return out
        return torch.cat([out, self._log_std.expand_as(out)], -1)
