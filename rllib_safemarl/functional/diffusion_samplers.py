"""Samplers of a diffusion model: DDPM, DDIM and DPM-Solver++(2M), with any number of steps.

Each of them is, from a visited step k to the next one j < k, a sum
``x_j = keep · x_k + estimate · x̂_0 + previous · x̂_0' + noise · z`` of the current x, the network's estimate
of the data, its estimate at the step before, and fresh noise z. So a solver is a table of coefficients,
computed once in double precision, and sampling is one loop.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.diffusion_schedules import NoiseSchedule, to_x0

SOLVERS = ("ddpm", "ddim", "dpm_solver_pp")

Predict = Callable[[Tensor, Tensor], Tensor]
"""``(x [B, ...], steps [B]) -> output [B, ...]``, such as a network or a guided one."""


@dataclass(frozen=True)
class SolverStep:
    """From one visited step to the next.

    Attributes:
        step: k, at which the network is asked.
        alpha: α_k.
        sigma: σ_k.
        keep: factor of x_k.
        estimate: factor of the estimated data at k.
        previous: factor of the data estimated at the visited step before k.
        noise: standard deviation of fresh noise.
    """

    step: int
    alpha: float
    sigma: float
    keep: float
    estimate: float
    previous: float
    noise: float


class Guide(Protocol):
    """Changes the estimate of the data at every step, for instance along a gradient."""

    def __call__(self, x: Tensor, estimate: Callable[[Tensor], Tensor], step: SolverStep) -> Tensor:
        """The estimate ``[B, ...]`` to go on with; ``estimate(x)`` is the network's own."""
        ...


