"""The dual of CUP's projection where it can be solved by hand, and its optimality conditions."""

import math

import pytest
import torch

from rllib_safemarl.functional.cost_projection import (
    projected_cost,
    projection_multipliers,
    projection_weights,
)


def test_two_samples_are_weighed_as_the_limit_allows():
    # Sample 0 earns 1 and costs 2, sample 1 neither; η = 1. At ν weights are in the ratio exp(1 - 2 ν) : 1,
    # and E[A_c] = 2 w_0 ≤ 1/2 needs w_0 = 1/4, so exp(1 - 2 ν) = 1/3 and ν = (1 + log 3) / 2.
    advantage, cost = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.0]])
    found = projection_multipliers(advantage, cost, torch.tensor([0.5]), 1.0, 100.0)
    assert float(found) == pytest.approx((1.0 + math.log(3.0)) / 2.0, abs=1e-5)
    weights = projection_weights(advantage - found * cost[0], 1.0, 100.0)
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5]))


def test_where_the_limit_is_kept_anyway_costs_weigh_nothing():
    # Unconstrained, w_0 = e / (1 + e) = .731 and E[A_c] = 1.462.
    advantage, cost = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.0]])
    assert float(projection_multipliers(advantage, cost, torch.tensor([1.47]), 1.0, 100.0)) == 0.0
    assert float(projection_multipliers(advantage, cost, torch.tensor([1.45]), 1.0, 100.0)) > 0.0


def test_where_no_weights_keep_to_the_limit_the_multiplier_is_the_largest():
    advantage, cost = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 1.0]])
    found = projection_multipliers(advantage, cost, torch.tensor([0.5]), 1.0, 50.0)
    assert float(found) == pytest.approx(50.0, rel=1e-3)


def test_several_constraints_and_agents_satisfy_the_optimality_conditions():
    g = torch.Generator().manual_seed(1)
    advantage = torch.randn(3, 200, generator=g, dtype=torch.float64)
    costs = torch.randn(2, 3, 200, generator=g, dtype=torch.float64)
    slack = torch.tensor([[-0.1, 0.5, 0.0], [0.05, 2.0, -0.3]], dtype=torch.float64)
    temperature = 0.7
    found = projection_multipliers(advantage, costs, slack, temperature, 1e3)
    room = slack - projected_cost(advantage, costs, found, temperature)
    assert (found >= 0.0).all() and (room > -1e-4).all()
    assert (found * room).abs().max() < 1e-3, "a multiplier above 0 means equality"
    assert ((found > 0.0).sum(0) > 0).tolist() == [True, False, True]


def test_weights_are_relative_to_their_mean_and_bounded():
    weights = projection_weights(torch.tensor([0.0, math.log(3.0)]), 1.0, 1.2)
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.2]))


def test_each_constraint_has_its_own_largest_multiplier():
    # Both samples cost more than either limit allows, by the one as by the other.
    advantage, costs = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 1.0], [3.0, 2.0]])
    found = projection_multipliers(advantage, costs, torch.tensor([0.5, 0.5]), 1.0, torch.tensor([2.0, 5.0]))
    torch.testing.assert_close(found, torch.tensor([2.0, 5.0]))
