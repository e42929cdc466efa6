"""Multipliers and the units of costs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.multipliers import (
    EpisodeCostEstimator,
    PIDGains,
    PIDState,
    dual_ascent,
    pid_control,
)


def test_dual_ascent_by_hand_for_two_agents_and_two_costs():
    multiplier = np.array([[0.0, 1.0], [0.5, 0.05]])
    cost = np.array([[3.0, 1.0], [0.0, 1.0]])
    got = dual_ascent(multiplier, cost, np.array([1.0, 2.0]), step_size=0.1)
    # λ + 0.1 (Ĵ - c): 0.2, 0.9; 0.4, and 0.05 - 0.1 < 0 becomes 0.
    assert got == pytest.approx(np.array([[0.2, 0.9], [0.4, 0.0]]))


def test_a_watched_cost_never_gets_a_multiplier():
    got = dual_ascent(np.zeros((1, 2)), np.array([[9.0, 9.0]]), np.array([np.inf, 1.0]), 0.5)
    assert got.tolist() == [[0.0, 4.0]]


def _controlled(costs, gains, limit=1.0, start=0.0):
    """λ and integral after each of the costs of one agent."""
    state, seen = PIDState.start(np.array([[start]])), []
    for cost in costs:
        multiplier, state = pid_control(state, np.array([[cost]]), np.array([limit]), gains)
        seen.append((float(multiplier[0, 0]), float(state.integral[0, 0])))
    return seen


def test_pid_by_hand():
    # e = 2, 3, -1, -3; rises of the cost 0 (nothing before), 1, 0 (it falls), 0.
    seen = _controlled([3.0, 4.0, 0.0, -2.0], PIDGains(proportional=0.5, integral=0.1, derivative=0.2))
    # K_P e + K_I ∫e + K_D rise: 1 + .2; 1.5 + .5 + .2; -.5 + .4 and -1.5 + .1 are below 0.
    assert [m for m, _ in seen] == pytest.approx([1.2, 2.2, 0.0, 0.0])
    assert [i for _, i in seen] == pytest.approx([0.2, 0.5, 0.4, 0.1])


def test_pid_smooths_the_cost_whose_rise_counts():
    seen = _controlled([1.0, 3.0, 3.0], PIDGains(0.0, 0.0, 1.0, smoothing=0.75))
    # J̃ = 1, 1.5, 1.875.
    assert [m for m, _ in seen] == pytest.approx([0.0, 0.5, 0.375])


def test_pid_without_p_and_d_is_dual_ascent():
    costs = np.random.default_rng(0).uniform(0.0, 2.0, (30, 3, 2))
    limits, state, multiplier = np.array([1.0, np.inf]), PIDState.start(np.full((3, 2), [0.3, 0.0])), None
    expected = state.integral
    for cost in costs:
        multiplier, state = pid_control(state, cost, limits, PIDGains(0.0, 0.2, 0.0))
        expected = dual_ascent(expected, cost, limits, 0.2)
        assert multiplier == pytest.approx(expected)
    assert (expected[:, 0] > 0).any() and (expected[:, 1] == 0).all()


def test_pid_falls_with_the_cost_while_its_integral_rises_above_the_limit_and_returns_to_zero_below():
    gains = PIDGains(0.5, 0.1, 0.5)
    above = _controlled([5.0, 4.0, 3.0, 2.0], gains)
    multipliers, integrals = zip(*above, strict=True)
    assert list(multipliers) == sorted(multipliers, reverse=True)
    assert list(integrals) == sorted(integrals) and len(set(integrals)) == 4
    slack = _controlled([5.0, 4.0] + [0.0] * 20, gains)
    assert slack[-1] == (0.0, 0.0) and min(i for _, i in slack) == 0.0
    # Past slack does not have to be made up for.
    assert _controlled([0.0] * 50 + [2.0], gains)[-1][1] == pytest.approx(0.1)


def test_pid_leaves_watched_costs_alone():
    gains, limits = PIDGains(1.0, 1.0, 1.0), np.array([np.inf, 1.0])
    _, state = pid_control(PIDState.start(np.zeros((1, 2))), np.array([[2.0, 2.0]]), limits, gains)
    multiplier, _ = pid_control(state, np.array([[9.0, 2.0]]), limits, gains)
    assert multiplier.tolist() == [[0.0, 3.0]]


def test_estimate_before_any_episode_ended_is_cost_per_step_times_the_time_limit():
    estimate = EpisodeCostEstimator(1000).update(np.array([[6.0]]), steps=400, ended_steps=0, ended=0)
    assert estimate.cost.tolist() == [[15.0]] and not estimate.from_episodes


def test_estimate_of_whole_episodes_is_their_mean_cost():
    # Two episodes of 50 steps with costs 3 and 5.
    estimate = EpisodeCostEstimator(1000).update(np.array([[8.0]]), steps=100, ended_steps=100, ended=2)
    assert estimate.cost.tolist() == [[4.0]]
    assert estimate.length == 50 and estimate.from_episodes


def test_blocks_that_cut_episodes_in_two_do_not_miscount():
    """Episodes of 1000 steps, a cost of 0.02 a step: 20 per episode in every block of 500."""
    estimator = EpisodeCostEstimator(None)
    copies, seen = 8, []
    for block in range(6):
        ended = copies if block % 2 else 0
        estimate = estimator.update(
            np.array([[0.02 * 500 * copies]]), 500 * copies, ended_steps=1000 * ended, ended=ended
        )
        seen.append(float(estimate.cost[0, 0]))
    # Sum over ends would read 0 ends, then 10 per episode.
    assert seen[1:] == pytest.approx([20.0] * 5)


def test_mean_length_is_of_the_episodes_that_ended_last():
    estimator = EpisodeCostEstimator(100, memory=10)
    estimator.update(np.zeros((1, 1)), 100, ended_steps=100, ended=10)
    estimate = estimator.update(np.array([[10.0]]), 100, ended_steps=400, ended=10)
    # The first ten episodes (of 10 steps) are forgotten: 10 / 100 per step times 40 steps.
    assert estimate.length == 40 and estimate.cost.tolist() == [[4.0]]


def test_estimator_goes_on_from_its_state():
    one, other = EpisodeCostEstimator(100), EpisodeCostEstimator(100)
    one.update(np.ones((1, 1)), 10, 30, 1)
    other.set_state(one.get_state())
    assert one.update(np.ones((1, 1)), 10, 0, 0) == other.update(np.ones((1, 1)), 10, 0, 0)
