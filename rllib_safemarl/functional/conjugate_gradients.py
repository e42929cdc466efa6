"""Linear systems with matrices that are known only by their products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], target: Tensor, steps: int, tolerance: float = 1e-10
) -> Tensor:
    """Solve ``H x = b`` for a symmetric positive definite H (Hestenes and Stiefel 1952).

    Args:
        product: ``v -> H v``, both ``[D]``.
        target: ``[D]`` b.
        steps: products at most; D of them would be exact.
        tolerance: of ``|b - H x|² / |b|²``, at which to stop.

    Returns:
        ``[D]`` x; zeros where b is zero.
    """
    solution, residual, direction = torch.zeros_like(target), target.clone(), target.clone()
    start = square = residual.dot(residual)
    for _ in range(steps):
        if float(square) <= tolerance * float(start):
            break
        turned = product(direction)
        curvature = direction.dot(turned)
        if not float(curvature) > 0.0:
            break
        length = square / curvature
        solution = solution + length * direction
        residual = residual - length * turned
        square, before = residual.dot(residual), square
        direction = residual + (square / before) * direction
    return solution


def flat_gradient(
    value: Tensor, parameters: Sequence[nn.Parameter], *, keep: bool = False, create: bool = False
) -> Tensor:
    """Gradient of a scalar by all parameters as one vector ``[D]``; 0 for those it does not depend on.

    Args:
        value: the scalar.
        parameters: D numbers in all.
        keep: keep the graph for further gradients of the same value.
        create: make the gradient itself differentiable.
    """
    gradients = torch.autograd.grad(
        value, parameters, retain_graph=keep or create, create_graph=create, allow_unused=True
    )
    parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
    return torch.cat([part.flatten() for part in parts])


def hessian_product(value: Tensor, parameters: Sequence[nn.Parameter]) -> Callable[[Tensor], Tensor]:
    """``v -> H v`` for the Hessian H of a scalar, by differentiating its gradient.

    For the mean of KL(old ‖ new) where new equals old, H is the Fisher matrix.

    Args:
        value: the scalar, with its graph.
        parameters: D numbers in all.
    """
    gradient = flat_gradient(value, parameters, create=True)

    def product(vector: Tensor) -> Tensor:
        if not gradient.requires_grad:
            return torch.zeros_like(vector)
        return flat_gradient(gradient.dot(vector), parameters, keep=True)

    return product
