"""Rows over their seeds, against numbers worked out by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rllib_safemarl.evaluation.comparison import EvaluationResult, results_frame
from rllib_safemarl.evaluation.comparison_rows import summarise_rows
from rllib_safemarl.evaluation.statistics import BOOTSTRAP, STUDENT
from tests.evaluation.test_comparison import curve, record, trial


def dangerous(seed, share, episodes=100, **more):
    clean = np.arange(episodes) >= share * episodes
    safety = {"clean": clean.astype(float), "severity": np.ones(episodes)}
    return EvaluationResult(trial(seed=seed, **more), record(np.zeros((episodes, 1, 1)), safety=safety))


def test_rows_over_seeds():
    def done(seed, cost, ret):
        return EvaluationResult(trial(seed=seed), record([[[cost]], [[cost]]], [[ret], [ret]]), curve([cost]))

    results = [
        done(0, 0.5, 1.0),
        done(1, 1.5, 2.0),
        done(2, 1.0, 6.0),
        EvaluationResult(trial(seed=3), problem="x"),
    ]
    (row,) = summarise_rows(results_frame(results))
    estimate = row.of("return")
    assert (estimate.mean, estimate.method) == (3.0, STUDENT)
    # 1, 2, 6: standard deviation √7, three of them.
    assert estimate.high - 3.0 == pytest.approx(stats.t.ppf(0.975, 2) * np.sqrt(7.0 / 3.0))
    assert (row.seeds_done, row.seeds_planned, row.seeds_held) == (3, 4, 2)
    assert (row.bound, row.peak_multiplier, row.limit) == (1.5, 1.5, 1.0)
    assert row.values("return") == [1.0, 2.0, 6.0]
    assert np.isnan(row.of("nonsense").mean) and row.values("nonsense") == []


def test_from_five_seeds_on_averages_are_interquartile_means():
    returns = enumerate([1, 2, 3, 4, 50])
    results = [EvaluationResult(trial(seed=s), record([[[0]]] * 2, [[r]] * 2)) for s, r in returns]
    (row,) = summarise_rows(results_frame(results))
    estimate = row.of("return")
    assert (estimate.mean, estimate.method) == (3.0, BOOTSTRAP)
    assert 1.0 <= estimate.low < 3.0 < estimate.high <= 50.0


def test_a_row_shows_one_constraint_in_all_its_seeds():
    def done(seed, a, b):
        costs = record([[[a, b]], [[a, b]]], limits=(1.0, 10.0), names=("a", "b"))
        return EvaluationResult(trial(seed=seed), costs)

    frame = results_frame([done(0, 0.5, 9.0), done(1, 0.7, 2.0), done(2, 3.0, 4.0)])
    assert list(frame["constraint"]) == ["a"] * 3, "3.0 / 1.0 goes furthest"
    (row,) = summarise_rows(frame)
    assert (row.constraint, row.limit, row.seeds_held) == ("a", 1.0, 2)
    assert (row.of("cost").mean, row.of("cost_b").mean) == (pytest.approx(1.4), pytest.approx(5.0))
    assert row.bound == 3.0


def test_a_single_seed_has_no_interval_and_an_infinite_limit_stays():
    (row,) = summarise_rows(
        results_frame([EvaluationResult(trial(), record([[[1]], [[1]]], limits=(np.inf,)))])
    )
    assert np.isnan(row.of("return").low) and row.seeds_held is None
    assert row.limit == np.inf


def test_dangerous_episodes_have_both_intervals():
    (row,) = summarise_rows(results_frame([dangerous(0, 0.1), dangerous(1, 0.2)]))
    over_seeds = row.of("dangerous_episodes")
    assert over_seeds.mean == pytest.approx(0.15)
    assert over_seeds.high - over_seeds.mean == pytest.approx(stats.t.ppf(0.975, 1) * 0.05)
    # Wilson's interval of 30 out of 200, from its own equation.
    z, n, p = stats.norm.ppf(0.975), 200, 0.15
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (row.dangerous.low, row.dangerous.high) == pytest.approx((centre - half, centre + half))


def test_a_csv_gives_the_rows_that_its_frame_gives():
    frame = results_frame([dangerous(0, 0.1), dangerous(1, 0.2)])
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    (before,), (after,) = summarise_rows(frame), summarise_rows(again)
    assert (after.variant, after.name, after.seeds_done) == ("", "ours", 2)
    assert after.of("dangerous_episodes") == before.of("dangerous_episodes")
