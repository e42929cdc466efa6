"""Twin Q and V critics of an agent and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllib_safemarl.nn.set_encoder import SetEncoder, SetLayout


class ValueNetwork(nn.Module):
    """V(x).

    Args:
        layout: of the states.
        hiddens: widths of the hidden layers.
        pooling: see :class:`SetEncoder`.
    """

    def __init__(
        self, layout: SetLayout, hiddens: Sequence[int] = (128, 128), pooling: str = "max_mean"
    ) -> None:
        super().__init__()
        self.encoder = SetEncoder(layout, hiddens, pooling=pooling, normalise=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """V ``[...]`` of states ``x [..., S + K F]`` with taken slots ``mask [..., K]``."""
        return self.encoder(x, mask)[..., 0]


class TwinQNetwork(nn.Module):
    """Two independent estimates of Q(x, a), of which the smaller is trusted.

    Args:
        layout: of the states.
        action_size: length of the encoded action, see :func:`encode_actions`.
        hiddens: widths of the hidden layers.
        pooling: see :class:`SetEncoder`.
    """

    def __init__(
        self,
        layout: SetLayout,
        action_size: int,
        hiddens: Sequence[int] = (128, 128),
        pooling: str = "max_mean",
    ) -> None:
        super().__init__()
        self.twins = nn.ModuleList(
            SetEncoder(layout, hiddens, 1, action_size, pooling, normalise=True) for _ in range(2)
        )

    def forward(self, x: Tensor, action: Tensor, mask: Tensor | None = None) -> Tensor:
        """Both Q ``[2, ...]`` of states ``x [..., S + K F]`` and actions ``[..., E]``, which broadcast."""
        return torch.stack([twin(x, mask, action)[..., 0] for twin in self.twins])

    def smaller(self, x: Tensor, action: Tensor, mask: Tensor | None = None) -> Tensor:
        """The smaller Q ``[...]``."""
        return self(x, action, mask).amin(0)


def encode_actions(actions: Tensor, choices: Sequence[int], single: bool = False) -> Tensor:
    """Actions as real vectors: as they are, or one-hot where they are choices.

    Args:
        actions: ``[..., D]`` real vectors or choices; ``[...]`` where ``single``.
        choices: number of choices of each decision; empty for real vectors.
        single: one decision, without an axis of its own.

    Returns:
        ``[..., D]``, or ``[..., Σ choices]``.
    """
    if not choices:
        return actions
    decisions = actions.unsqueeze(-1) if single else actions
    parts = [nn.functional.one_hot(decisions[..., i].long(), n) for i, n in enumerate(choices)]
    return torch.cat(parts, -1).float()
