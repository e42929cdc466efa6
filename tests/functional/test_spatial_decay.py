"""Rates read off errors that are known."""

import numpy as np
import pytest

from rllib_safemarl.functional.spatial_decay import Verdict, log_line, measure_decay

EPISODES = 400


def sums(squared, noise, scatter=0.2, seed=0):
    """Sums within episodes of different lengths whose means over rows are about ``squared + noise``."""
    random = np.random.default_rng(seed)
    rows = random.integers(5, 15, EPISODES).astype(float)
    means = (np.asarray(squared) + noise) * (1.0 + scatter * random.normal(size=(EPISODES, len(squared))))
    return means * rows[:, None], np.full(EPISODES, noise) * rows, rows


def measured(squared, noise=0.01, unseen=None, gains=None, **settings):
    unseen = np.ones(len(squared)) if unseen is None else np.asarray(unseen, float)
    differences, noises, rows = sums(squared, noise, **settings)
    gains = np.outer(rows, squared if gains is None else gains)
    return measure_decay(differences[None], noises, gains, rows, unseen)


def test_lines_are_those_of_least_squares():
    squared = np.array([3.0, 1.2, 0.9, 0.1])
    rate, intercept, r_squared = log_line(squared)
    slope, at_zero = np.polyfit(range(4), 0.5 * np.log(squared), 1)
    assert (rate, intercept) == pytest.approx((-slope, at_zero))
    assert r_squared == pytest.approx(np.corrcoef(range(4), np.log(squared))[0, 1] ** 2)
    assert np.isnan(log_line(squared[:2])[2])
    assert log_line(squared[:2])[0] == pytest.approx(0.5 * np.log(3.0 / 1.2))
    assert log_line(np.ones(3)) == (0.0, 0.0, 0.0)


def test_exponential_errors_give_their_rate():
    squared = 4.0 * np.exp(-2 * 0.7 * np.arange(4))
    exact = measured(squared, scatter=0.0, unseen=[6, 4, 2, 1])
    assert exact.verdict is Verdict.DECAY and exact.used.all()
    assert (exact.rate, exact.r_squared) == pytest.approx((0.7, 1.0))
    assert exact.intercept == pytest.approx(np.log(2.0))
    assert exact.alike_rate == pytest.approx(log_line(np.array([6.0, 4.0, 2.0, 1.0]))[0])
    noisy = measured(squared, unseen=[6, 4, 2, 1])
    assert abs(noisy.rate - 0.7) < 3 * noisy.rate_deviation < 0.05


def test_standard_errors_are_those_of_means_over_episodes():
    found = measured([1.0], scatter=0.3)
    differences, noise, rows = sums([1.0], 0.01, 0.3)
    ratio = found.squared[0]
    residual = differences[:, 0] - noise - ratio * rows
    assert found.deviation[0] == pytest.approx(np.sqrt((residual**2).sum()) / rows.sum(), rel=0.15)


def test_standard_errors_grow_by_what_fits_differ_by():
    differences, noise, rows = sums([4.0, 1.0], 0.01, 0.0)
    pairs = np.stack([1.1 * differences, 0.9 * differences])
    found = measure_decay(pairs, noise, differences, rows, np.ones(2))
    # Half the difference of two.
    np.testing.assert_allclose(found.deviation, [0.1 * 4.01, 0.1 * 1.01], rtol=1e-6)
    rates = [0.5 * np.log((f * 4.01 - 0.01) / (f * 1.01 - 0.01)) for f in (1.1, 0.9)]
    assert found.rate_deviation == pytest.approx(abs(rates[0] - rates[1]) / 2)
    # Of two fits that do not agree about the sign neither is believed.
    torn = np.stack([differences * [1.0, 4.0], differences * [1.0, 0.0]])
    assert measure_decay(torn, noise, differences, rows, np.ones(2)).used.tolist() == [True, False]


@pytest.mark.parametrize("squared", [[1.0, 1.0, 1.0, 0.0], [7.0, 5.0, 3.0, 1.0, 0.0], [1.0, 1.2, 1.3, 0.0]])
def test_agents_that_matter_alike_are_no_decay(squared):
    found = measured(squared, unseen=[1, 1, 1, 0] if len(squared) == 4 else [7, 5, 3, 1, 0])
    assert found.verdict is Verdict.NO_DECAY
    assert found.used.tolist() == [*[True] * (len(squared) - 1), False]


def test_what_sinks_into_the_noise_is_left_out_with_all_behind_it():
    found = measured([4.0, 1.0, 0.04, 0.5], noise=0.1, scatter=0.0)
    assert found.used.tolist() == [True, True, False, False]
    assert found.rate == pytest.approx(np.log(2.0)) and np.isnan(found.r_squared)
    assert measured([4.0, 0.01], noise=0.1).verdict is Verdict.TOO_FEW
    assert measured([0.01, 4.0], noise=0.1).verdict is Verdict.NOTHING
    # Larger than the noise of the fits, and yet not sure over episodes.
    assert measured([1.0, 0.1], noise=0.01, scatter=30.0).verdict is not Verdict.DECAY


def test_a_value_that_is_only_learnt_better_misses_nothing():
    assert measured([4.0, 2.0, 1.0], gains=[1.0, -0.1, 1.0]).used.tolist() == [True, False, False]


def test_where_everyone_is_seen_there_is_nothing_to_be_above_the_noise():
    assert measured([4.0, 2.0, 1.0], unseen=[2, 1, 0]).used.tolist() == [True, True, False]
