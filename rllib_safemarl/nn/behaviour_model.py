"""How likely an action is in a dataset: a conditional variational autoencoder, or logits of choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllib_safemarl.nn.perceptron import of_parts, perceptron

DEVIATION = 0.2
"""Of decoded real actions, in units of half their range."""


class BehaviourModel(nn.Module):
    """Bounds the negative log-likelihood of actions given what is seen.

    Args:
        features: F, what is seen.
        action_size: E, of encoded actions.
        choices: number of choices of each decision; empty for real actions.
        hiddens: widths of the hidden layers.
    """

    def __init__(
        self, features: int, action_size: int, choices: Sequence[int], hiddens: Sequence[int]
    ) -> None:
        super().__init__()
        self.choices = tuple(choices)
        if self.choices:
            self.logits = perceptron([features, *hiddens, action_size])
            return
        self.latent = 2 * action_size
        self.encoder = perceptron([features + action_size, *hiddens, 2 * self.latent])
        self.decoder = perceptron([features + self.latent, *hiddens, action_size])

    def forward(self, x: Tensor, action: Tensor, noise: Tensor | None = None) -> Tensor:
        """The bound ``[...]``, up to a constant.

        Args:
            x: ``[..., F]``.
            action: ``[..., E]`` encoded, broadcasting against ``x``.
            noise: ``[..., latent]`` standard normal, for learning; without, the latent's mean is decoded.
        """
        if self.choices:
            parts = zip(self.logits(x).split(self.choices, -1), action.split(self.choices, -1), strict=True)
            return -torch.stack([(part.log_softmax(-1) * one).sum(-1) for part, one in parts]).sum(0)
        mean, log_std = of_parts(self.encoder, [x, action]).chunk(2, -1)
        log_std = log_std.clamp(-4.0, 4.0)
        latent = mean if noise is None else mean + log_std.exp() * noise
        error = of_parts(self.decoder, [x, latent]) - action
        divergence = 0.5 * (mean.square() + (2.0 * log_std).exp() - 1.0) - log_std
        return error.square().sum(-1) / (2.0 * DEVIATION**2) + divergence.sum(-1)

    def loss(self, x: Tensor, action: Tensor, generator: torch.Generator) -> Tensor:
        """The bound ``[...]`` of the data's actions with a latent drawn from its posterior."""
        if self.choices:
            return self(x, action)
        shape = (*action.shape[:-1], self.latent)
        return self(x, action, torch.randn(shape, generator=generator).to(x.device))
