"""Inverse dynamics ``a = I_φ(x_t, x_{t+1})``: the action that leads from one moment of a plan to the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllib_safemarl.functional.diffusion_training import inverse_dynamics_loss
from rllib_safemarl.functional.masked_means import masked_mean
from rllib_safemarl.nn.perceptron import perceptron


class InverseDynamics(nn.Module):
    """Eq. (6), for real vectors (least squares, eq. (10)) and for choices (cross-entropy).

    The network sees x_t and the change to x_{t+1} in units of its typical size: in one step states move
    little, and the difference of two large inputs is hard to learn.

    Args:
        features: length of the states.
        action_size: length of a real action; unused with choices.
        choices: number of choices of each decision; empty for real vectors.
        single: one decision, without an axis of its own.
        hiddens: widths of the hidden layers.
    """

    change_scale: Tensor

    def __init__(
        self,
        features: int,
        action_size: int = 0,
        choices: Sequence[int] = (),
        single: bool = False,
        hiddens: Sequence[int] = (256, 256),
    ) -> None:
        super().__init__()
        self.choices = tuple(choices)
        self.single = single
        self.net = perceptron([2 * features, *hiddens, sum(choices) if choices else action_size])
        self.register_buffer("change_scale", torch.ones(features))

    def set_change_scale(self, scale: Tensor) -> None:
        """Typical size ``[features]`` of a step's change in the data; 0 where a feature never changes."""
        self.change_scale.copy_(torch.where(scale > 1e-6, scale, 1.0))

    def forward(self, x: Tensor, next_x: Tensor) -> Tensor:
        """Actions ``[..., D]``, or log-probabilities ``[..., Σ choices]``, normalised per decision."""
        output = self.net(torch.cat([x, (next_x - x) / self.change_scale], -1))
        if not self.choices:
            return output
        return torch.cat([part.log_softmax(-1) for part in output.split(self.choices, -1)], -1)

    def act(self, x: Tensor, next_x: Tensor) -> Tensor:
        """Actions as the environment's space has them: ``[..., D]``, or ``[...]`` for a single choice."""
        output = self(x, next_x)
        if not self.choices:
            return output
        best = torch.stack([part.argmax(-1) for part in output.split(self.choices, -1)], -1)
        return best[..., 0] if self.single else best

    def loss(self, x: Tensor, next_x: Tensor, actions: Tensor, counted: Tensor) -> Tensor:
        """Mean squared error, or mean cross-entropy summed over decisions.

        Args:
            x: ``[..., features]``.
            next_x: ``[..., features]``.
            actions: ``[..., D]``, or ``[...]`` for a single choice.
            counted: ``[...]`` steps that count.
        """
        output = self(x, next_x)
        if not self.choices:
            return inverse_dynamics_loss(output, actions, counted)
        decisions = (actions.unsqueeze(-1) if self.single else actions).long()
        parts = output.split(self.choices, -1)
        taken = [part.gather(-1, decisions[..., i : i + 1])[..., 0] for i, part in enumerate(parts)]
        return masked_mean(-torch.stack(taken).sum(0), counted)
