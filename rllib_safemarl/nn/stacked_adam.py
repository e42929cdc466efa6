"""Adam for M networks stacked along the first axis, each as if it had an Adam of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StackedAdam:
    """Adam (Kingma and Ba 2015) whose learning rates, step counts and pauses are those of single members.

    Args:
        parameters: ``[M, ...]`` each, stepped in place by their ``grad``.
        betas: decays of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(self, parameters: Sequence[Tensor], betas: tuple[float, float], eps: float) -> None:
        self.parameters = list(parameters)
        self._betas, self._eps = betas, eps
        first = self.parameters[0]
        self.rates = torch.zeros(len(first), dtype=torch.float64, device=first.device)
        self.steps = torch.zeros_like(self.rates)
        self.means = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self.squares = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, active: Tensor) -> None:
        """Step the members for which ``active [M]`` is true; nothing of the others changes."""
        moving = active.to(self.rates)
        self.steps += moving
        (first, second), count = self._betas, self.steps.clamp(min=1.0)
        rate = self.rates * moving / (1.0 - first**count)
        root = (1.0 - second**count).sqrt()
        for parameter, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            if parameter.grad is None:
                continue
            shape = (-1, *[1] * (parameter.dim() - 1))
            weight = moving.to(parameter).view(shape)
            mean.lerp_(parameter.grad, (1.0 - first) * weight)
            square.lerp_(parameter.grad.square(), (1.0 - second) * weight)
            scale = square.sqrt().div_(root.to(parameter).view(shape)).add_(self._eps)
            parameter.sub_(rate.to(parameter).view(shape) * mean / scale)
