"""Safety metrics of hand-made episodes."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.safety_metrics import (
    agent_costs,
    count_violations,
    danger_of_cost,
    danger_of_margin,
    depth_of_cost,
    depth_of_margin,
    episode_safety,
    generalisation_ratio,
    mean_severity,
    normalised_cost,
    normalised_return,
    team_returns,
    within_limits,
)

# Steps down, agents across: agent 0 starts in danger, agent 1 joins, both leave, agent 1 again.
DANGER = np.array([[1, 0], [0, 1], [0, 0], [0, 1], [0, 0]], bool)
EVERYONE = np.ones((5, 2), bool)


def test_violations_are_beginnings_of_danger_for_the_team():
    # Steps 0 and 1 are one stretch although the agent changes; step 3 begins another.
    assert count_violations(DANGER) == 2
    assert count_violations(np.zeros((3, 2), bool)) == 0
    assert count_violations(np.ones((3, 2), bool)) == 1
    assert count_violations(np.zeros((0, 2), bool)) == 0


def test_an_episode_by_hand():
    depth = np.array([[2.0, 9], [9, 4], [9, 9], [9, 6], [9, 9]])
    safety = episode_safety(DANGER, depth, EVERYONE)
    assert safety.safe_share == pytest.approx(7 / 10)
    assert safety.strict_safe_share == pytest.approx(2 / 5)
    assert safety.violations == 2
    assert safety.violations_per_1000 == pytest.approx(200.0)
    assert safety.severity == pytest.approx(4.0)
    assert safety.dangerous_steps == 3
    assert not safety.clean


def test_steps_lost_after_a_crash_count_as_dangerous():
    calm = np.zeros((4, 2), bool)
    safety = episode_safety(calm, np.zeros((4, 2)), np.ones((4, 2), bool), lost_steps=6)
    assert safety.safe_share == pytest.approx(8 / 20)
    assert safety.strict_safe_share == pytest.approx(4 / 10)
    assert not safety.clean and safety.severity == 0.0
    assert safety.dangerous_steps == 0, "of steps that never were nothing tells how deep"


def test_agents_that_did_not_act_count_nowhere():
    acted = EVERYONE.copy()
    acted[3:, 1] = False
    safety = episode_safety(DANGER, np.ones((5, 2)), acted)
    assert safety.safe_share == pytest.approx(6 / 8)
    assert safety.violations == 1


def test_a_clean_episode():
    safety = episode_safety(np.zeros((3, 1), bool), np.zeros((3, 1)), np.ones((3, 1), bool))
    assert safety.clean and safety.safe_share == 1.0 and safety.severity == 0.0


def test_danger_and_depth_by_hand():
    margin = np.array([0.1, 0.0, -0.2])
    assert danger_of_margin(margin).tolist() == [False, False, True]
    assert depth_of_margin(margin, 0.05)[2] == pytest.approx(4.0)
    cost = np.array([0.0, 2.0, 7.0])
    assert danger_of_cost(cost, 2.0).tolist() == [False, False, True]
    assert depth_of_cost(cost, 2.0)[2] == pytest.approx(2.5)
    assert depth_of_cost(cost)[2] == 7.0


def test_severity_is_over_dangerous_steps_whatever_episode_they_are_of():
    # One dangerous step of depth 4 and three of depth 2: (4 + 6) / 4, not (4 + 2) / 2.
    assert mean_severity(np.array([4.0, 0.0, 2.0]), np.array([1.0, 0.0, 3.0])) == pytest.approx(2.5)
    assert np.isnan(mean_severity(np.zeros(3), np.zeros(3)))


def test_returns_and_costs_of_two_episodes_by_hand():
    # Rewards [E, T, A] summed over steps: agent 0 gets 1 + 2 and 0, agent 1 gets 3 + 0 and 4.
    returns = np.array([[3.0, 3.0], [0.0, 4.0]])
    assert team_returns(returns).tolist() == [3.0, 2.0]
    costs = np.array([[[1.0, 0.0], [5.0, 2.0]], [[3.0, 0.0], [1.0, 0.0]]])
    assert agent_costs(costs).tolist() == [[2.0, 0.0], [3.0, 1.0]]
    assert agent_costs(costs[..., 0]).mean() == 2.5 and agent_costs(costs[..., 0]).max() == 3.0


def test_an_episode_keeps_to_limits_if_every_agent_keeps_to_every_one():
    costs = np.array([[[1.0, 9.0], [2.0, 0.0]], [[1.0, 0.0], [2.1, 0.0]]])
    assert within_limits(costs, np.array([2.0, np.inf])).tolist() == [True, False]
    assert within_limits(costs, np.array([2.1, 8.0])).tolist() == [False, True]
    assert within_limits(costs, np.array([2.0, np.inf]), tolerance=0.06).tolist() == [True, True]


def test_normalised_returns_costs_and_what_is_left_of_them_elsewhere():
    assert normalised_return(7.5, 5.0, 10.0) == 0.5
    assert np.isnan(normalised_return(1.0, 2.0, 2.0))
    assert normalised_cost(10.0, 20.0) == 0.5
    assert (normalised_cost(0.0, 0.0), normalised_cost(3.0, 0.0)) == (1.0, 4.0)
    # 0.9 of the way where it was trained, 0.6 elsewhere.
    assert generalisation_ratio(0.6, 0.9) == pytest.approx(2 / 3)
    assert np.isnan(generalisation_ratio(0.6, -0.1)) and np.isnan(generalisation_ratio(0.6, 0.0))
