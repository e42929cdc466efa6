"""Safety metrics of hand-made episodes."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.safety_metrics import (
    count_violations,
    danger_of_cost,
    danger_of_margin,
    depth_of_cost,
    depth_of_margin,
    episode_safety,
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
    assert not safety.clean


def test_steps_lost_after_a_crash_count_as_dangerous():
    calm = np.zeros((4, 2), bool)
    safety = episode_safety(calm, np.zeros((4, 2)), np.ones((4, 2), bool), lost_steps=6)
    assert safety.safe_share == pytest.approx(8 / 20)
    assert safety.strict_safe_share == pytest.approx(4 / 10)
    assert not safety.clean and safety.severity == 0.0


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
