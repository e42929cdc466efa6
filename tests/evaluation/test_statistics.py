"""Intervals and profiles against known tables, scipy and numbers by hand, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rllib_safemarl.evaluation.statistics import t_interval, upper_bound, wilson_interval
from rllib_safemarl.evaluation.statistics_bootstrap import (
    bootstrap_columns,
    bootstrap_interval,
    interquartile_mean,
    over_seeds,
    tails,
)
from rllib_safemarl.evaluation.statistics_profiles import performance_profile, probability_of_improvement


def test_t_interval_by_hand():
    # Mean 2, deviation 1, t(2 degrees, 97.5 %) = 4.303.
    estimate = t_interval([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0
    assert estimate.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert estimate.low == pytest.approx(4.0 - estimate.high)
    alike = t_interval([0.4, 0.4 + 1e-16, 0.1 + 0.3])
    assert alike.low == alike.mean == alike.high, "rounding is no spread"


def test_single_values_have_no_interval():
    assert math.isnan(t_interval([1.0]).low) and str(t_interval([1.0])) == "1.00"
    assert math.isnan(bootstrap_interval([[1.0], [2.0, 3.0]]).low)
    assert upper_bound([1.0]) == math.inf


def test_upper_bound_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=30)
    expected = stats.ttest_1samp(x, 0.0, alternative="less").confidence_interval(0.95).high
    assert upper_bound(x) == pytest.approx(expected)
    assert upper_bound([0.3, 0.3, 0.3]) == pytest.approx(0.3)


def test_interquartile_mean_by_hand():
    assert interquartile_mean([100.0, 1, 2, 3, 4, 5, 6, -100]) == pytest.approx(3.5)


def test_wilson_interval_by_hand_and_at_the_ends():
    # 8 of 10: centre (0.8 + z²/20) / (1 + z²/10) with z = 1.96.
    estimate = wilson_interval(8, 10)
    assert (estimate.low, estimate.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson_interval(0, 24).high == pytest.approx(0.138, abs=1e-3)
    assert wilson_interval(0, 24).low == 0.0
    assert math.isnan(wilson_interval(0, 0).mean)


def test_bootstrap_redraws_within_tasks():
    # Two tasks of constant but different results: a stratified draw never varies.
    estimate = bootstrap_interval([[1.0] * 6, [3.0] * 6])
    assert (estimate.low, estimate.mean, estimate.high) == (2.0, 2.0, 2.0)


def test_tails_of_few_runs_are_widened():
    # t(4 degrees, 97.5 %) = 2.776445, times √(5/4): Φ(-3.104160) = 0.000954.
    assert tails([5])[0] == pytest.approx(100 * 9.541e-4, rel=1e-3)
    # Two tasks of 5: t(8 degrees) = 2.306004, Φ(-2.578191) = 0.004966.
    assert tails([5, 5])[0] == pytest.approx(0.4966, rel=1e-3)
    low, high = tails([10_000])
    assert (low, high) == (pytest.approx(2.5, abs=0.01), pytest.approx(97.5, abs=0.01))


def test_the_bootstrap_agrees_with_scipys_between_the_same_percentiles():
    x = np.random.default_rng(1).normal(size=12)
    ours = bootstrap_interval([x], resamples=20_000)
    confidence = 1.0 - 2.0 * tails([12])[0] / 100.0
    theirs = stats.bootstrap(
        (x,),
        lambda v, axis: stats.trim_mean(v, 0.25, axis=axis),
        n_resamples=20_000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval, abs=0.06)


def test_columns_share_their_draws():
    runs = np.random.default_rng(3).normal(size=(6, 2))
    middle, low, high = bootstrap_columns([runs])
    for k in range(2):
        alone = bootstrap_interval([runs[:, k]])
        assert (middle[k], low[k], high[k]) == (alone.mean, alone.low, alone.high)


def test_a_profile_by_hand():
    profile = performance_profile([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0]], [0.0, 2.0, 3.5])
    # Above 2: half of the first task and none of the second.
    np.testing.assert_allclose(profile.share, [1.0, 0.25, 0.125])
    assert np.isnan(profile.low).all(), "four runs and two tell no interval"
    costs = performance_profile([[0.5, 1.0, 3.0, 4.0]], [1.0], at_most=True)
    np.testing.assert_allclose(costs.share, [0.5])


def test_the_interval_of_a_profile_is_that_of_its_rate():
    runs = np.repeat([0.0, 1.0], [6, 14])
    profile = performance_profile([runs], [0.5], resamples=20_000)
    # The redrawn count is binomial with n = 20 and p = 0.7.
    low, high = stats.binom.ppf(np.array(tails([20])) / 100.0, 20, 0.7) / 20
    assert (profile.low[0], profile.high[0]) == (
        pytest.approx(low, abs=0.051),
        pytest.approx(high, abs=0.051),
    )


def test_the_chance_of_being_better_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(4)
    x, y = rng.normal(0.5, 1.0, 7).round(1), rng.normal(0.0, 1.0, 9).round(1)
    estimate = probability_of_improvement([x], [y])
    assert estimate.mean == pytest.approx(stats.mannwhitneyu(x, y).statistic / 63)
    assert estimate.low < estimate.mean < estimate.high
    both = probability_of_improvement([x, [1.0]], [y, [2.0]])
    assert both.mean == pytest.approx(estimate.mean / 2), "the mean over tasks"
    assert math.isnan(both.low), "a task of one run tells no interval"
    assert probability_of_improvement([[1.0, 1.0]], [[1.0]]).mean == 0.5


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_over_seeds_cover_the_truth_about_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    covered = [
        estimate.low <= 1.0 <= estimate.high
        for estimate in (over_seeds(rng.normal(1.0, 2.0, seeds)) for _ in range(300))
    ]
    # 0.95 ± 0.04 for so many draws; tests/benchmarks/interval_coverage.py counts more of them.
    assert np.mean(covered) > 0.9
