from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from rllib_safemarl.envs.random import hashed_uniform


def test_numbers_depend_on_seed_copy_and_episode_and_on_nothing_else():
    copies, episodes = np.arange(6), np.array([0, 0, 1, 1, 5, 9])
    together = hashed_uniform(7, copies, episodes, 11)
    for n in range(6):
        np.testing.assert_array_equal(
            hashed_uniform(7, copies[n : n + 1], episodes[n : n + 1], 11)[0], together[n]
        )
    # Fewer numbers are the beginning of more.
    np.testing.assert_array_equal(hashed_uniform(7, copies, episodes, 4), together[:, :4])
    assert not np.any(hashed_uniform(8, copies, episodes, 11) == together)


def test_swapping_copy_and_episode_gives_other_numbers():
    a = hashed_uniform(0, np.array([1]), np.array([2]), 8)
    b = hashed_uniform(0, np.array([2]), np.array([1]), 8)
    assert not np.any(a == b)


def test_numbers_are_uniform_and_uncorrelated():
    copies = np.repeat(np.arange(100), 20)
    drawn = hashed_uniform(3, copies, np.tile(np.arange(20), 100), 16)
    assert drawn.min() >= 0.0 and drawn.max() < 1.0
    assert kstest(drawn.ravel(), "uniform").pvalue > 1e-3
    correlation = np.corrcoef(drawn, rowvar=False) - np.eye(16)
    assert np.abs(correlation).max() < 5.0 / np.sqrt(len(drawn))
    along_copies = np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]
    assert abs(along_copies) < 5.0 / np.sqrt(len(drawn))


def test_any_whole_number_is_a_seed():
    one = np.zeros(1, np.int64)
    values = {float(hashed_uniform(seed, one, one, 1)[0, 0]) for seed in (-1, 0, 1, 2**31, 2**63, 2**64 + 5)}
    assert len(values) == 6
