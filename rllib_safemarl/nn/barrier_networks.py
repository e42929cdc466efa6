"""The barrier h(s, o), and the model of one step that a projection on it needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllib_safemarl.nn.perceptron import perceptron
from rllib_safemarl.nn.set_encoder import POOLINGS, SetEncoder, SetLayout

PAIRS = "pairs"
BARRIER_POOLINGS = (PAIRS, *POOLINGS)


class BarrierNetwork(nn.Module):
    """h of an agent and its neighbours, between -1 and 1; the order of neighbours does not matter.

    With ``pairs`` h is the least of one number for the agent alone and one for each neighbour, as a margin
    is the least over neighbours: what was learnt of one neighbour holds among many.

    Args:
        layout: of the states.
        hiddens: widths of the hidden layers.
        pooling: ``pairs``, or how a :class:`SetEncoder` pools codes of the neighbours.
        ignored: features, of the agent and of every neighbour, that h must not depend on.

    Raises:
        SafeMARLError: there is no such pooling.
    """

    seen: Tensor

    def __init__(
        self,
        layout: SetLayout,
        hiddens: Sequence[int] = (128, 128),
        pooling: str = PAIRS,
        ignored: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.layout = layout
        seen = torch.ones(layout.own_size + layout.slot_size)
        for feature in map(int, ignored):
            seen[feature] = 0.0
            seen[layout.own_size + feature :][:1] = 0.0
        self.register_buffer("seen", seen, persistent=False)
        self.encoder: SetEncoder | None = None
        if pooling != PAIRS:
            self.encoder = SetEncoder(layout, hiddens, pooling=pooling)
            return
        self.alone = perceptron([layout.own_size, *hiddens, 1])
        if layout.slot_size:
            self.pair = perceptron([layout.own_size + layout.slot_size, *hiddens, 1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Barriers ``[...]`` of states ``x [..., S + K F]`` with taken slots ``mask [..., K]``."""
        own, slots = self.layout.split(x)
        own = own * self.seen[: self.layout.own_size]
        slots = slots * self.seen[self.layout.own_size :]
        if self.encoder is not None:
            return torch.tanh(self.encoder(self.layout.join(own, slots), mask)[..., 0])
        least = self.alone(own)
        if slots.shape[-2]:
            if mask is not None:
                # Filler is zeroed before the first layer, or a NaN in it would reach the gradient.
                slots = torch.where(mask.unsqueeze(-1), slots, 0.0)
            pairs = torch.cat([own.unsqueeze(-2).expand(*slots.shape[:-1], own.shape[-1]), slots], -1)
            each = self.pair(pairs)[..., 0]
            if mask is not None:
                each = torch.where(mask, each, torch.inf)
            least = torch.cat([least, each], -1)
        return torch.tanh(least.amin(-1))


class OneStepModel(nn.Module):
    """Learnt dynamics ``x_{t+1} ≈ f(x_t, a_t)`` of one agent and what it sees of its neighbours.

    The agent's own features move with its action; each slot moves with the agent's and its own
    features, alike for all slots. What a neighbour does is not known, so it is expected to do what
    neighbours did in the data.

    Args:
        layout: of the states.
        action_size: length of the (encoded) action.
        hiddens: widths of the hidden layers.
    """

    change_scale: Tensor

    def __init__(self, layout: SetLayout, action_size: int, hiddens: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.layout = layout
        known = layout.own_size + action_size
        self.own = perceptron([known, *hiddens, layout.own_size])
        self.slot = (
            perceptron([known + layout.slot_size, *hiddens, layout.slot_size]) if layout.slot_size else None
        )
        self.register_buffer("change_scale", torch.ones(layout.own_size + layout.slot_size))

    def set_change_scale(self, own: Tensor, slot: Tensor) -> None:
        """Typical size of a step's change of own features ``[S]`` and of a slot's ``[F]``, in the data."""
        self.change_scale.copy_(torch.cat([own, slot]).clamp_min(1e-6))

    def forward(self, x: Tensor, action: Tensor, mask: Tensor | None = None) -> Tensor:
        """The next state ``[..., S + K F]``; slots that are not taken stay as they are.

        Args:
            x: ``[..., S + K F]``.
            action: ``[..., action_size]``.
            mask: ``[..., K]`` taken slots, all where not given.
        """
        own, slots = self.layout.split(x)
        known = torch.cat([own, action], -1)
        size = self.layout.own_size
        next_own = own + self.own(known) * self.change_scale[:size]
        if self.slot is None:
            return next_own
        pairs = torch.cat([known.unsqueeze(-2).expand(*slots.shape[:-1], known.shape[-1]), slots], -1)
        moved = slots + self.slot(pairs) * self.change_scale[size:]
        if mask is not None:
            moved = torch.where(mask.unsqueeze(-1), moved, slots)
        return self.layout.join(next_own, moved)
