"""Samplers against diffusers, and against Gaussian data, where the exact score is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.diffusion_samplers import (
    Inpainting,
    Sampler,
    add_noise,
    shifted,
    solver_steps,
    visited_steps,
)
from rllib_safemarl.functional.diffusion_schedules import (
    NoiseSchedule,
    cosine_schedule,
    linear_schedule,
    prediction_target,
    to_epsilon,
)

MEAN = torch.tensor([1.5, -0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.6, 0.3], [0.3, 0.4]], dtype=torch.float64)


def _exact(schedule: NoiseSchedule, prediction: str = "x0"):
    """The best possible network for data N(m, S): E[x_0 | x_k], as the prediction asks."""

    def predict(x, steps):
        k = int(steps[0])
        alpha, sigma = schedule.alpha(k), schedule.sigma(k)
        total = alpha**2 * COVARIANCE + sigma**2 * torch.eye(2, dtype=x.dtype)
        gain = alpha * COVARIANCE @ torch.linalg.inv(total)
        x0 = MEAN + (x - alpha * MEAN) @ gain.T
        noise = to_epsilon(x0, x, alpha, sigma, "x0")
        return prediction_target(x0, noise, alpha, sigma, prediction)

    return predict


def _flow(schedule: NoiseSchedule, x: torch.Tensor) -> torch.Tensor:
    """Where the probability flow takes ``x`` at K: whitened coordinates along eigenvectors stay put."""
    values, vectors = torch.linalg.eigh(COVARIANCE)
    alpha, sigma = schedule.alpha(schedule.num_steps), schedule.sigma(schedule.num_steps)
    white = ((x - alpha * MEAN) @ vectors) / torch.sqrt(alpha**2 * values + sigma**2)
    return MEAN + (white * values.sqrt()) @ vectors.T


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("num_steps", "count"), [(100, 15), (200, 15), (64, 5), (7, 7), (10, 1), (100, 64)])
def test_steps_start_at_the_noise_and_are_even(num_steps, count):
    steps = visited_steps(num_steps, count)
    assert len(steps) == count and steps[0] == num_steps and steps[-1] >= 1
    gaps = -np.diff([*steps, 0])
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


def test_a_warm_start_begins_where_the_plan_was_noised_to():
    assert visited_steps(100, 2, start=40) == [40, 20]
    with pytest.raises(SafeMARLError, match="solver_steps must be 1 … 3"):
        visited_steps(100, 4, start=3)
    with pytest.raises(SafeMARLError, match="cannot start at step 101"):
        visited_steps(100, 4, start=101)


def _toy(x, steps):
    """No denoiser of anything, but a smooth function of x and k; samplers must agree all the same."""
    k = steps.view(-1, *[1] * (x.dim() - 1)).to(x.dtype)
    return torch.tanh(x.roll(1, -1) + 0.01 * k) * 0.8 + 0.1 * x


def _diffusers(kind: str, schedule: str, prediction: str, num_steps: int, count: int):
    """A scheduler of diffusers with its tables in double precision, as ours."""
    diffusers = pytest.importorskip("diffusers")
    names = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
    betas = {"cosine": "squaredcos_cap_v2", "linear": "linear"}[schedule]
    common = dict(beta_schedule=betas, prediction_type=names[prediction], timestep_spacing="trailing")
    if kind == "dpm_solver_pp":
        made = diffusers.DPMSolverMultistepScheduler(num_steps, final_sigmas_type="zero", **common)
    elif kind == "ddim":
        made = diffusers.DDIMScheduler(num_steps, clip_sample=False, set_alpha_to_one=True, **common)
    else:
        made = diffusers.DDPMScheduler(num_steps, clip_sample=False, variance_type="fixed_small", **common)
    made.alphas_cumprod = made.alphas_cumprod.double()
    made.one = torch.tensor(1.0, dtype=torch.float64)
    made.set_timesteps(count)
    return made


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize(
    ("solver", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.5), ("dpm_solver_pp", 0.0)]
)
def test_equals_diffusers(solver, eta, count, prediction, schedule):
    oracle = _diffusers(solver, schedule, prediction, 100, count)
    ours = NoiseSchedule(np.concatenate([[1.0], oracle.alphas_cumprod.numpy()]))
    start = _noise(3, 4, 5)
    x, generator = start, torch.Generator().manual_seed(7)
    for t in oracle.timesteps:
        output = _toy(x, torch.full((3,), int(t) + 1))
        extra = {"eta": eta} if solver == "ddim" else {}
        if solver != "dpm_solver_pp":
            extra["generator"] = generator
        x = oracle.step(output, t, x, **extra).prev_sample
    table = solver_steps(ours, solver, count, eta=eta)
    assert [s.step - 1 for s in table] == [int(t) for t in oracle.timesteps]
    got = Sampler(table, prediction)(_toy, start, generator=torch.Generator().manual_seed(7))
    assert float((got - x).abs().max() / x.abs().max()) < 1e-6


def test_ddim_with_all_the_noise_is_ddpm():
    schedule = cosine_schedule(60)
    for one, other in zip(
        solver_steps(schedule, "ddim", 7, eta=1.0), solver_steps(schedule, "ddpm", 7), strict=True
    ):
        assert one == other


def test_ddpm_table_is_the_posterior():
    """Ho et al. 2020, eqs. (6)–(7), and Bayes' rule for what a step of several skips."""
    schedule = linear_schedule(30)
    full = solver_steps(schedule, "ddpm", 30)
    a = schedule.alpha_bars
    for step in full:
        k = step.step
        beta = 1 - a[k] / a[k - 1]
        assert step.estimate == pytest.approx(math.sqrt(a[k - 1]) * beta / (1 - a[k]))
        assert step.keep == pytest.approx(math.sqrt(1 - beta) * (1 - a[k - 1]) / (1 - a[k]))
        assert step.noise == pytest.approx(math.sqrt((1 - a[k - 1]) / (1 - a[k]) * beta))
    first, second = solver_steps(schedule, "ddpm", 3)[:2]
    k, j = first.step, second.step
    precision = 1 / (1 - a[j]) + (a[k] / a[j]) / (1 - a[k] / a[j])
    assert first.noise == pytest.approx(precision**-0.5)