@dataclass(frozen=True)
class Inpainting:
    """What is known of a window, such as its first moment; never noised and never estimated.

    Attributes:
        values: ``[B, ...]`` read where ``known``.
        known: broadcasts against ``values``.
    """

    values: Tensor
    known: Tensor

    @classmethod
    def of_present(cls, present: Tensor, length: int) -> Inpainting:
        """The first moments of windows ``[B, length, D]``, known to be ``present [B, P, D]``."""
        batch, moments, width = present.shape
        values = present.new_zeros(batch, length, width)
        values[:, :moments] = present
        known = torch.zeros(1, length, 1, dtype=torch.bool, device=present.device)
        known[:, :moments] = True
        return cls(values, known)

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` with what is known put in its place."""
        return torch.where(self.known, self.values, x)


def visited_steps(num_steps: int, count: int, start: int | None = None) -> list[int]:
    """The steps ``k_1 > … > k_count ≥ 1`` at which the network is asked; after the last comes 0, data.

    Evenly spaced from ``start`` down to 0 and rounded, so that the first is exactly ``start`` (where the
    noise was drawn for) and every step leads to the next visited one, also where ``count`` does not
    divide it.

    Args:
        num_steps: K.
        count: steps to take.
        start: the first step; K where not given, less for a warm start.

    Raises:
        SafeMARLError: ``start`` is none of 1 … K, or ``count`` none of 1 … start.
    """
    start = num_steps if start is None else start
    if not 1 <= start <= num_steps:
        raise SafeMARLError(f"a sampler cannot start at step {start} of a schedule of {num_steps} steps.")
    if not 1 <= count <= start:
        raise SafeMARLError(f"solver_steps must be 1 … {start}, the steps of the schedule, not {count}.")
    # Integers, so that halves round the same way everywhere.
    return [(2 * start * (count - i) + count) // (2 * count) for i in range(count)]


def solver_steps(
    schedule: NoiseSchedule, solver: str, count: int, start: int | None = None, eta: float = 0.0
) -> tuple[SolverStep, ...]:
    """The table of a solver.

    - ``ddpm``: ancestral sampling, Ho et al. 2020, eqs. (6)–(7), with the posterior's own variance; over a
      subset of the steps the posterior is that of the step skipped to.
    - ``ddim``: Song et al. 2021, eqs. (12), (16); ``eta`` = 0 is deterministic, 1 equals ``ddpm``.
    - ``dpm_solver_pp``: DPM-Solver++(2M), Lu et al. 2022, algorithm 2; of first order at its first and
      last step.

    With ``count`` = 1 all of them return the data estimated from pure noise.

    Args:
        schedule: of the noise.
        solver: one of :data:`SOLVERS`.
        count: steps to take, 1 … K.
        start: first step, K where not given.
        eta: share of fresh noise in ``ddim``, 0 … 1.

    Raises:
        SafeMARLError: there is no such solver, ``eta`` is out of range, or :func:`visited_steps` refuses.
    """
    if solver not in SOLVERS:
        raise SafeMARLError(
            f"there is no solver {solver!r}; use one of {', '.join(SOLVERS)}.{nearest_name(solver, SOLVERS)}"
        )
    if not 0.0 <= eta <= 1.0:
        raise SafeMARLError(f"eta must be between 0 and 1, not {eta}.")
    steps = [*visited_steps(schedule.num_steps, count, start), 0]
    if solver == "dpm_solver_pp":
        return tuple(_second_order(schedule, steps, i) for i in range(count))
    eta = 1.0 if solver == "ddpm" else eta
    return tuple(_first_order(schedule, k, j, eta) for k, j in itertools.pairwise(steps))


def _first_order(schedule: NoiseSchedule, k: int, j: int, eta: float) -> SolverStep:
    """DDIM from k to j."""
    alpha, sigma = schedule.alpha(k), schedule.sigma(k)
    next_alpha, next_sigma = schedule.alpha(j), schedule.sigma(j)
    spread = 1.0 - schedule.alpha_bars[k] / schedule.alpha_bars[j]
    noise = eta * next_sigma / sigma * math.sqrt(spread)
    keep = math.sqrt(max(next_sigma**2 - noise**2, 0.0)) / sigma
    return SolverStep(k, alpha, sigma, keep, next_alpha - alpha * keep, 0.0, noise)


def _second_order(schedule: NoiseSchedule, steps: Sequence[int], i: int) -> SolverStep:
    """DPM-Solver++(2M) from the i-th visited step to the next."""
    k, j = steps[i], steps[i + 1]
    step = _first_order(schedule, k, j, 0.0)
    if i == 0 or j == 0:
        return step
    now = schedule.log_snr(k)
    # The data are extrapolated to the middle of the coming interval of λ, from the two last estimates.
    ahead = (schedule.log_snr(j) - now) / (now - schedule.log_snr(steps[i - 1])) / 2.0
    estimate, previous = step.estimate * (1.0 + ahead), -step.estimate * ahead
    return SolverStep(k, step.alpha, step.sigma, step.keep, estimate, previous, 0.0)


@dataclass(frozen=True)
class Sampler:
    """Draws from a diffusion model.

    Attributes:
        steps: of :func:`solver_steps`.
        prediction: what the network predicts, one of ``PREDICTIONS``.
        temperature: factor of fresh noise; below 1 samples keep closer to the most likely ones.
        clip: bound on the magnitude of estimated data, ``None`` for none.
    """

    steps: tuple[SolverStep, ...]
    prediction: str = "x0"
    temperature: float = 1.0
    clip: float | None = None

    def __call__(
        self,
        predict: Predict,
        start: Tensor,
        inpainting: Inpainting | None = None,
        guide: Guide | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sample from ``start [B, ...]``, noise of the first step; pure noise unless started warm.

        Args:
            predict: the network.
            start: ``[B, ...]``.
            inpainting: what is known of the samples.
            guide: called at every step.
            generator: of fresh noise; unused by solvers without any.

        Returns:
            ``[B, ...]`` data.
        """
        x = start if inpainting is None else inpainting(start)
        previous: Tensor | None = None
        for step in self.steps:
            x0 = self._estimate(predict, x, step, guide)
            if inpainting is not None:
                x0 = inpainting(x0)
            x_next = step.keep * x + step.estimate * x0
            if previous is not None and step.previous:
                x_next = x_next + step.previous * previous
            if step.noise:
                z = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
                x_next = x_next + self.temperature * step.noise * z
            x = x_next if inpainting is None else inpainting(x_next)
            previous = x0
        return x

    def _estimate(self, predict: Predict, x: Tensor, step: SolverStep, guide: Guide | None) -> Tensor:
        """The data estimated from ``x``, guided and clipped."""
        index = torch.full((len(x),), step.step, device=x.device)

        def estimate(at: Tensor) -> Tensor:
            return to_x0(predict(at, index), at, step.alpha, step.sigma, self.prediction)

        x0 = estimate(x) if guide is None else guide(x, estimate, step)
        return x0 if self.clip is None else x0.clamp(-self.clip, self.clip)


def shifted(plan: Tensor, by: int = 1) -> Tensor:
    """Plans ``[B, H, ...]`` as they look ``by`` moments later; the last moment is repeated."""
    last = plan[:, -1:].expand(-1, by, *plan.shape[2:])
    return torch.cat([plan[:, by:], last], 1)


def add_noise(data: Tensor, noise: Tensor, schedule: NoiseSchedule, steps: Tensor) -> Tensor:
    """``x_k = α_k x_0 + σ_k ε`` of data and noise ``[B, ...]`` at steps ``[B]``."""
    alpha, sigma = schedule.scales(steps, data)
    return alpha * data + sigma * noise
