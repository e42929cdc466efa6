"""CQL's term against numbers worked out by hand and an integral in closed form."""

import math

import pytest
import torch

from rllib_safemarl.functional.conservative_q import (
    conservative_gap,
    nearby_actions,
    uniform_actions,
    uniform_density,
)


def test_of_choices_it_is_the_log_sum_exp_less_the_value_of_the_datas():
    # Q of three choices in two states; the data took the second choice, then the first.
    values = torch.tensor([[math.log(1.0), 0.0], [math.log(2.0), 0.0], [math.log(5.0), 0.0]])
    density = torch.full((3, 2), 1.0 / 3.0).log()
    gap = conservative_gap(values, density, torch.tensor([math.log(2.0), 0.0]))
    # log(1 + 2 + 5) - log 2 = log 4, and log 3 - 0.
    torch.testing.assert_close(gap, torch.tensor([math.log(4.0), math.log(3.0)]))


def test_samples_count_by_how_rarely_they_are_drawn():
    # Two samples with densities 1/2 and 1/8: (e^0 · 2 + e^0 · 8) / 2 = 5.
    gap = conservative_gap(
        torch.zeros(2, 1), torch.tensor([[1.0 / 2.0], [1.0 / 8.0]]).log(), torch.tensor([1.0])
    )
    assert float(gap) == pytest.approx(math.log(5.0) - 1.0)


def test_sampled_actions_estimate_the_integral_over_the_whole_box():
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 3.0])
    uniform = torch.rand(40_000, 1, 2, generator=torch.Generator().manual_seed(0))
    actions, density = uniform_actions(low, high, uniform)
    # ∫∫ exp(a_1) da over [-1, 1] x [0, 3] is 3 (e - 1/e).
    estimate = conservative_gap(actions[..., 0], density, torch.zeros(1))
    assert float(estimate) == pytest.approx(math.log(3.0 * (math.e - 1.0 / math.e)), abs=0.01)


def test_with_the_datas_action_among_the_samples_no_peak_at_it_pays_without_end():
    # A box of 2 x 3 and two more samples, all worth 0: the estimate of the integral is at least 6 exp(Q) / 3.
    density = uniform_density(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 3.0]))
    assert float(density) == pytest.approx(-math.log(6.0))
    for peak, gap in ((0.0, math.log(6.0)), (50.0, math.log(2.0)), (500.0, math.log(2.0))):
        values = torch.tensor([[0.0], [0.0], [peak]])
        found = conservative_gap(values, density.expand(3, 1), torch.tensor([peak]))
        assert float(found) == pytest.approx(gap, abs=1e-4)


def test_actions_near_the_policys_stay_within_bounds_and_know_their_density():
    low, high = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])
    centre = torch.tensor([[0.0, 0.9], [2.0, -1.0]])
    uniform = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [1.0, 1.0]]])
    actions, density = nearby_actions(centre, 0.25, low, high, uniform)
    # Boxes [-.25, .25] x [.65, 1] and, about the nearest allowed (1, -1), [.75, 1] x [-1, -.75].
    torch.testing.assert_close(actions[0], torch.tensor([[-0.25, 0.65], [0.75, -1.0]]))
    torch.testing.assert_close(actions[1], torch.tensor([[0.0, 0.825], [1.0, -0.75]]))
    expected = torch.tensor([-math.log(0.5 * 0.35), -math.log(0.25 * 0.25)])
    torch.testing.assert_close(density, expected.expand(2, 2))
