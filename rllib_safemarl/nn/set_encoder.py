"""Encoders of an agent and its neighbours, whose number varies and whose order means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.nn.perceptron import of_parts, perceptron

POOLINGS = ("max_mean", "attention")


@dataclass(frozen=True)
class SetLayout:
    """How a flat state ``x = (s, o)`` is made up: own features, then equal slots for neighbours.

    Attributes:
        own_size: features of the agent itself.
        slot_size: features of a neighbour; 0 where there are none.
    """

    own_size: int
    slot_size: int = 0

    def width(self, slots: int) -> int:
        """Length of a flat state with so many slots."""
        return self.own_size + slots * self.slot_size

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Own features ``[..., S]`` and slots ``[..., K, F]`` of ``x [..., S + K F]``."""
        own, slots = x[..., : self.own_size], x[..., self.own_size :]
        if not self.slot_size:
            return own, slots.unsqueeze(-2)[..., :0, :]
        return own, slots.unflatten(-1, (-1, self.slot_size))

    def join(self, own: Tensor, slots: Tensor) -> Tensor:
        """The inverse of :meth:`split`."""
        return torch.cat([own, slots.flatten(-2)], -1)


class SetEncoder(nn.Module):
    """Maps an agent's state to a vector that does not depend on the order of its neighbours.

    Deep sets (Zaheer et al. 2017): each neighbour is encoded together with the agent, the codes are
    pooled over the slots that are taken. The number of slots may differ from call to call.

    Args:
        layout: of the states.
        hiddens: widths of the layers before and after pooling.
        output_size: length of the output.
        extra_size: length of a further input, such as an action.
        pooling: ``max_mean`` (both, side by side) or ``attention`` (weights from each code).
        normalise: layer normalisation after pooling.

    Raises:
        SafeMARLError: there is no such pooling.
    """

    def __init__(
        self,
        layout: SetLayout,
        hiddens: Sequence[int] = (128, 128),
        output_size: int = 1,
        extra_size: int = 0,
        pooling: str = "max_mean",
        normalise: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SafeMARLError(
                f"there is no pooling {pooling!r}; use one of {', '.join(POOLINGS)}."
                f"{nearest_name(pooling, POOLINGS)}"
            )
        self.layout = layout
        self.pooling = pooling
        pooled = 0
        if layout.slot_size:
            self.neighbour = perceptron([layout.own_size + layout.slot_size, *hiddens])
            pooled = 2 * hiddens[-1] if pooling == "max_mean" else hiddens[-1]
            if pooling == "attention":
                self.weigh = nn.Linear(hiddens[-1], 1)
        self.head = perceptron([layout.own_size + extra_size + pooled, *hiddens, output_size], normalise)

    def forward(self, x: Tensor, mask: Tensor | None = None, extra: Tensor | None = None) -> Tensor:
        """Encode states.

        Args:
            x: ``[..., S + K F]``; slots without a neighbour may hold anything.
            mask: ``[..., K]`` slots that are taken, broadcasting against ``x``; all where not given.
            extra: ``[..., E]`` the further input, broadcasting against ``x``.

        Returns:
            ``[..., output_size]``.
        """
        own, slots = self.layout.split(x)
        parts = [own] if extra is None else [own, extra]
        if self.layout.slot_size:
            parts.append(self._pool(own, slots, mask))
        return of_parts(self.head, parts)

    def _pool(self, own: Tensor, slots: Tensor, mask: Tensor | None) -> Tensor:
        taken = torch.ones_like(slots[..., :1], dtype=torch.bool)
        if mask is not None:
            taken = taken & mask.unsqueeze(-1)
        # Filler is zeroed before the first layer, or a NaN in it would reach the gradient.
        slots = torch.where(taken, slots, 0.0)
        pairs = torch.cat([own.unsqueeze(-2).expand(*slots.shape[:-1], own.shape[-1]), slots], -1)
        codes = self.neighbour(pairs)
        count = taken.sum(-2).clamp_min(1)
        if self.pooling == "attention":
            weights = torch.where(taken, self.weigh(codes).float(), -1e9).softmax(-2)
            return (torch.where(taken, weights, 0.0).to(codes.dtype) * codes).sum(-2)
        mean = torch.where(taken, codes, 0.0).sum(-2) / count
        if not codes.shape[-2]:
            return torch.cat([mean, mean], -1)
        largest = torch.where(taken, codes, -1e9).amax(-2)
        return torch.cat([torch.where(taken.any(-2), largest, 0.0), mean], -1)
