"""Noise schedules of a diffusion model, and what its network may predict.

Steps are counted k = 0 … K, as in the papers: 0 is data, K is (almost) pure noise, and
``x_k = α_k x_0 + σ_k ε`` with ``α_k = √ᾱ_k``, ``σ_k = √(1 - ᾱ_k)``, ε standard normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.errors import SafeMARLError, nearest_name

Array = NDArray[np.float64]

PREDICTIONS = ("epsilon", "x0", "v")
"""What a network may predict: the noise ε, the data x_0, or the velocity ``v = α ε - σ x_0``."""


@dataclass(frozen=True)
class NoiseSchedule:
    """How much of the data is left at each step.

    Attributes:
        alpha_bars: ``[K + 1]`` ᾱ_k, falling from ᾱ_0 = 1.

    Raises:
        SafeMARLError: ᾱ does not start at 1, does not fall, or reaches 0 (where nothing can be predicted
            from the noise).
    """

    alpha_bars: Array

    def __post_init__(self) -> None:
        a = self.alpha_bars
        if len(a) < 2 or a[0] != 1.0 or a[-1] <= 0.0 or not (np.diff(a) < 0.0).all():
            raise SafeMARLError("a noise schedule must fall from 1 and stay above 0.")

    @property
    def num_steps(self) -> int:
        """K."""
        return len(self.alpha_bars) - 1

    def alpha(self, step: int) -> float:
        """α_k, the scale of the data at a step."""
        return math.sqrt(self.alpha_bars[step])

    def sigma(self, step: int) -> float:
        """σ_k, the standard deviation of the noise at a step."""
        return math.sqrt(1.0 - self.alpha_bars[step])

    def log_snr(self, step: int) -> float:
        """``λ_k = log(α_k / σ_k)``, infinite for data."""
        return math.log(self.alpha(step) / self.sigma(step)) if step else math.inf

    def scales(self, steps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """α and σ of steps ``[B]``, shaped ``[B, 1, …]`` to multiply ``like [B, …]``."""
        alpha_bars = torch.as_tensor(self.alpha_bars, device=steps.device)[steps.long()]
        shape = (len(steps),) + (1,) * (like.dim() - 1)
        alphas, sigmas = alpha_bars.sqrt(), (1.0 - alpha_bars).sqrt()
        return alphas.to(like.dtype).view(shape), sigmas.to(like.dtype).view(shape)


def of_betas(betas: Array) -> NoiseSchedule:
    """The schedule ``ᾱ_k = Π_{l ≤ k} (1 - β_l)`` of variances β ``[K]``."""
    return NoiseSchedule(np.concatenate([[1.0], np.cumprod(1.0 - np.asarray(betas, np.float64))]))


def cosine_schedule(num_steps: int, offset: float = 0.008, max_beta: float = 0.999) -> NoiseSchedule:
    """Nichol & Dhariwal 2021, eq. (17): ``ᾱ_k = f(k) / f(0)``, ``f(k) = cos²((k/K + s) / (1 + s) · π/2)``.

    Args:
        num_steps: K.
        offset: s, keeps the first steps from being too small.
        max_beta: largest β_k, so that ᾱ_K stays above 0.
    """
    f = np.cos((np.arange(num_steps + 1) / num_steps + offset) / (1.0 + offset) * math.pi / 2.0) ** 2
    return of_betas(np.minimum(1.0 - f[1:] / f[:-1], max_beta))


def linear_schedule(
    num_steps: int, first_beta: float = 1e-4, last_beta: float = 0.02, rescale: bool = True
) -> NoiseSchedule:
    """Ho et al. 2020: β rises linearly.

    Args:
        num_steps: K.
        first_beta: β_1 of a schedule of 1000 steps.
        last_beta: β_K of a schedule of 1000 steps.
        rescale: multiply β by 1000 / K. The published values are for K = 1000; taken as they are for
            K = 100, a third of the signal is left in what should be pure noise.
    """
    scale = 1000.0 / num_steps if rescale else 1.0
    return of_betas(np.minimum(scale * np.linspace(first_beta, last_beta, num_steps), 0.999))


SCHEDULES: dict[str, Callable[[int], NoiseSchedule]] = {"cosine": cosine_schedule, "linear": linear_schedule}


def noise_schedule(name: str, num_steps: int) -> NoiseSchedule:
    """The schedule of a name.

    Raises:
        SafeMARLError: there is no such schedule, or K < 1.
    """
    if name not in SCHEDULES:
        raise SafeMARLError(
            f"there is no noise schedule {name!r}; use one of {', '.join(SCHEDULES)}."
            f"{nearest_name(name, SCHEDULES)}"
        )
    if num_steps < 1:
        raise SafeMARLError(f"a noise schedule needs at least 1 step, not {num_steps}.")
    return SCHEDULES[name](num_steps)


def check_prediction(prediction: str) -> None:
    """Raise a SafeMARLError where ``prediction`` is none of :data:`PREDICTIONS`."""
    if prediction not in PREDICTIONS:
        raise SafeMARLError(
            f"a denoiser cannot predict {prediction!r}; use one of {', '.join(PREDICTIONS)}."
            f"{nearest_name(prediction, PREDICTIONS)}"
        )


def prediction_target(
    x0: Tensor, noise: Tensor, alpha: Tensor | float, sigma: Tensor | float, prediction: str
) -> Tensor:
    """What the network should put out for ``x_k = α x_0 + σ ε``; shapes as ``x0``."""
    check_prediction(prediction)
    if prediction == "epsilon":
        return noise
    return x0 if prediction == "x0" else alpha * noise - sigma * x0


def to_x0(output: Tensor, x: Tensor, alpha: Tensor | float, sigma: Tensor | float, prediction: str) -> Tensor:
    """The data x_0 that an output at ``x = x_k`` stands for."""
    check_prediction(prediction)
    if prediction == "x0":
        return output
    return (x - sigma * output) / alpha if prediction == "epsilon" else alpha * x - sigma * output


def to_epsilon(
    output: Tensor, x: Tensor, alpha: Tensor | float, sigma: Tensor | float, prediction: str
) -> Tensor:
    """The noise ε that an output at ``x = x_k`` stands for; k > 0."""
    check_prediction(prediction)
    if prediction == "epsilon":
        return output
    return (x - alpha * output) / sigma if prediction == "x0" else alpha * output + sigma * x


def to_v(output: Tensor, x: Tensor, alpha: Tensor | float, sigma: Tensor | float, prediction: str) -> Tensor:
    """The velocity v that an output at ``x = x_k`` stands for; k > 0 where the network predicts x_0."""
    check_prediction(prediction)
    if prediction == "v":
        return output
    if prediction == "epsilon":
        return (output - sigma * x) / alpha
    return (alpha * x - output) / sigma
