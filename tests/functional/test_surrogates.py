"""The constrained surrogate and the sequential factor in its three scopes, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from rllib_safemarl.functional.surrogates import (
    clipped_surrogate,
    constrained_advantage,
    moving_sequential_factor,
    sequential_factor,
)

LOG_RATIOS = torch.tensor([[math.log(2.0), math.log(0.5), 0.0, math.log(1.5)]])


def test_constrained_advantage_keeps_the_units_of_cost():
    reward = torch.tensor([[1.0, 2.0]])
    cost = torch.tensor([[[1.0, 3.0], [2.0, 0.5]]])
    multiplier = torch.tensor([[0.5, 0.1], [2.0, 4.0]])
    assert constrained_advantage(reward, cost, multiplier).tolist() == [[pytest.approx(0.2), -4.0]]


def test_clipped_surrogate_in_its_four_cases():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    # Gains stop at the clip, losses do not.
    assert clipped_surrogate(ratio, advantage, 0.2).tolist() == pytest.approx([1.2, -1.5, 0.5, -0.8])


def test_clipped_surrogate_has_the_gradient_of_its_minimum():
    torch.manual_seed(0)
    ratio, advantage = (torch.rand(500) + 0.5).requires_grad_(), torch.randn(500)
    (ours,) = torch.autograd.grad(clipped_surrogate(ratio, advantage, 0.2).sum(), ratio)
    plain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    (expected,) = torch.autograd.grad(plain.sum(), ratio)
    torch.testing.assert_close(ours, expected)
    assert 0 < int((ours == 0).sum()) < 500


def test_the_factor_may_be_folded_into_the_advantage():
    ratio, advantage, factor = torch.rand(100) + 0.5, torch.randn(100), torch.rand(100) + 0.1
    folded = clipped_surrogate(ratio, factor * advantage, 0.2)
    torch.testing.assert_close(folded, factor * clipped_surrogate(ratio, advantage, 0.2))


def test_factor_over_all_agents():
    scope = torch.ones(4, 4) - torch.eye(4)
    got = sequential_factor(LOG_RATIOS, scope, clip=math.inf)
    # Each agent takes the product of the others' ratios 2, 0.5, 1, 1.5.
    assert got[0].tolist() == pytest.approx([0.75, 3.0, 1.5, 1.0])


def test_factor_over_a_neighbourhood():
    chain = torch.tensor([[0.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])
    got = sequential_factor(LOG_RATIOS, chain, clip=math.inf)
    assert got[0].tolist() == pytest.approx([0.5, 2.0, 0.75, 1.0])


def test_factor_without_scope_is_one():
    assert sequential_factor(LOG_RATIOS, torch.zeros(4, 4), math.inf).tolist() == [[1.0] * 4]


def test_factor_is_clamped_on_either_side():
    scope = torch.ones(4, 4) - torch.eye(4)
    got = sequential_factor(4.0 * LOG_RATIOS, scope, clip=2.0)
    assert got[0].tolist() == pytest.approx([0.5, 2.0, 2.0, 1.0])


def test_moving_scope_agrees_with_a_fixed_one_and_skips_empty_slots():
    log_ratios = torch.randn(6, 4)
    index = torch.tensor([[[1, -1], [0, 2], [1, 3], [2, -1]]], dtype=torch.int32).expand(6, 4, 2)
    chain = torch.tensor([[0.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])
    torch.testing.assert_close(
        moving_sequential_factor(log_ratios, index, 3.0), sequential_factor(log_ratios, chain, 3.0)
    )
