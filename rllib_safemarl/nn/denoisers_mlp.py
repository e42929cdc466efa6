"""A residual perceptron over whole windows: the fastest denoiser for one window at a time."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from rllib_safemarl.nn.denoisers_conditioning import Conditioning


class ResidualBlock(nn.Module):
    """``x + W₂ SiLU(W₁ (scale · norm(x) + shift))``, scale and shift from the conditioning."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(embedding, 2 * width)
        self.inner = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """``x [B, width]`` and conditioning ``[B, embedding]`` to ``[B, width]``."""
        scale, shift = self.modulate(conditioning).chunk(2, -1)
        inner = functional.layer_norm(x, x.shape[-1:]) * (1.0 + scale) + shift
        return x + self.out(functional.silu(self.inner(inner)))


class MLPDenoiser(nn.Module):
    """A denoiser without structure over time; ``length`` is fixed.

    Args:
        features: D of the windows.
        length: H, moments of a window.
        conditions: entries of y.
        context: entries of the context.
        width: of the layers.
        layers: number of blocks.
        embedding: length of the conditioning.
    """

    def __init__(
        self,
        features: int,
        length: int,
        conditions: int,
        context: int = 0,
        width: int = 512,
        layers: int = 3,
        embedding: int = 128,
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(embedding, conditions, context)
        self.embed = nn.Linear(features * length, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, embedding) for _ in range(layers))
        self.out = nn.Linear(width, features * length)

    def forward(
        self,
        x: Tensor,
        steps: Tensor,
        condition: Tensor | None = None,
        dropped: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Windows ``[B, H, D]`` to predictions ``[B, H, D]``; see ``Denoiser``."""
        vector = functional.silu(self.conditioning(steps, condition, dropped, context))
        hidden = self.embed(x.flatten(1))
        for block in self.blocks:
            hidden = block(hidden, vector)
        return self.out(functional.silu(hidden)).view_as(x)
