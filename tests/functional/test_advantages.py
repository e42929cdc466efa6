"""GAE against numbers worked out by hand and against its definition as a sum."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.advantages import explained_variance, generalised_advantages, masked_mean

GAMMA, LAMBDA = 0.5, 0.8


def _column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def _flags(*values: int) -> np.ndarray:
    return np.array(values, bool)[:, None]


def test_three_steps_without_an_end_by_hand():
    got = generalised_advantages(
        _column(1, 2, 3), _column(4, 5, 6), _column(5, 6, 7), _flags(0, 0, 0), _flags(0, 0, 0), GAMMA, LAMBDA
    )
    # δ = (1 + 2.5 - 4, 2 + 3 - 5, 3 + 3.5 - 6) = (-0.5, 0, 0.5)
    assert got[:, 0].tolist() == pytest.approx([-0.5 + 0.4 * 0.2, 0.0 + 0.4 * 0.5, 0.5])


def test_a_terminal_state_neither_bootstraps_nor_carries_on():
    got = generalised_advantages(
        _column(1, 2, 3), _column(4, 5, 6), _column(5, 9, 7), _flags(0, 1, 0), _flags(0, 1, 0), GAMMA, LAMBDA
    )
    # δ_1 = 2 - 5 = -3 without the 9; nothing of step 2 reaches step 1.
    assert got[:, 0].tolist() == pytest.approx([-0.5 + 0.4 * -3.0, -3.0, 0.5])


def test_a_time_limit_bootstraps_but_does_not_carry_on():
    got = generalised_advantages(
        _column(1, 2, 3), _column(4, 5, 6), _column(5, 9, 7), _flags(0, 0, 0), _flags(0, 1, 0), GAMMA, LAMBDA
    )
    # δ_1 = 2 + 0.5 · 9 - 5 = 1.5.
    assert got[:, 0].tolist() == pytest.approx([-0.5 + 0.4 * 1.5, 1.5, 0.5])


def test_equals_its_definition_on_random_columns_with_signals_and_agents():
    rng = np.random.default_rng(0)
    steps, shape = 12, (2, 3, 4)
    signal, values, following = (rng.normal(size=(steps, *shape)).astype(np.float32) for _ in range(3))
    terminated = rng.random((steps, 1, 3, 4)) < 0.1
    cut = terminated | (rng.random((steps, 1, 3, 4)) < 0.1)
    got = generalised_advantages(signal, values, following, terminated, cut, 0.9, 0.7)
    delta = signal + 0.9 * np.where(terminated, 0, following) - values
    for t in range(steps):
        expected, weight = np.zeros(shape), np.ones((1, 3, 4))
        for k in range(t, steps):
            expected = expected + weight * delta[k]
            weight = weight * np.where(cut[k], 0.0, 0.9 * 0.7)
        np.testing.assert_allclose(got[t], expected, rtol=2e-5, atol=1e-5)


def test_monte_carlo_return_at_lambda_one():
    got = generalised_advantages(
        _column(1, 1, 1), _column(0, 0, 0), _column(0, 0, 0), _flags(0, 0, 1), _flags(0, 0, 1), 0.5, 1.0
    )
    assert got[:, 0].tolist() == [1.75, 1.5, 1.0]


def test_masked_mean_and_explained_variance_by_hand():
    x, mask = np.array([1.0, 2.0, 9.0]), np.array([True, True, False])
    assert masked_mean(x, mask) == 1.5
    assert masked_mean(x, np.zeros(3, bool)) == 0.0
    target = np.array([0.0, 2.0, 100.0])
    # Var of the target is 1, of the error (0, 1) it is 0.25; the third row does not count.
    assert explained_variance(target, np.array([0.0, 1.0, 5.0]), mask) == pytest.approx(0.75)
    assert np.isnan(explained_variance(np.ones(3), x, mask))
