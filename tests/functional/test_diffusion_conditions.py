"""Scales of the conditions, and what may be asked for."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.diffusion_conditions import QuantileScale, Reach


def test_quantiles_go_to_minus_one_and_one():
    values = np.arange(101.0)
    scale = QuantileScale.of_data(values, tail=0.1)
    assert (scale.low, scale.high) == pytest.approx((10.0, 90.0))
    assert scale.scale([10.0, 50.0, 90.0, 130.0]) == pytest.approx([-1.0, 0.0, 1.0, 2.0])
    assert scale.unscale(scale.scale(values)) == pytest.approx(values)


def test_constants_go_to_zero():
    assert QuantileScale.of_data(np.full(9, 4.0)).scale(4.0) == 0.0


def test_reach_is_the_quantile_at_the_present_barrier():
    rng = np.random.default_rng(0)
    present = rng.uniform(-1, 1, 40_000)
    values = present + rng.uniform(-0.5, 0.5, 40_000)
    reach = Reach.of_data(present, values, quantile=0.9)
    # Uniform over (x - .5, x + .5): its 90 % quantile is x + .4.
    at = np.array([-0.5, 0.0, 0.5])
    assert reach.clip(9.0, at) == pytest.approx(at + 0.4, abs=0.02)
    assert reach.clip(-0.8, at).tolist() == [-0.8] * 3
    assert reach.clip(9.0, 5.0) == pytest.approx(reach.reached[-1])


def test_reach_of_few_windows():
    reach = Reach.of_data([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], quantile=1.0)
    assert reach.clip(9.0, 0.0) == 3.0