@pytest.mark.parametrize("solver", ["ddpm", "ddim", "dpm_solver_pp"])
def test_one_step_is_the_estimate_from_noise_and_two_renoise_it(solver):
    schedule, start = cosine_schedule(100), _noise(4, 2)
    predict = _exact(schedule)
    one = Sampler(solver_steps(schedule, solver, 1))(predict, start)
    torch.testing.assert_close(one, predict(start, torch.full((4,), 100)))
    if solver == "ddpm":
        return
    two = Sampler(solver_steps(schedule, solver, 2))(predict, start)
    noise = (start - schedule.alpha(100) * one) / schedule.sigma(100)
    middle = schedule.alpha(50) * one + schedule.sigma(50) * noise
    torch.testing.assert_close(two, predict(middle, torch.full((4,), 50)))


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_ancestral_sampling_recovers_a_gaussian(prediction):
    schedule = cosine_schedule(200)
    sampler = Sampler(solver_steps(schedule, "ddpm", 200), prediction)
    generator = torch.Generator().manual_seed(1)
    samples = sampler(_exact(schedule, prediction), _noise(40_000, 2), generator=generator)
    # Standard errors are below .005; 200 steps bias the spread by less than .01.
    torch.testing.assert_close(samples.mean(0), MEAN, rtol=0, atol=0.02)
    torch.testing.assert_close(samples.T.cov(), COVARIANCE, rtol=0, atol=0.025)


def test_deterministic_solvers_converge_to_the_probability_flow_at_their_orders():
    schedule = linear_schedule(20_000)
    start = _noise(50, 2)
    wanted = _flow(schedule, start)
    error = {
        (solver, n): float(
            (Sampler(solver_steps(schedule, solver, n))(_exact(schedule), start) - wanted).abs().max()
        )
        for solver in ("ddim", "dpm_solver_pp")
        for n in (50, 100, 200)
    }
    # Halving the step halves the error of a first-order method and quarters that of a second-order one.
    assert error["ddim", 50] / error["ddim", 100] == pytest.approx(2.0, rel=0.15)
    assert error["ddim", 100] / error["ddim", 200] == pytest.approx(2.0, rel=0.15)
    # Twice; a little less for the steps of first order at the ends.
    assert error["dpm_solver_pp", 50] / error["dpm_solver_pp", 200] > 8.0
    assert error["dpm_solver_pp", 200] < error["ddim", 200] / 5.0
    assert error["dpm_solver_pp", 200] < 2e-3


def test_step_counts_that_do_not_divide_the_schedule_converge_too():
    """15 of 100: a wrong previous step would leave an error of a tenth (facts: .145)."""
    schedule = cosine_schedule(100)
    start = _noise(50, 2)
    predict = _exact(schedule)
    near = [Sampler(solver_steps(schedule, "ddim", n))(predict, start) for n in (14, 15, 16)]
    torch.testing.assert_close(near[1], (near[0] + near[2]) / 2, rtol=0, atol=0.01)


def test_what_is_known_is_seen_clean_at_every_step_and_kept():
    schedule = cosine_schedule(20)
    present = _noise(3, 1, 2, seed=4)
    inpainting = Inpainting.of_present(present, 5)
    seen = []

    def predict(x, steps):
        seen.append(x[:, :1].clone())
        return 0.5 * x

    for solver in ("ddpm", "dpm_solver_pp"):
        sampler = Sampler(solver_steps(schedule, solver, 4))
        out = sampler(predict, _noise(3, 5, 2), inpainting, generator=torch.Generator().manual_seed(0))
        assert torch.equal(out[:, :1], present) and not torch.equal(out[:, 1:2], present)
    assert len(seen) == 8 and all(torch.equal(x, present) for x in seen)


def test_clip_bounds_the_data_and_temperature_the_noise():
    schedule = cosine_schedule(50)
    start = _noise(2000, 2)
    clipped = Sampler(solver_steps(schedule, "ddim", 10), clip=0.3)(_exact(schedule), start)
    assert float(clipped.abs().max()) <= 0.3 + 1e-12
    table = solver_steps(schedule, "ddpm", 50)
    spread = [
        Sampler(table, temperature=t)(
            _exact(schedule), t * start, generator=torch.Generator().manual_seed(0)
        ).var(0)
        for t in (0.5, 1.0)
    ]
    # An affine sampler: half the noise everywhere is a quarter of the variance.
    torch.testing.assert_close(spread[0], spread[1] / 4)


def test_a_shifted_plan_noised_again():
    plan = torch.arange(6.0, dtype=torch.float64).view(1, 3, 2)
    moved = shifted(plan)
    assert moved.tolist() == [[[2, 3], [4, 5], [4, 5]]]
    schedule = cosine_schedule(10)
    noised = add_noise(moved, torch.ones_like(moved), schedule, torch.tensor([4]))
    torch.testing.assert_close(noised, schedule.alpha(4) * moved + schedule.sigma(4))


def test_bad_solvers_are_named():
    with pytest.raises(SafeMARLError, match="Did you mean 'ddim'"):
        solver_steps(cosine_schedule(10), "dim", 2)
    with pytest.raises(SafeMARLError, match="eta must be between 0 and 1"):
        solver_steps(cosine_schedule(10), "ddim", 2, eta=2.0)
