"""Noise schedules against their formulas and against diffusers, conversions against the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_schedules import (
    PREDICTIONS,
    NoiseSchedule,
    cosine_schedule,
    linear_schedule,
    noise_schedule,
    prediction_target,
    to_epsilon,
    to_v,
    to_x0,
)
from rllib_safemarl.functional.diffusion_training import (
    denoising_loss,
    drop_conditions,
    inverse_dynamics_loss,
    training_pair,
)


@pytest.mark.parametrize("num_steps", [8, 64, 100, 200])
def test_cosine_is_its_formula_up_to_the_cap(num_steps):
    alpha_bars = cosine_schedule(num_steps).alpha_bars
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    for k in range(num_steps):
        expected = math.cos((k / num_steps + 0.008) / 1.008 * math.pi / 2) ** 2 / start
        assert alpha_bars[k] == pytest.approx(expected, rel=1e-9)
    # The formula gives 0 at K; the cap leaves a thousandth of the step before.
    assert alpha_bars[-1] == pytest.approx(alpha_bars[-2] * 0.001)


def test_linear_by_hand():
    alpha_bars = linear_schedule(3, 0.1, 0.3, rescale=False).alpha_bars
    assert alpha_bars == pytest.approx(np.array([1.0, 0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7]))


@pytest.mark.parametrize("num_steps", [50, 100, 200, 1000])
def test_linear_ends_in_noise_whatever_the_number_of_steps(num_steps):
    assert linear_schedule(num_steps).alpha_bars[-1] < 1e-3
    if num_steps == 100:
        assert linear_schedule(100, rescale=False).alpha_bars[-1] > 0.3


@pytest.mark.parametrize("num_steps", [20, 100])
def test_schedules_equal_those_of_diffusers(num_steps):
    diffusers = pytest.importorskip("diffusers")
    cosine = diffusers.DDPMScheduler(num_steps, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    np.testing.assert_allclose(cosine_schedule(num_steps).alpha_bars[1:], cosine, rtol=2e-5, atol=1e-6)
    linear = diffusers.DDPMScheduler(num_steps, beta_schedule="linear").alphas_cumprod
    ours = linear_schedule(num_steps, rescale=False).alpha_bars[1:]
    np.testing.assert_allclose(ours, linear, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("step", [1, 7, 20])
def test_every_prediction_gives_back_data_noise_and_velocity(prediction, step):
    schedule = linear_schedule(20)
    generator = torch.Generator().manual_seed(step)
    x0, noise = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64).unbind()
    alpha, sigma = schedule.alpha(step), schedule.sigma(step)
    assert alpha**2 + sigma**2 == pytest.approx(1.0)
    x = alpha * x0 + sigma * noise
    output = prediction_target(x0, noise, alpha, sigma, prediction)
    args = (output, x, alpha, sigma, prediction)
    torch.testing.assert_close(to_x0(*args), x0)
    torch.testing.assert_close(to_epsilon(*args), noise)
    torch.testing.assert_close(to_v(*args), alpha * noise - sigma * x0)


def test_velocity_is_the_derivative_along_the_angle():
    """With α = cos φ, σ = sin φ, v is dx/dφ (Salimans & Ho 2022)."""
    x0, noise, angle, tiny = torch.tensor(0.7), torch.tensor(-1.3), 0.4, 1e-3
    at = [math.cos(a) * x0 + math.sin(a) * noise for a in (angle - tiny, angle + tiny)]
    v = prediction_target(x0, noise, math.cos(angle), math.sin(angle), "v")
    assert float(v) == pytest.approx(float((at[1] - at[0]) / (2 * tiny)), rel=1e-3)


def test_training_pair_noises_each_window_by_its_own_step_and_leaves_the_known_alone():
    schedule = cosine_schedule(10)
    data, noise = torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)).unbind()
    steps = torch.tensor([1, 10, 5])
    present = Inpainting.of_present(data[:, :1], 4)
    x, target = training_pair(data, noise, steps, schedule, "epsilon", present)
    for i, k in enumerate(steps.tolist()):
        a = float(schedule.alpha_bars[k])
        torch.testing.assert_close(x[i, 1:], math.sqrt(a) * data[i, 1:] + math.sqrt(1 - a) * noise[i, 1:])
    torch.testing.assert_close(x[:, 0], data[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(target, noise, rtol=0, atol=0)


def test_loss_counts_only_what_counts():
    output = torch.zeros(1, 3, 2, requires_grad=True)
    target = torch.tensor([[[1.0, 2.0], [3.0, float("nan")], [9.0, 9.0]]])
    counted = torch.tensor([[[True, True], [True, False], [False, False]]])
    loss = denoising_loss(output, target, counted)
    assert float(loss.detach()) == pytest.approx((1 + 4 + 9) / 3)
    loss.backward()
    assert torch.isfinite(output.grad).all() and output.grad[0, 2].abs().sum() == 0
    assert float(denoising_loss(output, target, torch.zeros(1, 3, 1, dtype=torch.bool)).detach()) == 0.0


def test_inverse_dynamics_loss_is_a_squared_norm():
    prediction = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    loss = inverse_dynamics_loss(prediction, torch.tensor([3.0, 4.0]), torch.tensor([True, True, False]))
    assert float(loss) == pytest.approx((25 + 4 + 9) / 2)


def test_conditions_are_dropped_together_and_alone():
    generator = torch.Generator().manual_seed(0)
    dropped = drop_conditions((200_000, 2), 0.2, 0.05, generator)
    both = dropped.all(1).float().mean()
    one = (dropped.sum(1) == 1).float().mean()
    # P[both] = .2 + .8 · .05², P[exactly one] = .8 · 2 · .05 · .95; standard errors below .001.
    assert float(both) == pytest.approx(0.2 + 0.8 * 0.0025, abs=0.004)
    assert float(one) == pytest.approx(0.8 * 0.095, abs=0.004)


def test_bad_settings_are_named():
    with pytest.raises(SafeMARLError, match="Did you mean 'cosine'"):
        noise_schedule("cosin", 10)
    with pytest.raises(SafeMARLError, match="at least 1 step"):
        noise_schedule("linear", 0)
    with pytest.raises(SafeMARLError, match="Did you mean 'epsilon'"):
        to_x0(torch.zeros(1), torch.zeros(1), 1.0, 0.0, "epsilo")
    with pytest.raises(SafeMARLError, match="fall from 1"):
        NoiseSchedule(np.array([1.0, 0.5, 0.6]))
