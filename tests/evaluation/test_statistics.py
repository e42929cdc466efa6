"""Intervals against known tables, and their coverage on synthetic data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rllib_safemarl.evaluation.statistics import (
    bootstrap_interval,
    interquartile_mean,
    over_seeds,
    t_interval,
    upper_bound,
    wilson_interval,
)


def test_t_interval_by_hand():
    # Mean 2, deviation 1, t(2 degrees, 97.5 %) = 4.303.
    estimate = t_interval([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0
    assert estimate.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert estimate.low == pytest.approx(4.0 - estimate.high)


def test_single_values_have_no_interval():
    assert math.isnan(t_interval([1.0]).low) and str(t_interval([1.0])) == "1.00"
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


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_over_seeds_cover_the_truth_about_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    covered = [
        estimate.low <= 1.0 <= estimate.high
        for estimate in (over_seeds(rng.normal(1.0, 2.0, seeds)) for _ in range(400))
    ]
    # t-intervals are exact for normal data; the bootstrap is known to run short at few seeds.
    assert np.mean(covered) > (0.92 if seeds < 5 else 0.80)
