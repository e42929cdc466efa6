"""Figures of trials and curves over seeds, against numbers worked out by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rllib_safemarl.evaluation.comparison import (
    EvaluationResult,
    mean_curve,
    own_metrics,
    results_frame,
)
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord, load_record, save_record
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial


def trial(row="ours", seed=0, environment="open", **more):
    of = SuiteTrial(row, environment, seed, "env", {"seed": seed}, **{"run": "SCAL_MAPPO_L", **more})
    return SuiteEvaluation(of, environment, "env")


def record(costs, returns=None, limits=(1.0,), names=("separation",), **more):
    """Costs ``[E, A, C]``."""
    costs = np.array(costs, float)
    returns = np.zeros(costs.shape[:2]) if returns is None else np.array(returns, float)
    return EvaluationRecord(
        returns,
        costs,
        np.full(len(costs), 30.0),
        more.pop("metrics", {}),
        more.pop("safety", {}),
        names,
        limits,
        more,
    )


def curve(multipliers, offset=0.0):
    n = len(multipliers)
    return pd.DataFrame(
        {
            "iteration": range(1, n + 1),
            "steps": [100.0 * k for k in range(1, n + 1)],
            "seconds": [2.0 * k for k in range(1, n + 1)],
            "cost": [offset + k for k in range(n)],
            "multiplier": multipliers,
        }
    )


def test_figures_of_a_trial():
    costs = [[[0], [2]], [[0], [4]], [[0], [0]]]
    returns = [[1, 3], [2, 2], [4, 0]]
    metrics = {"goal_reached": np.array([1.0, np.nan, 0.5]), "never": np.full(3, np.nan)}
    safety = {
        "clean": np.array([1.0, 0.0, 0.0]),
        "severity": np.array([0.0, 1.0, 3.0]),
        "dangerous_steps": np.array([0.0, 3.0, 1.0]),
    }
    figures = record(costs, returns, metrics=metrics, safety=safety).figures()
    assert figures["return"] == 2.0
    assert figures["return_std"] == 0.0, "over episodes, of the mean over agents"
    assert figures["cost"] == 1.0
    assert figures["worst_agent_cost"] == 2.0
    # The second agent's costs 2, 4, 0: mean 2, standard error 2 / √3.
    bound = 2.0 + stats.t.ppf(0.95, 2) * 2.0 / np.sqrt(3.0)
    assert figures["worst_agent_bound"] == pytest.approx(bound)
    assert figures["limit_held"] is False
    assert figures["dangerous_episodes"] == pytest.approx(2 / 3)
    assert figures["severity"] == 1.5, "over the four dangerous steps"
    assert figures["within_limit"] == pytest.approx(1 / 3), "the second agent costs 2, 4 and 0"
    assert "dangerous_steps" not in figures
    assert figures["goal_reached"] == 0.75
    assert "never" not in figures
    assert (figures["episodes"], figures["episode_steps"], figures["constraint"]) == (3, 30.0, "separation")


def test_of_several_costs_the_tightest_counts_and_all_must_hold():
    costs = [[[0.5, 9.0]], [[0.5, 9.0]]]
    both = record(costs, limits=(1.0, 12.0), names=("a", "b")).figures()
    assert (both["constraint"], both["cost"], both["limit"], both["limit_held"]) == ("b", 9.0, 12.0, True)
    assert (both["cost_a"], both["cost_b"]) == (0.5, 9.0)
    one = record(costs, limits=(1.0, 8.0), names=("a", "b")).figures()
    assert (one["constraint"], one["limit_held"]) == ("b", False)
    watched = record(costs, limits=(1.0, np.inf), names=("a", "b")).figures()
    assert (watched["constraint"], watched["limit_held"]) == ("a", True)


def test_without_limits_or_costs_nothing_is_held():
    unlimited = record([[[1]], [[1]]], limits=(np.inf,)).figures()
    assert (unlimited["cost"], unlimited["limit_held"]) == (1.0, None)
    free = record(np.zeros((2, 1, 0)), limits=(), names=()).figures()
    assert np.isnan(free["cost"]) and "dangerous_episodes" not in free and free["limit_held"] is None


def test_a_record_on_disk_is_the_same_and_a_damaged_one_is_none(tmp_path):
    metrics = {"a/b": np.array([1.0, 2.0])}
    before = record([[[1]], [[3]]], metrics=metrics, digest="x", asked=2)
    path = save_record(before, tmp_path / "evaluation.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.npz"]
    after = load_record(path)
    assert after.figures() == before.figures()
    assert after.about == {"digest": "x", "asked": 2}
    content = path.read_bytes()
    for damaged in (content[:-30], b"", b"PK"):
        path.write_bytes(damaged)
        assert load_record(path) is None
    assert load_record(tmp_path / "none.npz") is None
    np.savez(path, description=np.array(json.dumps({"format": "another"})))
    assert load_record(path) is None


def test_one_line_per_trial():
    results = [
        EvaluationResult(
            trial(), record([[[0]], [[1]]], metrics={"m": np.array([1.0, 3.0])}), curve([0.0, 5.0, 2.0])
        ),
        EvaluationResult(trial(seed=1), curve=curve([1.0]), problem="it broke"),
        EvaluationResult(trial("random", controller="random", run=None)),
    ]
    frame = results_frame(results)
    assert list(frame["status"]) == ["done", "failed", "unfinished"]
    assert list(frame["algorithm"]) == ["SCAL_MAPPO_L", "SCAL_MAPPO_L", ""]
    first = frame.iloc[0]
    assert (first["peak_multiplier"], first["final_multiplier"]) == (5.0, 2.0)
    assert (first["iterations"], first["steps"], first["seconds"], first["m"]) == (3, 300, 6.0, 2.0)
    assert frame["problem"][1] == "it broke"
    assert np.isnan(frame["return"][1])
    assert own_metrics(frame) == ["m"]
    assert list(frame)[:5] == ["environment", "row", "variant", "seed", "status"]


def test_curves_are_averaged_by_iteration():
    mean = mean_curve([curve([0, 0, 0]), curve([0, 0], offset=2.0)], "cost")
    assert list(mean["steps"]) == [100.0, 200.0, 300.0]
    assert list(mean["mean"]) == [1.0, 2.0, 2.0]
    half = stats.t.ppf(0.975, 1) * 1.0
    np.testing.assert_allclose(mean["high"] - mean["mean"], [half, half, np.nan])
    assert mean_curve([curve([])], "cost").empty


def test_variants_and_unseen_environments_have_lines_of_their_own():
    of = trial().trial
    results = [
        EvaluationResult(SuiteEvaluation(of, environment, "env", {}, variant), record([[[cost]]] * 2))
        for environment, variant, cost in (("open", "", 1), ("open", "calm", 2), ("ring", "", 3))
    ]
    frame = results_frame(results)
    assert frame[["environment", "row", "variant", "cost"]].to_numpy().tolist() == [
        ["open", "ours", "", 1.0],
        ["open", "ours", "calm", 2.0],
        ["ring", "ours", "", 3.0],
    ]


def test_from_five_seeds_on_curves_are_interquartile_means():
    costs = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [9.0, 1.0]])
    of_seeds = [curve([0, 0]).assign(cost=values) for values in costs]
    mean = mean_curve(of_seeds, "cost")
    assert list(mean["mean"]) == [2.0, 1.0], "of 0, 1, 2, 3 and 9 the middle three"
    assert mean["low"][0] < 2.0 < mean["high"][0] and mean["low"][1] == mean["high"][1] == 1.0
    # A seed that ends early leaves four, of which Student's interval is taken.
    short = mean_curve([*of_seeds[:4], of_seeds[4].iloc[:1]], "cost")
    assert list(short["mean"]) == [2.0, 1.0] and list(short["steps"]) == [100.0, 200.0]
