"""Theorem 3.7's terms, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.tightening import NuEstimator, radius_left, theorem_nu, tightened_limits


def test_the_theorems_nu():
    # 2 · 0.9 · 0.5 / 0.1² = 90, and 180 for twice the advantage.
    assert theorem_nu(np.array([[0.5, 1.0]]), 0.9) == pytest.approx(np.array([[90.0, 180.0]]))


def test_limits_are_tightened_by_what_others_spent():
    limits = tightened_limits(
        np.array([1.0, 2.0]), np.array([[10.0, 20.0], [0.0, 5.0]]), np.array([0.01, 0.02])
    )
    assert limits == pytest.approx(np.array([[0.9, 1.8], [1.0, 1.9]]))


def _left(slack_of_successor: float, spent_before: float = 0.02, **settings) -> float:
    """Of a predecessor, which moved 0.01 and used 0.2 of its slack of 0.5, and a successor."""
    slack, change = np.array([[0.5], [slack_of_successor]]), np.array([[0.2], [0.0]])
    spent = np.array([spent_before - 0.01, spent_before])
    return radius_left(slack, change, np.array([[10.0], [8.0]]), spent, **settings)


def test_both_halves_of_the_radius():
    # The predecessor leaves (0.5 - 0.2) / 10 - 0.01 = 0.02; the successor 0.4 / 8 - 0.02 = 0.03 or
    # 0.3 / 8 - 0.02 = 0.0175.
    assert _left(0.4) == pytest.approx(0.02)
    assert _left(0.3) == pytest.approx(0.0175)
    assert _left(0.3, together=5) == pytest.approx(0.0035)
    # 0.1 / 8 is less than what was spent, and a broken constraint leaves nothing.
    assert _left(0.1) == 0.0 and _left(-0.1) == 0.0


def test_nothing_bounds_the_radius_where_nothing_is_known_to_cost():
    none = np.zeros((2, 1))
    assert radius_left(none - 1.0, none, none, np.zeros(2)) == np.inf
    empty = np.zeros((0, 1))
    assert radius_left(empty, empty, empty, np.zeros(0)) == np.inf
    # One of two constraints costs: 0.2 / 4.
    assert radius_left(np.array([[0.2, -5.0]]), none[:1], np.array([[4.0, 0.0]]), np.zeros(1)) == 0.05


def test_nu_is_the_upper_quantile_of_unforeseen_cost_per_nat_of_others():
    estimator = NuEstimator(quantile=0.75)
    assert estimator.value((2, 1)).tolist() == [[0.0], [0.0]]
    for seen, foreseen, spent in (
        ((0.30, 0.1), (0.1, 0.1), (0.02, 0.02)),  # |0.2| / 0.02 = 10, and 0
        ((-0.20, 0.4), (0.0, 0.0), (0.04, 0.02)),  # 5 and 20
        ((0.90, 0.3), (0.3, 0.0), (0.02, 0.02)),  # 30 and 15
    ):
        estimator.update(np.array(seen)[:, None], np.array(foreseen)[:, None], np.array(spent))
    # The first agent's weights by rising ratio: 0.04, 0.06, 0.08; three quarters of 0.08 are reached by 10.
    # The second's: 0.02, 0.04, 0.06; 0.045 is passed by 20.
    assert estimator.value((2, 1)) == pytest.approx(np.array([[10.0], [20.0]]))


def test_iterations_in_which_hardly_anything_moved_hardly_count():
    estimator = NuEstimator(quantile=0.9)
    for _ in range(5):
        estimator.update(np.array([[0.1]]), np.zeros((1, 1)), np.array([0.01]))
    estimator.update(np.array([[0.1]]), np.zeros((1, 1)), np.array([1e-5]))
    estimator.update(np.array([[0.1]]), np.zeros((1, 1)), np.zeros(1))
    assert estimator.value((1, 1)) == pytest.approx(10.0)


def test_an_agent_whose_others_never_move_learns_nothing():
    estimator = NuEstimator()
    estimator.update(np.array([[0.5], [0.5]]), np.zeros((2, 1)), np.array([0.0, 0.1]))
    assert estimator.value((2, 1)) == pytest.approx(np.array([[0.0], [5.0]]))


def test_memory_ends_and_a_state_goes_on():
    estimator, restored = NuEstimator(memory=2), NuEstimator(memory=2)
    for seen in (9.0, 1.0, 2.0):
        estimator.update(np.array([[seen]]), np.zeros((1, 1)), np.array([1.0]))
    assert estimator.value((1, 1)) == 2.0
    restored.set_state(estimator.get_state())
    for each in (estimator, restored):
        each.update(np.array([[0.5]]), np.zeros((1, 1)), np.array([3.0]))
    assert restored.value((1, 1)) == estimator.value((1, 1)) == 2.0
