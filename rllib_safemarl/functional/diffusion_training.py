"""What a denoiser is trained on: noised windows, dropped conditions, and the loss of eq. (10)."""

from __future__ import annotations

import torch
from torch import Tensor

from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_schedules import NoiseSchedule, prediction_target
from rllib_safemarl.functional.masked_means import masked_mean


def training_pair(
    data: Tensor,
    noise: Tensor,
    steps: Tensor,
    schedule: NoiseSchedule,
    prediction: str,
    inpainting: Inpainting | None = None,
) -> tuple[Tensor, Tensor]:
    """A network's input and what it should put out.

    Args:
        data: ``[B, ...]`` windows x_0.
        noise: ``[B, ...]`` standard normal ε.
        steps: ``[B]`` k, 1 … K.
        schedule: of the noise.
        prediction: one of ``PREDICTIONS``.
        inpainting: what is known, hence not noised.

    Returns:
        ``[B, ...]`` input x_k and ``[B, ...]`` target.
    """
    alpha, sigma = schedule.scales(steps, data)
    x = alpha * data + sigma * noise
    target = prediction_target(data, noise, alpha, sigma, prediction)
    return (x if inpainting is None else inpainting(x)), target


def training_steps(count: int, num_steps: int, bias: float, generator: torch.Generator) -> Tensor:
    """Steps ``[count]`` in 1 … K to noise windows to, ``⌈K u^{1/bias}⌉`` for uniform u.

    Few-step samplers ask the network where there is most noise; there it has most to learn, too. A bias of
    1 is uniform, 3 draws half of the steps from the noisiest fifth.
    """
    u = torch.rand(count, generator=generator)
    return (num_steps * u.pow(1.0 / bias)).ceil().long().clamp(1, num_steps)


def denoising_loss(output: Tensor, target: Tensor, counted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error over what counts, eq. (10), first term.

    Args:
        output: ``[B, ...]`` of the network.
        target: ``[B, ...]``.
        counted: broadcasts against ``output``; true where the loss counts: not where inpainted, beyond
            the end of an episode, or in a neighbour slot without a neighbour.
        weights: broadcast against ``output``; all alike where not given.

    Returns:
        A scalar; 0 where nothing counts.
    """
    # Zeros first: filler may be NaN, and a NaN that is masked after the square still spoils the gradient.
    square = torch.where(counted, output - target, 0.0).square()
    if weights is None:
        return masked_mean(square, counted)
    counts = counted.expand_as(square) * weights
    return (square * weights).sum() / counts.sum().clamp_min(1e-12)


def inverse_dynamics_loss(prediction: Tensor, actions: Tensor, counted: Tensor) -> Tensor:
    """Mean of ``‖a - I_φ(x_t, x_{t+1})‖²`` over steps that count, eq. (10), second term.

    Args:
        prediction: ``[..., D]``.
        actions: ``[..., D]``.
        counted: ``[...]``.
    """
    difference = torch.where(counted[..., None], prediction - actions, 0.0)
    return masked_mean(difference.square().sum(-1), counted)


def drop_conditions(
    shape: tuple[int, int],
    together: float,
    each: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Which entries of the conditions the network does not see, for classifier-free guidance.

    Args:
        shape: B and Y.
        together: probability that all entries of a sample are dropped at once (p of eq. (10)).
        each: probability that an entry is dropped on its own besides, so that one can be given alone.
        generator: of the draws.

    Returns:
        ``[B, Y]``, true where dropped.
    """
    batch, entries = shape
    all_at_once = torch.rand(batch, 1, generator=generator) < together
    alone = torch.rand(batch, entries, generator=generator) < each
    return all_at_once | alone
