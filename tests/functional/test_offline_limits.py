"""Limits in both conventions, against sums written out."""

import numpy as np
import pytest

from rllib_safemarl.functional.offline_limits import discounted_length, discounted_limit, episode_cost


def test_both_conventions_against_sums_written_out():
    # 3 steps, γ = 0.5: an episode that costs 6 costs 2 a step.
    assert discounted_limit(6.0, 3, 0.5, bootstrapped=False) == pytest.approx(2 + 2 * 0.5 + 2 * 0.25)
    # Time limits that bootstrap: 2 + 1 + 0.5 + … for ever.
    assert discounted_limit(6.0, 3, 0.5, bootstrapped=True) == pytest.approx(4.0)
    # The printed forms limit (1 - γ^T) / (T (1 - γ)) and limit / (T (1 - γ)).
    assert discounted_limit(25.0, 1000, 0.99, False) == pytest.approx(25 * (1 - 0.99**1000) / 10)
    assert discounted_limit(25.0, 1000, 0.99, True) == pytest.approx(2.5)


@pytest.mark.parametrize("bootstrapped", [True, False])
def test_episode_costs_are_found_again(bootstrapped):
    limits = np.array([1.0, 25.0])
    values = discounted_limit(limits, 50, 0.97, bootstrapped)
    np.testing.assert_allclose(episode_cost(values, 50, 0.97, bootstrapped), limits)


def test_without_discount_the_sum_is_the_length():
    assert discounted_length(7, 1.0, bootstrapped=False) == 7
    assert discounted_limit(3.0, 7, 1.0, False) == 3.0
