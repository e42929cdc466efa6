"""What a denoiser is told besides the noised window: the step, the condition, and a context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rllib_safemarl.nn.perceptron import perceptron


def sinusoidal(positions: Tensor, size: int) -> Tensor:
    """Sines and cosines ``[..., size]`` of positions ``[...]`` at wavelengths from 2π to 20 000 π."""
    half = size // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device=positions.device) / half)
    angles = positions.float().unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


class Conditioning(nn.Module):
    """One vector from the step k, the condition y with what is dropped of it, and a context.

    Args:
        width: length of the vector.
        conditions: Y, entries of y; 0 for none.
        context: C, entries of the context (agent, kind, taken slots), which is never dropped; 0 for none.
    """

    def __init__(self, width: int, conditions: int, context: int = 0) -> None:
        super().__init__()
        self.width = width
        self.step = perceptron([width, 2 * width, width])
        # Each entry comes with a flag, so that "not given" is not the same as 0.
        self.condition = perceptron([2 * conditions, width, width]) if conditions else None
        self.context = nn.Linear(context, width) if context else None

    def forward(
        self, steps: Tensor, condition: Tensor | None, dropped: Tensor | None, context: Tensor | None = None
    ) -> Tensor:
        """Embed.

        Args:
            steps: ``[B]`` k.
            condition: ``[B, Y]``, or ``[B, A, Y]`` where it differs between agents; dropped entries may hold
                anything. ``None`` drops all.
            dropped: as ``condition``; ``None`` for nothing dropped.
            context: ``[B, C]``, or ``[B, A, C]``.

        Returns:
            ``[B, width]``, or ``[B, A, width]``.
        """
        vector = self.step(sinusoidal(steps, self.width).to(self.step[0].weight.dtype))
        if self.condition is not None:
            entries = self.condition[0].in_features // 2
            if condition is None:
                condition = vector.new_zeros(len(steps), entries)
                dropped = torch.ones_like(condition, dtype=torch.bool)
            elif dropped is None:
                dropped = torch.zeros_like(condition, dtype=torch.bool)
            given = torch.where(dropped, 0.0, condition)
            vector = _add(vector, self.condition(torch.cat([given, dropped.to(given.dtype)], -1)))
        return vector if self.context is None or context is None else _add(vector, self.context(context))


def _add(vector: Tensor, other: Tensor) -> Tensor:
    """The sum of two of ``[B, E]`` and ``[B, A, E]``."""
    if vector.dim() == other.dim():
        return vector + other
    return vector.unsqueeze(1) + other if other.dim() == 3 else vector + other.unsqueeze(1)


def per_agent(vector: Tensor, agents: int) -> Tensor:
    """Conditioning ``[B, E]`` or ``[B, A, E]`` as ``[B A, E]``, for windows of all agents in one batch."""
    if vector.dim() == 2:
        vector = vector.unsqueeze(1).expand(-1, agents, -1)
    return vector.flatten(0, 1)
