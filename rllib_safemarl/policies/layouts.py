"""What a network that acts is made for: the parts of a state, and what an agent can do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from gymnasium import spaces
from torch import Tensor

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.nn.value_networks import encode_actions


@dataclass(frozen=True)
class StateLayout:
    """How a view makes up a state ``x = (s, o)``.

    Attributes:
        sets: own features and slots.
        present: index, within a slot, of the flag that it is taken.
        slots: K.
    """

    sets: SetLayout
    present: int
    slots: int

    @property
    def width(self) -> int:
        """V, length of a state."""
        return self.sets.width(self.slots)

    def mask(self, views: Tensor) -> Tensor:
        """Taken slots ``[..., K]`` of raw views ``[..., V]``."""
        _, slots = self.sets.split(views)
        if not self.slots:
            return slots.new_zeros(*views.shape[:-1], 0, dtype=torch.bool)
        return slots[..., self.present] > 0.0


@dataclass(frozen=True)
class ActionLayout:
    """What an agent can do.

    Attributes:
        size: D of real actions, in [-1, 1] each; 0 with choices.
        choices: number of choices of each decision; empty for real actions.
        single: one decision, without an axis of its own.
    """

    size: int
    choices: tuple[int, ...] = ()
    single: bool = False

    @property
    def encoded(self) -> int:
        """Length of an action as networks take it."""
        return sum(self.choices) or self.size

    def encode(self, actions: Tensor) -> Tensor:
        """Actions as networks take them: ``[..., encoded]``."""
        return encode_actions(actions, self.choices, self.single)

    def every(self) -> Tensor:
        """All joint choices ``[N, decisions]``."""
        axes = [torch.arange(n) for n in self.choices]
        return torch.cartesian_prod(*axes).view(-1, len(axes))


def action_layout(space: spaces.Space) -> ActionLayout:
    """What an agent can do, by its action space.

    Raises:
        SafeMARLError: networks cannot give such actions.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return ActionLayout(space.shape[0])
    if isinstance(space, spaces.Discrete):
        return ActionLayout(0, (int(space.n),), single=True)
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1:
        return ActionLayout(0, tuple(int(n) for n in space.nvec))
    raise SafeMARLError(
        f"nothing here can act by {space}: actions must be a vector, a choice, or a vector of choices."
    )
