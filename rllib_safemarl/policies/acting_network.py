"""Networks that act by more than one pass: the scales of their states, and what acting needs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rllib_safemarl.policies.layouts import ActionLayout, StateLayout


class ActingNetwork(nn.Module):
    """The networks of one policy, shared by its agents.

    Args:
        layout: of the states.
        action: of the actions.
        settings: of learning and of acting.
        hiddens: widths of the hidden layers.

    Attributes:
        training_only: names of the networks that acting does without.
    """

    training_only: tuple[str, ...] = ()
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, layout: StateLayout, action: ActionLayout, settings: Mapping[str, Any], hiddens: Sequence[int]
    ) -> None:
        super().__init__()
        self.layout, self.action, self.settings = layout, action, dict(settings)
        self.hiddens = tuple(hiddens)
        self.register_buffer("mean", torch.zeros(layout.width))
        self.register_buffer("deviation", torch.ones(layout.width))

    def acting_state(self) -> dict[str, Tensor]:
        """Every tensor that acting needs."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.split(".")[0] not in self.training_only
        }

    def load_acting(self, state: Mapping[str, Tensor]) -> None:
        """Take over an :meth:`acting_state`, and drop what only learning needs.

        Raises:
            RuntimeError: the tensors are not those of these networks.
        """
        for name in self.training_only:
            delattr(self, name)
        self.load_state_dict(state)
        self.requires_grad_(False)

    def state(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised states ``[..., V]`` of raw views, and taken slots ``[..., K]``."""
        mask = self.layout.mask(views)
        return self.zeroed((views - self.mean) / self.deviation, mask), mask

    def zeroed(self, x: Tensor, mask: Tensor) -> Tensor:
        """States ``[..., V]`` with zeros in the slots that are not taken."""
        own, slots = self.layout.sets.split(x)
        return self.layout.sets.join(own, torch.where(mask.unsqueeze(-1), slots, 0.0))
