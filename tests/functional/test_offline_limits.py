"""Limits in both conventions and as costs fall in the data, against sums written out."""

import numpy as np
import pytest

from rllib_safemarl.functional.offline_limits import (
    discounted_length,
    even_unit_value,
    measured_unit_values,
)


def test_both_conventions_against_sums_written_out():
    # 3 steps, γ = 0.5: an episode that costs 6 costs 2 a step.
    assert 6.0 * even_unit_value(3, 0.5, bootstrapped=False) == pytest.approx(2 + 2 * 0.5 + 2 * 0.25)
    # Time limits that bootstrap: 2 + 1 + 0.5 + … for ever.
    assert 6.0 * even_unit_value(3, 0.5, bootstrapped=True) == pytest.approx(4.0)
    # The printed forms limit (1 - γ^T) / (T (1 - γ)) and limit / (T (1 - γ)).
    assert 25.0 * even_unit_value(1000, 0.99, False) == pytest.approx(25 * (1 - 0.99**1000) / 10)
    assert 25.0 * even_unit_value(1000, 0.99, True) == pytest.approx(2.5)


def test_without_discount_the_sum_is_the_length():
    assert discounted_length(7, 1.0, bootstrapped=False) == 7
    assert even_unit_value(7, 1.0, False) == 1.0


def test_measured_by_hand():
    # Episodes of 3 and 2 steps, one agent; the first cost falls in the second step and in the last.
    costs = np.zeros((5, 1, 2))
    costs[[1, 4], 0, 0] = [4.0, 2.0]
    values = measured_unit_values(costs, np.array([0, 3, 5]), 0.5, otherwise=7.0)
    # Seen from the steps: 2, 4, 0 and 1, 2, in the mean 9/5; an episode costs 3.
    assert values.tolist() == pytest.approx([9.0 / 5.0 / 3.0, 7.0])


def test_measured_of_even_costs_is_even_but_for_what_follows_the_end():
    steps, gamma = 2000, 0.9
    costs, offsets = np.full((2 * steps, 3, 1), 0.3), np.array([0, steps, 2 * steps])
    values = measured_unit_values(costs, offsets, gamma, 0.0)
    assert values[0] == pytest.approx(even_unit_value(steps, gamma, True), rel=0.01)
