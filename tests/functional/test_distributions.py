"""Distributions against torch's own, and their samples against their densities."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from rllib_safemarl.functional.distributions import Categorical, DiagonalGaussian, MultiCategorical


def _gaussian(inputs):
    mean, log_std = inputs.chunk(2, -1)
    return Independent(Normal(mean, log_std.exp()), 1)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(5, 6), torch.randn(5, 6)


def test_gaussian_agrees_with_torch(inputs):
    old, new = inputs
    ours, actions = DiagonalGaussian(), torch.randn(5, 3)
    torch.testing.assert_close(ours.log_prob(old, actions), _gaussian(old).log_prob(actions))
    torch.testing.assert_close(ours.entropy(old), _gaussian(old).entropy())
    torch.testing.assert_close(ours.kl(old, new), kl_divergence(_gaussian(old), _gaussian(new)))
    assert torch.equal(ours.mode(old), old[:, :3])


def test_gaussian_log_prob_has_the_gradient_of_torchs(inputs):
    old, weight = inputs[0].requires_grad_(), torch.randn(5)
    actions = torch.randn(5, 3)
    (ours,) = torch.autograd.grad((weight * DiagonalGaussian().log_prob(old, actions)).sum(), old)
    (expected,) = torch.autograd.grad((weight * _gaussian(old).log_prob(actions)).sum(), old)
    torch.testing.assert_close(ours, expected)


def test_categorical_agrees_with_torch(inputs):
    old, new = inputs
    ours, actions = Categorical(), torch.randint(6, (5,))
    torch.testing.assert_close(ours.log_prob(old, actions), TorchCategorical(logits=old).log_prob(actions))
    torch.testing.assert_close(ours.entropy(old), TorchCategorical(logits=old).entropy())
    expected = kl_divergence(TorchCategorical(logits=old), TorchCategorical(logits=new))
    torch.testing.assert_close(ours.kl(old, new), expected)
    assert torch.equal(ours.mode(old), old.argmax(-1))


def test_multi_categorical_sums_over_its_parts(inputs):
    old, new = inputs
    ours = MultiCategorical((2, 4))
    actions = torch.stack([torch.randint(2, (5,)), torch.randint(4, (5,))], -1)
    parts = [TorchCategorical(logits=old[:, :2]), TorchCategorical(logits=old[:, 2:])]
    expected = sum(part.log_prob(a) for part, a in zip(parts, actions.unbind(-1), strict=True))
    torch.testing.assert_close(ours.log_prob(old, actions), expected)
    torch.testing.assert_close(ours.entropy(old), sum(part.entropy() for part in parts))
    news = [TorchCategorical(logits=new[:, :2]), TorchCategorical(logits=new[:, 2:])]
    expected = sum(kl_divergence(p, q) for p, q in zip(parts, news, strict=True))
    torch.testing.assert_close(ours.kl(old, new), expected)


def test_samples_follow_the_distribution():
    generator = torch.Generator().manual_seed(0)
    logits = torch.log(torch.tensor([0.1, 0.2, 0.7])).expand(40_000, 3)
    counts = Categorical().sample(logits, generator).bincount(minlength=3) / 40_000
    assert counts.tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.01)
    inputs = torch.tensor([1.0, -2.0, 0.0, -1.0]).expand(40_000, 4)
    drawn = DiagonalGaussian().sample(inputs, generator)
    assert drawn.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=0.02)
    assert drawn.std(0).tolist() == pytest.approx([1.0, 0.3679], abs=0.02)


@pytest.mark.parametrize("distribution", [DiagonalGaussian(), Categorical(), MultiCategorical((3, 3))])
def test_samples_depend_on_the_generator_alone(distribution):
    inputs = torch.randn(7, 6)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed + len(draws))
        draws.append(distribution.sample(inputs, torch.Generator().manual_seed(seed)))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
