"""Guidance against Gaussian data with a linear observation, where the guided distribution is known."""

from __future__ import annotations

import pytest
import torch

from rllib_safemarl.functional.diffusion_guidance import GradientGuide, classifier_free, guided
from rllib_safemarl.functional.diffusion_samplers import Sampler, solver_steps
from rllib_safemarl.functional.diffusion_schedules import cosine_schedule

NAN = float("nan")


class _Denoiser:
    """Puts out the sum of the conditions it sees, and remembers the size of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x, steps, condition, dropped, context):
        self.batches.append(len(x))
        seen = torch.where(dropped, 0.0, condition).sum(1)
        return x + seen[:, None] + (0.0 if context is None else context)


def test_weight_one_is_conditional_and_zero_unconditional_without_a_second_pass():
    x, steps = torch.randn(3, 2), torch.ones(3)
    condition = torch.tensor([[1.0, 2.0], [3.0, NAN], [NAN, NAN]])
    for weight, expected in ((1.0, [3.0, 3.0, 0.0]), (0.0, [0.0] * 3), (1.5, [4.5, 4.5, 0.0])):
        net = _Denoiser()
        got = guided(net, condition, weight)(x, steps)
        torch.testing.assert_close(got, x + torch.tensor(expected)[:, None])
        assert net.batches == [3 if weight in (0.0, 1.0) else 6]


def test_context_is_given_to_both_halves():
    net, context = _Denoiser(), torch.full((2, 1), 10.0)
    got = guided(net, torch.ones(2, 1), 2.0, context)(torch.zeros(2, 1), torch.ones(2))
    assert got.tolist() == [[12.0], [12.0]]


def test_guidance_extrapolates():
    assert classifier_free(torch.tensor(3.0), torch.tensor(1.0), 1.2).item() == pytest.approx(3.4)


def test_guidance_of_one_gaussian_of_two_is_exact():
    """Classifier-free guidance with ω adds ω times the difference of the scores of two equal Gaussians:
    N(m_y, 1) and N(m_∅, 1) give N(m_∅ + ω (m_y - m_∅), 1).
    """
    schedule, weight = cosine_schedule(400), 1.7

    def denoiser(x, steps, condition, dropped, context):
        alpha, sigma = schedule.alpha(int(steps[0])), schedule.sigma(int(steps[0]))
        mean = torch.where(dropped, torch.tensor(-1.0, dtype=x.dtype), condition)
        return mean + alpha / (alpha**2 + sigma**2) * (x - alpha * mean)

    start = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    predict = guided(denoiser, torch.full_like(start, 2.0), weight)
    out = Sampler(solver_steps(schedule, "dpm_solver_pp", 50))(predict, start)
    torch.testing.assert_close(out, start + (-1.0 + weight * 3.0), rtol=0, atol=0.02)


def _posterior(mean: float, variance: float, wanted: float, noise: float) -> tuple[float, float]:
    """Bayes' rule for x ~ N(mean, variance), wanted = x + N(0, noise)."""
    gain = variance / (variance + noise)
    return mean + gain * (wanted - mean), variance * (1 - gain)


@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_gradient_through_the_network_samples_from_the_posterior(variance):
    """The exact objective at step k is Gaussian in x̂_0 with the variance that x_0 still has given x_k;
    the guide's change of x̂_0 is then Tweedie's, and the sampler's result the posterior.
    """
    schedule, mean, wanted, noise = cosine_schedule(300), 0.5, 2.0, 0.5
    current: dict[str, float] = {}

    def predict(x, steps):
        alpha, sigma = schedule.alpha(int(steps[0])), schedule.sigma(int(steps[0]))
        total = alpha**2 * variance + sigma**2
        current["left"] = variance * sigma**2 / total
        return mean + alpha * variance / total * (x - alpha * mean)

    def objective(x0):
        return -((x0[:, 0] - wanted) ** 2) / (2 * (noise + current["left"]))

    start = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampler = Sampler(solver_steps(schedule, "dpm_solver_pp", 100))
    out = sampler(predict, start, guide=GradientGuide(objective, through_network=True))
    expected_mean, expected_variance = _posterior(mean, variance, wanted, noise)
    torch.testing.assert_close(out, expected_mean + start * expected_variance**0.5, rtol=0, atol=0.03)
    if variance == 1.0:
        # For unit variance ∂x̂_0/∂x_k is α indeed, and the cheap gradient is the same.
        cheap = sampler(predict, start, guide=GradientGuide(objective))
        torch.testing.assert_close(cheap, out, rtol=0, atol=1e-9)


def test_a_guide_needs_no_graph_and_bounds_each_sample_alone():
    schedule = cosine_schedule(10)
    target = torch.tensor([[0.001], [100.0]])
    guide = GradientGuide(lambda x: -((x - target) ** 2).sum(1), max_norm=0.5)
    step = solver_steps(schedule, "ddim", 2)[0]
    with torch.no_grad():
        out = guide(torch.zeros(2, 1), lambda x: x, step)
    assert out[0, 0].item() == pytest.approx(2 * 0.001 * step.sigma**2)
    assert out[1, 0].item() == pytest.approx(0.5) and not out.requires_grad
