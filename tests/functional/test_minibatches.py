"""Minibatches do not depend on how copies are spread."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rllib_safemarl.functional.minibatches import shuffled_steps, step_shares


def test_every_copy_has_a_permutation_of_its_own():
    order = shuffled_steps((3, 1, 4), np.arange(6), 50)
    assert (np.sort(order, 1) == np.arange(50)).all()
    assert len({tuple(row) for row in order}) == 6


def test_a_copys_permutation_is_the_same_wherever_the_copy_is():
    whole = shuffled_steps((1, 2), np.arange(6), 20)
    part = shuffled_steps((1, 2), np.array([4, 1]), 20)
    np.testing.assert_array_equal(part, whole[[4, 1]])


def test_every_part_of_the_key_matters():
    keys = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (3, 2, 1)]
    orders = {tuple(shuffled_steps(key, np.arange(1), 30)[0]) for key in keys}
    assert len(orders) == len(keys)


def test_permutations_are_uniform():
    first = shuffled_steps((7,), np.arange(20_000), 10)[:, 0]
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-3


@pytest.mark.parametrize(("steps", "count", "sizes"), [(10, 4, [2, 3, 3, 2]), (3, 8, [1, 1, 1]), (6, 1, [6])])
def test_shares_cover_all_steps_evenly(steps, count, sizes):
    shares = step_shares(steps, count)
    covered = np.concatenate([np.arange(steps)[share] for share in shares])
    assert covered.tolist() == list(range(steps))
    assert sorted(share.stop - share.start for share in shares) == sorted(sizes)
