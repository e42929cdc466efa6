"""Calibration: ranks by hand, and coverage over many draws of data correlated inside episodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.calibration import (
    binomial_lower_bound,
    check_dangerous_episodes,
    episode_maxima,
    miss_offset,
    precision_offset,
    precision_thresholds,
)

STEPS, AGENTS = 12, 3


def test_maxima_over_the_counted_states_of_each_episode():
    h = np.array([[1.0, 5.0], [2.0, 0.0], [9.0, 9.0], [3.0, -4.0]])
    counted = np.array([[True, False], [True, True], [False, False], [False, True]])
    got = episode_maxima(h, counted, np.array([0, 2, 3, 4]))
    assert got.tolist() == [2.0, -np.inf, -4.0]


def test_rank_by_hand():
    scores = np.arange(1.0, 20.0)
    # ⌈20 · 0.9⌉ = 18, ⌈20 · 0.95⌉ = 19 (20 · 0.95 is exactly 19), ⌈20 · 0.96⌉ = 20 > 19.
    assert miss_offset(scores, 0.9) == pytest.approx(18.0)
    assert miss_offset(scores[::-1], 0.95) == pytest.approx(19.0)
    assert miss_offset(scores, 0.96) == math.inf
    assert miss_offset(scores, 0.001) == pytest.approx(1.0)
    assert miss_offset(np.zeros(0), 0.5) == math.inf


def test_episodes_without_warning_are_left_out():
    scores = np.array([0.1, -np.inf, 0.3, -np.inf, 0.2])
    assert miss_offset(scores, 0.5) == pytest.approx(0.2)


def test_a_saturated_barrier_accepts_nothing_it_cannot_tell_apart():
    scores = np.ones(50, np.float32)
    offset = miss_offset(scores, 0.9)
    assert not (np.float32(1.0) >= offset)
    assert np.float32(1.0) - np.float32(offset) < 0
    assert offset == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, 95.0])
def test_probabilities_are_checked(beta):
    with pytest.raises(SafeMARLError, match="beta must lie between 0 and 1"):
        miss_offset(np.ones(3), beta)
    with pytest.raises(SafeMARLError, match="NaN"):
        miss_offset(np.array([np.nan]), 0.5)


def _dangerous_episodes(number: int, rng: np.random.Generator):
    """h and pre-danger states of episodes: an effect of each episode, one of each agent, and slow noise."""
    h = rng.normal(size=(number, STEPS, AGENTS)) * 0.3
    for t in range(1, STEPS):
        h[:, t] += 0.9 * h[:, t - 1]
    h += 0.8 * rng.normal(size=(number, 1, 1)) + 0.3 * rng.normal(size=(number, 1, AGENTS))
    begin = rng.integers(0, STEPS - 2, (number, 1, AGENTS))
    step = np.arange(STEPS)[:, None]
    pre_danger = (step >= begin) & (step < begin + rng.integers(1, 6, (number, 1, AGENTS)))
    pre_danger[:, :, 1:] &= rng.random((number, 1, AGENTS - 1)) < 0.4
    offsets = np.arange(number + 1) * STEPS
    flat = (number * STEPS, AGENTS)
    return np.tanh(h - 0.5).astype(np.float32).reshape(flat), pre_danger.reshape(flat), offsets


@pytest.mark.parametrize(("episodes", "beta"), [(40, 0.9), (99, 0.95), (25, 0.5)])
def test_miss_rate_is_covered_over_draws(episodes, beta):
    rng, draws = np.random.default_rng(episodes), 1500
    fresh = np.sort(episode_maxima(*_dangerous_episodes(40_000, rng)))
    missed, by_states = [], []
    for _ in range(draws):
        h, pre_danger, offsets = _dangerous_episodes(episodes, rng)
        for store, delta in (
            (missed, miss_offset(episode_maxima(h, pre_danger, offsets), beta)),
            (by_states, np.quantile(h[pre_danger], beta)),
        ):
            store.append(1.0 - np.searchsorted(fresh, delta) / len(fresh))
    error = np.std(missed) / math.sqrt(draws) + 0.5 / math.sqrt(len(fresh))
    # The bound, and that it is no looser than a rank: exchangeable scores give k / (E + 1).
    exact = math.ceil((episodes + 1) * beta - 1e-9) / (episodes + 1)
    assert np.mean(missed) <= 1.0 - beta + 3.5 * error
    assert np.mean(missed) == pytest.approx(1.0 - exact, abs=3.5 * error)
    # States as units would promise what they do not keep.
    assert np.mean(by_states) > 1.25 * (1.0 - beta)


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(59, 59, 0.95), (40, 50, 0.9), (1, 7, 0.99)])
def test_binomial_bound_equals_scipys(successes, trials, confidence):
    expected = (
        stats.binomtest(successes, trials, alternative="greater").proportion_ci(confidence, "exact").low
    )
    assert binomial_lower_bound(successes, trials, confidence) == pytest.approx(expected)


def test_it_takes_59_episodes_without_a_failure_for_95_percent_twice():
    assert binomial_lower_bound(59, 59, 0.95) >= 0.95 > binomial_lower_bound(58, 58, 0.95)
    assert binomial_lower_bound(0, 0, 0.95) == 0.0 == binomial_lower_bound(0, 9, 0.95)


def test_fixed_sequence_stops_at_the_first_failure():
    safe = np.full(200, 1.0)
    unsafe = np.full(200, -np.inf)
    unsafe[:60] = 0.5
    unsafe[60:] = np.where(np.arange(140) < 1, 0.2, -np.inf)
    out = precision_offset(safe, unsafe, [0.1, 0.9, 0.55, 0.4, 0.7], 0.9)
    # From 0.9 down; at 0.4 sixty of two hundred fail, and 0.1 is not looked at.
    assert [test.offset for test in out.tests] == [0.9, 0.7, 0.55, 0.4]
    assert [test.failures for test in out.tests] == [0, 0, 0, 60]
    assert out.offset == 0.55 and out.tests[0].episodes == 200
    assert precision_offset(safe[:5], unsafe[:5], [0.9], 0.9).offset == math.inf


def _any_episodes(number: int, rng: np.random.Generator):
    """Scores of the safe and of the unsafe states of episodes, a third of which turn dangerous."""
    effect = rng.normal(size=number)
    # Correlated inside the episode: both maxima share its effect.
    safe = np.tanh(effect + np.abs(rng.normal(size=(number, STEPS)) * 0.3).max(1))
    dangerous = rng.random(number) < 1 / (1 + np.exp(1.0 + 1.2 * effect))
    unsafe = np.tanh(effect - 0.3 + rng.normal(size=(number, STEPS)).max(1) * 0.3)
    return safe, np.where(dangerous, unsafe, -np.inf)


def test_precision_is_covered_over_draws():
    beta, confidence, draws = 0.9, 0.9, 1200
    rng = np.random.default_rng(0)
    safe, unsafe = _any_episodes(60_000, rng)
    grid = np.linspace(-1.0, 1.0, 401)
    accepted = np.array([(np.maximum(safe, unsafe) >= g).sum() for g in grid])
    failed = np.array([(unsafe >= g).sum() for g in grid])
    precision = 1.0 - failed / np.maximum(accepted, 1)
    assert precision[0] < beta - 0.05, "accepting everything must not do"

    broken, naive_broken, found = 0, 0, 0
    for _ in range(draws):
        thresholds = precision_thresholds(*_any_episodes(300, rng), beta, confidence)
        here = _any_episodes(300, rng)
        offset = precision_offset(*here, thresholds, beta, confidence).offset
        if offset < math.inf:
            found += 1
            broken += np.interp(offset, grid, precision) < beta
        empirical = [1 - (here[1] >= t).sum() / (np.maximum(*here) >= t).sum() for t in thresholds]
        passing = [t for t, p in zip(thresholds, empirical, strict=True) if p >= beta]
        naive_broken += bool(passing) and np.interp(min(passing), grid, precision) < beta
    error = math.sqrt(confidence * (1 - confidence) / draws)
    assert broken / draws <= 1.0 - confidence + 3.0 * error
    assert found / draws > 0.7, "a bound that never accepts anything would be no use"
    # "The smallest δ whose held-out precision reaches β" breaks it in about half of the draws.
    assert naive_broken / draws > 0.3


def test_how_many_dangerous_episodes_a_beta_needs():
    # ⌈(E + 1) 0.9⌉ ≤ E from nine episodes on, 0.95 from nineteen.
    check_dangerous_episodes(0.9, 9)
    check_dangerous_episodes(0.95, 19)
    message = r"^beta=0\.9 needs 9 .*, which has 8: set beta to 0\.888 or less, or record more\.$"
    with pytest.raises(SafeMARLError, match=message):
        check_dangerous_episodes(0.9, 8)
    check_dangerous_episodes(0.888, 8)
    with pytest.raises(SafeMARLError, match=r"which has 0: record some\.$"):
        check_dangerous_episodes(0.5, 0)


@given(st.floats(0.01, 0.99), st.integers(0, 120))
def test_a_beta_is_refused_exactly_where_its_offset_is_infinite(beta, episodes):
    finite = math.isfinite(miss_offset(np.arange(episodes, dtype=np.float32), beta))
    try:
        check_dangerous_episodes(beta, episodes)
        assert finite
    except SafeMARLError:
        assert not finite
