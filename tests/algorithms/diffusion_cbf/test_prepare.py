"""Labels of moments, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from rllib_safemarl.algorithms.diffusion_cbf.prepare import (
    DANGER,
    INITIAL,
    LEAST_MARGIN,
    NEXT_DANGER,
    PRE_DANGER,
    label,
    moment_margins,
)
from rllib_safemarl.errors import SafeMARLError
from tests.offline.datasets import numbered

AFTER = np.array([[1.0, 1.0], [-0.5, 1.0], [2.0, 1.0], [3.0, 1.0], [3.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
"""Margins after the seven steps of an episode of five and one of two, for two agents."""


def dataset():
    data = numbered([5, 2])
    return replace(data, rows={**data.rows, "margins": AFTER.astype(np.float32)})


def test_a_moments_margin_is_that_after_the_step_before():
    margins = moment_margins(dataset())
    assert margins[:, 0].tolist() == [1.0, 1.0, -0.5, 2.0, 3.0, 3.0, 1.0, 1.0, 1.0]
    assert margins[:, 1].tolist() == [1.0] * 6 + [-1.0] * 3


def test_rows_are_labelled_by_what_comes_within_the_horizon():
    rows = label(dataset(), horizon=1).rows
    # Moments 0 … 5 of the first episode: danger in moment 2, which moment 1 leads to.
    assert rows[DANGER][:5, 0].tolist() == [False, False, True, False, False]
    assert rows[NEXT_DANGER][:5, 0].tolist() == [False, True, False, False, False]
    assert rows[PRE_DANGER][:5, 0].tolist() == [False, True, False, False, False]
    assert rows[INITIAL][:5, 0].tolist() == [True, False, False, True, True]
    assert rows[LEAST_MARGIN][:5, 0].tolist() == [1.0, -0.5, -0.5, 2.0, 3.0]
    assert rows[DANGER][5:, 1].all() and not rows[INITIAL][5:, 1].any()


def test_costs_go_before_margins_where_they_are_asked_for():
    data = dataset()
    costs = np.zeros_like(data["costs"])
    costs[3, 0] = 1.0
    data = replace(data, rows={**data.rows, "costs": costs})
    assert label(data, 1).rows[DANGER][:5, 0].tolist() == [False, False, True, False, False]
    assert label(data, 1, "costs").rows[DANGER][:5, 0].tolist() == [False, False, False, False, True]


def test_without_margins_costs_above_the_threshold_are_danger():
    data = numbered([3], cost_of_episode=lambda e: 2.0)
    assert label(data, 1).rows[DANGER].all()
    with pytest.raises(SafeMARLError, match="no agent is ever in danger"):
        label(numbered([3]), 1)
