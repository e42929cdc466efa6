"""Statistics of planners, against counting and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from rllib_safemarl.algorithms.diffusion_cbf.statistics import auroc, warn_of_blindness


def test_area_under_the_curve_by_hand():
    # Of six pairs three are ordered and two tied.
    assert auroc(np.array([1.0, 2.0, 2.0]), np.array([0.0, 2.0])) == pytest.approx(4 / 6)
    assert math.isnan(auroc(np.array([]), np.array([1.0])))
    assert math.isnan(auroc(np.array([1.0]), np.array([])))


scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=20).map(np.array)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_area_is_the_share_of_mann_whitneys_u(positive, negative):
    expected = mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert auroc(positive, negative) == pytest.approx(expected)


@pytest.mark.parametrize("foresight, warned", [(0.59, True), (0.75, False), (0.95, False), (math.nan, False)])
def test_a_barrier_that_sees_nothing_is_told_of(caplog, foresight, warned):
    warn_of_blindness("vehicle", {"calibration/auroc_pre_danger": foresight}, 12)
    said = (
        "vehicle: the barrier hardly tells safe states from those with danger within danger_horizon=12 steps"
    )
    assert (said in caplog.text) == warned == bool(caplog.text)
