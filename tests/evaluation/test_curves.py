"""Readings of results."""

import json
import math

import pytest

from rllib_safemarl.evaluation.curves import read_curve, read_result, tightest_cost

RESULT = {
    "training_iteration": 2,
    "time_total_s": 4.0,
    "env_runners": {
        "num_env_steps_sampled_lifetime": 640.0,
        "episode_team_return_mean": 1.5,
        "episode_return_mean": 6.0,
        "episode_cost_mean": 0.5,
        "episode_cost_max_agent": 0.75,
        "episode_within_limit_share": 0.9,
        "cost_limit": 1.0,
        "goal_reached_mean": 0.5,
    },
    "learners": {"__all_modules__": {"multiplier_mean": 0.1}},
    "config": {"cost_limit": 7.0},
}


def test_a_result_is_read():
    reading = read_result(RESULT)
    assert (reading.iteration, reading.steps, reading.seconds) == (2, 640.0, 4.0)
    assert (reading.team_return, reading.cost, reading.limit) == (1.5, 0.5, 1.0)
    assert (reading.worst_cost, reading.multiplier, reading.constraint) == (0.75, 0.1, "")
    assert reading.holds is True and reading.within_limit == 0.9
    assert reading.metrics == {"goal_reached": 0.5}, "the environment's own"


def test_a_stock_result_gives_the_mean_over_its_agents():
    runner = {"episode_return_mean": 6.0, "agent_episode_returns_mean": {"a": 2.0, "b": 4.0}}
    reading = read_result({"training_iteration": 1, "env_runners": runner})
    assert reading.team_return == 3.0
    assert math.isnan(reading.cost) and math.isnan(reading.limit)
    assert reading.holds is None


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"near": 1.0, "speed": 10.0}, (2.0, 1.0, "near")),
        ({"near": 8.0, "speed": 10.0}, (9.0, 10.0, "speed")),
        ({"near": math.inf, "speed": 10.0}, (9.0, 10.0, "speed")),
        (4.0, (9.0, 4.0, "speed")),
        ({"near": 0.0, "speed": 10.0}, (2.0, 0.0, "near")),
    ],
)
def test_of_several_constraints_the_tightest_is_read(limit, expected):
    result = {"env_runners": {"episode_costs_mean": {"near": 2.0, "speed": 9.0}, "episode_cost_mean": 11.0}}
    assert tightest_cost(result, limit) == expected


def test_a_curve_survives_a_crash_and_a_resume(tmp_path):
    rows = [
        {**RESULT, "training_iteration": i, "time_total_s": s} for i, s in ((1, 1), (2, 2), (3, 3), (2, 9))
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "result.json").write_text("\n".join([*lines[:3], lines[0][:40], lines[3]]))
    curve = read_curve(tmp_path)
    assert list(curve["iteration"]) == [1, 2, 3]
    assert list(curve["seconds"]) == [1, 9, 3]


def test_a_trial_without_results_has_an_empty_curve(tmp_path):
    assert len(read_curve(tmp_path)) == 0
