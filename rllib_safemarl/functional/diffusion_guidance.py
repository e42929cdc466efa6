"""Guidance of a diffusion model, by its condition or by a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllib_safemarl.functional.diffusion_samplers import Predict, SolverStep


def classifier_free(conditional: Tensor, unconditional: Tensor, weight: float) -> Tensor:
    """``ε_∅ + ω (ε_y - ε_∅)``: ω = 1 is purely conditional, 0 unconditional, more than 1 exaggerates.

    The same holds for x_0 and v, which at one x are affine in ε. (Ho & Salimans 2022 write 1 + w for ω.)
    """
    return unconditional + weight * (conditional - unconditional)


def guided(
    denoiser: Callable[..., Tensor],
    condition: Tensor,
    weight: float = 1.0,
    context: Tensor | None = None,
) -> Predict:
    """A network with classifier-free guidance, as a sampler asks for it.

    Only what is needed is computed: one pass for ω = 1 and for ω = 0, else one pass of twice the batch.

    Args:
        denoiser: ``(x, steps, condition, dropped, context) -> output``, see ``nn.denoisers``.
        condition: ``[B, Y]`` y; entries that are NaN count as dropped.
        weight: ω.
        context: ``[B, C]`` what is never dropped, if any.
    """
    free = torch.isnan(condition)
    if weight in (0.0, 1.0):
        dropped = free if weight else torch.ones_like(free)
        return lambda x, steps: denoiser(x, steps, condition, dropped, context)
    conditions = torch.cat([condition, condition])
    dropped = torch.cat([free, torch.ones_like(free)])
    contexts = None if context is None else torch.cat([context, context])

    def predict(x: Tensor, steps: Tensor) -> Tensor:
        both = denoiser(torch.cat([x, x]), torch.cat([steps, steps]), conditions, dropped, contexts)
        conditional, unconditional = both.chunk(2)
        return classifier_free(conditional, unconditional, weight)

    return predict


@dataclass(frozen=True)
class GradientGuide:
    """Moves the estimated data along the gradient of an objective, at every denoising step.

    With an objective ``J(x_0) = log p(wanted | x_0)`` this approximates sampling from ``p(x_0 | wanted)``: by
    Tweedie's formula the estimate changes by ``(σ²/α) ∇_{x_k} log p(wanted | x_k)``. Through the network
    that gradient is ``∇_{x_k} J(x̂_0(x_k))``. Without, ``∂x̂_0/∂x_k`` is taken to be α, as it is for data of
    unit variance, which is what normalised data have: the change is ``σ² ∇J(x̂_0)``, needs no backward
    pass of the network, and stays bounded as α → 0.

    Attributes:
        objective: ``[B, ...] -> [B]``, larger is wanted.
        weight: factor of the gradient.
        through_network: differentiate through the network.
        max_norm: bound on the length of each sample's change, ``None`` for none.
    """

    objective: Callable[[Tensor], Tensor]
    weight: float = 1.0
    through_network: bool = False
    max_norm: float | None = None

    def __call__(self, x: Tensor, estimate: Callable[[Tensor], Tensor], step: SolverStep) -> Tensor:
        """The estimate at ``x``, moved."""
        if self.through_network:
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                x0 = estimate(leaf)
                gradient = torch.autograd.grad(self.objective(x0).sum(), leaf)[0]
            scale = step.sigma**2 / step.alpha
        else:
            x0 = estimate(x)
            with torch.enable_grad():
                leaf = x0.detach().requires_grad_()
                gradient = torch.autograd.grad(self.objective(leaf).sum(), leaf)[0]
            scale = step.sigma**2
        return x0.detach() + self._bounded(self.weight * scale * gradient)

    def _bounded(self, change: Tensor) -> Tensor:
        if self.max_norm is None:
            return change
        norm = change.flatten(1).norm(dim=1).clamp_min(1e-12)
        factor = (self.max_norm / norm).clamp_max(1.0)
        return change * factor.view(-1, *[1] * (change.dim() - 1))
