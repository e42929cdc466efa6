"""A transformer over the moments of a window, conditioned by adaptive layer norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rllib_safemarl.nn.denoisers_conditioning import Conditioning, per_agent, sinusoidal


class SelfAttention(nn.Module):
    """Multi-head attention of the rows of ``[N, L, E]`` to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, L, E]`` to ``[N, L, E]``."""
        batch, length, width = x.shape
        parts = self.project(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Attention over moments, over agents where there are several, then a perceptron.

    Each part sees its input normalised, scaled and shifted by the conditioning, and adds its output times
    a gate that starts at 0 (Peebles & Xie 2023, "adaLN-Zero"): the block begins as the identity.
    """

    def __init__(self, width: int, heads: int, agent_attention: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList([SelfAttention(width, heads)])
        if agent_attention:
            self.parts.append(SelfAttention(width, heads))
        self.parts.append(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        )
        self.modulate = nn.Linear(width, 3 * len(self.parts) * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, conditioning: Tensor, agents: int) -> Tensor:
        """Windows ``[B A, H, E]`` and conditioning ``[B A, E]`` to ``[B A, H, E]``."""
        shifts = self.modulate(conditioning).unsqueeze(1).chunk(3 * len(self.parts), -1)
        for i, part in enumerate(self.parts):
            scale, shift, gate = shifts[3 * i : 3 * i + 3]
            inner = functional.layer_norm(x, x.shape[-1:]) * (1.0 + scale) + shift
            across = len(self.parts) == 3 and i == 1
            x = x + gate * (_across_agents(part, inner, agents) if across else part(inner))
        return x


def _across_agents(part: nn.Module, x: Tensor, agents: int) -> Tensor:
    """Attention between agents at each moment of ``[B A, H, E]``."""
    rows, length, width = x.shape
    moments = x.view(-1, agents, length, width).transpose(1, 2).reshape(-1, agents, width)
    mixed = part(moments).view(-1, length, agents, width).transpose(1, 2)
    return mixed.reshape(rows, length, width)


class TransformerDenoiser(nn.Module):
    """The default denoiser.

    Args:
        features: D of the windows.
        length: H, moments of a window; any other length is accepted too.
        conditions: entries of y.
        context: entries of the context.
        width: of the tokens, a multiple of ``heads``.
        layers: number of blocks.
        heads: of attention.
        agent_attention: windows are ``[B, A, H, D]`` and agents attend to each other.
    """

    def __init__(
        self,
        features: int,
        length: int,
        conditions: int,
        context: int = 0,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        agent_attention: bool = False,
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(width, conditions, context)
        self.embed = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width, heads, agent_attention) for _ in range(layers))
        self.modulate = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, features)
        for layer in (self.modulate, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

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
        windows = x.flatten(0, -3)
        vector = functional.silu(vector)
        tokens = self.embed(windows)
        positions = torch.arange(x.shape[-2], device=x.device)
        tokens = tokens + sinusoidal(positions, tokens.shape[-1]).to(tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens, vector, agents)
        scale, shift = self.modulate(vector).unsqueeze(1).chunk(2, -1)
        tokens = functional.layer_norm(tokens, tokens.shape[-1:]) * (1.0 + scale) + shift
        return self.out(tokens).view_as(x)
