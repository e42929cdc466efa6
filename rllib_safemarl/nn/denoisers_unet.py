"""The temporal U-Net of Diffuser, Decision Diffuser and MADiff."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rllib_safemarl.nn.denoisers_conditioning import Conditioning, per_agent
from rllib_safemarl.nn.denoisers_transformer import SelfAttention


def _convolution(channels: int, out: int, kernel: int) -> nn.Sequential:
    """Convolution over moments, group norm, Mish."""
    return nn.Sequential(
        nn.Conv1d(channels, out, kernel, padding=kernel // 2), nn.GroupNorm(8, out), nn.Mish()
    )


class ResidualConvolution(nn.Module):
    """Two convolutions over moments, with the conditioning added between them."""

    def __init__(self, channels: int, out: int, embedding: int, kernel: int) -> None:
        super().__init__()
        self.first = _convolution(channels, out, kernel)
        self.second = _convolution(out, out, kernel)
        self.conditioning = nn.Linear(embedding, out)
        self.skip = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """``[B, C, H]`` and conditioning ``[B, E]`` to ``[B, out, H]``."""
        inner = self.first(x) + self.conditioning(vector).unsqueeze(-1)
        return self.second(inner) + self.skip(x)


class AgentAttention(nn.Module):
    """Adds, at each moment, what agents learn from each other, times a gate that starts at 0."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.attention = SelfAttention(channels, heads)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, agents: int) -> Tensor:
        """``[B A, C, H]`` to ``[B A, C, H]``."""
        rows, channels, length = x.shape
        moments = x.view(-1, agents, channels, length).permute(0, 3, 1, 2).reshape(-1, agents, channels)
        mixed = self.attention(functional.layer_norm(moments, (channels,)))
        mixed = mixed.view(-1, length, agents, channels).permute(0, 2, 3, 1)
        return x + self.gate * mixed.reshape(rows, channels, length)


class TemporalUNet(nn.Module):
    """Convolutions over moments at falling, then rising resolution.

    Args:
        features: D of the windows.
        length: H, moments of a window; any other length is accepted too.
        conditions: entries of y.
        context: entries of the context.
        width: channels at full resolution, a multiple of 8.
        multipliers: of ``width`` at each resolution; 128 and (1, 4, 8) is the published MADiff.
        kernel: of the convolutions, odd.
        agent_attention: windows are ``[B, A, H, D]`` and agents attend to each other at the skips.
    """

    def __init__(
        self,
        features: int,
        length: int,
        conditions: int,
        context: int = 0,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2, 4),
        kernel: int = 5,
        agent_attention: bool = False,
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(width, conditions, context)
        channels = [features, *(width * m for m in multipliers)]
        pairs = list(itertools.pairwise(channels))
        self.stride = 2 ** (len(pairs) - 1)

        def block(size: int, out: int) -> ResidualConvolution:
            return ResidualConvolution(size, out, width, kernel)

        self.down = nn.ModuleList(nn.ModuleList([block(c, out), block(out, out)]) for c, out in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(out, out, 3, 2, 1) for _, out in pairs[:-1])
        last = channels[-1]
        self.middle = nn.ModuleList([block(last, last), block(last, last)])
        rising = pairs[:0:-1]
        self.up = nn.ModuleList(nn.ModuleList([block(2 * out, c), block(c, c)]) for c, out in rising)
        self.grow = nn.ModuleList(nn.ConvTranspose1d(c, c, 4, 2, 1) for c, _ in rising)
        self.agents = nn.ModuleList(AgentAttention(out) for _, out in rising) if agent_attention else None
        self.out = nn.Sequential(_convolution(width, width, kernel), nn.Conv1d(width, features, 1))

    def forward(
        self,
        x: Tensor,
        steps: Tensor,
        condition: Tensor | None = None,
        dropped: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Windows ``[B, H, D]`` (or ``[B, A, H, D]``) to predictions of the same shape; see ``Denoiser``."""
        vector = self.conditioning(steps, condition, dropped, context)
        agents = x.shape[1] if x.dim() == 4 else 1
        if x.dim() == 4:
            vector = per_agent(vector, agents)
        vector = functional.mish(vector)
        length = x.shape[-2]
        hidden = x.flatten(0, -3).transpose(1, 2)
        # Halved and doubled again, a length must be a multiple of the stride.
        hidden = functional.pad(hidden, (0, -length % self.stride), mode="replicate")
        skips = []
        for level, (first, second) in enumerate(self.down):
            hidden = second(first(hidden, vector), vector)
            skips.append(hidden)
            if level < len(self.shrink):
                hidden = self.shrink[level](hidden)
        for block in self.middle:
            hidden = block(hidden, vector)
        for level, (first, second) in enumerate(self.up):
            skip = skips.pop()
            if self.agents is not None:
                skip = self.agents[level](skip, agents)
            hidden = second(first(torch.cat([hidden, skip], 1), vector), vector)
            hidden = self.grow[level](hidden)
        return self.out(hidden)[..., :length].transpose(1, 2).reshape(x.shape)
