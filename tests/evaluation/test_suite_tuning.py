"""Grids of settings in suites: their trials, their seeds, and which point is chosen."""

import math

import numpy as np
import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.comparison import EvaluationResult
from rllib_safemarl.evaluation.suite_trials import VALIDATION_SEED, trial_names
from rllib_safemarl.evaluation.suite_tuning import choose, point_results
from tests.evaluation.test_comparison import record
from tests.evaluation.test_suites import suite

GRID = {"lr": [0.1, 0.01], "env_config.n_agents": [2, 4]}
ROWS = {"ours": {"tune": GRID}, "other": {}}
PLACE = "safemarl/crossing"


def test_every_point_is_trained_under_the_first_seeds_and_evaluated_on_reserved_ones():
    read = suite(rows=ROWS, seeds=[3, 5, 7], tuning={"seeds": 2, "evaluation_episodes": 20})
    assert [(e.point, e.trial.seed) for e in read.tuning] == [
        (f"lr={lr}, env_config.n_agents={n}", seed) for lr in (0.1, 0.01) for n in (2, 4) for seed in (3, 5)
    ]
    first = read.tuning[0]
    assert first.trial.config["lr"] == 0.1 and first.trial.config["env_config"]["n_agents"] == 2
    assert first.trial.config["env_config"]["time_limit"] == 50 and first.env_config["n_agents"] == 2
    assert first.seed == VALIDATION_SEED + 3 and first.file == "validation.npz"
    tests = {evaluation.seed for evaluation in read.evaluations}
    assert not tests & {evaluation.seed for evaluation in read.tuning}
    assert read.tuning_episodes == 20
    assert {trial.row for trial in read.trials} == {"other"}, "nothing is tested before a point is chosen"
    assert trial_names(read.tuning)[first.trial.folder] == "ours, lr=0.1, env_config.n_agents=2, seed 3"


def test_a_chosen_point_is_the_row_and_is_not_trained_twice():
    choices = {("ours", PLACE): "lr=0.01, env_config.n_agents=4"}
    read = suite(rows=ROWS, seeds=[3, 5, 7], tuning={"seeds": 1}, choices=choices)
    ours = [trial for trial in read.trials if trial.row == "ours"]
    assert [trial.seed for trial in ours] == [3, 5, 7]
    assert all(trial.config["lr"] == 0.01 for trial in ours)
    tuned = {evaluation.trial.folder for evaluation in read.tuning}
    assert [trial.folder in tuned for trial in ours] == [True, False, False]
    assert [e.file for e in read.evaluations if e.trial.row == "ours"] == ["evaluation.npz"] * 3


def test_every_environment_has_its_own_choice():
    places = {"open": {}, "ring": {"env_config": {"layout": "ring"}}}
    choices = {("ours", "ring"): "lr=0.1"}
    read = suite(rows={"ours": {"tune": {"lr": [0.1, 0.2]}}}, environments=places, choices=choices)
    assert len(read.tuning) == 4
    assert [(trial.environment, trial.config["lr"]) for trial in read.trials] == [("ring", 0.1)]


def test_a_shield_that_waits_for_its_choice_is_no_error():
    rows = {"planner": {"tune": {"lr": [1, 2]}}, "ours": {"variants": {"shielded": {"shield": "planner"}}}}
    assert [e.variant for e in suite(rows=rows).evaluations] == [""]
    read = suite(rows=rows, choices={("planner", PLACE): "lr=2"})
    assert [e.variant for e in read.evaluations if e.trial.row == "ours"] == ["", "shielded"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rows": {"ours": {"tune": {"lr": 0.1}}}},
            "row 'ours' of suite 'demo': lr must be a list of",
        ),
        ({"rows": {"ours": {"tune": {"seed": [1, 2]}}}}, "sets seed: seeds stand in the suite itself."),
        ({"rows": {"ours": {"tune": [1]}}}, "tune of row 'ours' of suite 'demo' must be a mapping"),
        ({"tuning": {"seeds": 2}}, "asks for 2 seeds, and the suite has 1."),
        ({"tuning": {"episodes": 2}}, "has no key 'episodes'"),
    ],
)
def test_misuse_is_said(changes, message):
    with pytest.raises(SafeMARLError) as error:
        suite(**changes)
    assert message in str(error.value)


def settled(points, limits=(1.0,), seeds=2, failed=()):
    """Points by name → return and cost, some of which failed."""
    read = suite(rows={"ours": {"tune": {"lr": [*points]}}}, seeds=seeds)
    results = []
    for evaluation in read.tuning:
        lr = float(evaluation.point.removeprefix("lr="))
        ret, cost = points[lr]
        found = record([[[cost]]] * 2, [[ret]] * 2, limits=limits)
        lost = (lr, evaluation.trial.seed) in failed
        results.append(EvaluationResult(evaluation, None if lost else found, problem="x" if lost else ""))
    return results


def test_the_best_return_within_the_limit_is_chosen():
    points = {1.0: (5.0, 2.0), 2.0: (3.0, 1.0), 3.0: (4.0, 0.5), 4.0: (9.0, 1.1)}
    assert choose(point_results(settled(points))) == {("ours", PLACE): "lr=3"}
    assert choose(point_results(settled(points, limits=(math.inf,)))) == {("ours", PLACE): "lr=4"}
    above = {1.0: (5.0, 9.0), 2.0: (1.0, 2.0)}
    assert choose(point_results(settled(above))) == {("ours", PLACE): "lr=2"}, "the least above it"


def test_the_upper_bound_of_every_seed_counts():
    (point, *_) = point_results(settled({1.0: (5.0, 0.5)}))
    costs = np.array([[[0.0]], [[1.0]]])
    shaky = EvaluationResult(point.results[0].evaluation, record(costs, [[5.0]] * 2))
    (result,) = point_results([point.results[1], shaky])
    assert result.figures("return") == [5.0, 5.0]
    assert result.bound > 1.0 and result.merit[0] is False, "a mean of 0.5, but of two episodes"


def test_a_point_that_failed_is_not_chosen_and_nothing_before_all_are_done():
    points = {1.0: (5.0, 0.5), 2.0: (3.0, 0.5)}
    assert choose(point_results(settled(points, failed=[(1.0, 1)]))) == {("ours", PLACE): "lr=2"}
    unfinished = [EvaluationResult(result.evaluation) for result in settled(points)[:1]]
    assert choose(point_results([*unfinished, *settled(points)[1:]])) == {}
    everything = [(lr, seed) for lr in points for seed in (0, 1)]
    assert choose(point_results(settled(points, failed=everything))) == {}
