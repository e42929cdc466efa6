"""Safety of episodes cut out of columns, on a run made by hand."""

from types import SimpleNamespace

import numpy as np

from rllib_safemarl.evaluation.episode_danger import safety_of_columns


def blocks(cost, ended, truncated, split, margin=None):
    """One copy or more ``[T, N]`` of one agent with one cost, in two blocks."""
    cost, ended, truncated = np.array(cost, float), np.array(ended, bool), np.array(truncated, bool)
    whole = {
        "cost": cost[..., None, None],
        "acted": np.ones((*cost.shape, 1), bool),
        "ended": ended,
        "truncated": truncated,
    }
    if margin is not None:
        whole["margin"] = np.array(margin, np.float32)[..., None]
    return [
        SimpleNamespace(**{"margin": None, **{name: array[part] for name, array in whole.items()}})
        for part in (slice(None, split), slice(split, None))
    ]


def test_episodes_are_cut_at_their_ends_across_blocks():
    ended = [[0], [0], [0], [1], [0], [1], [0]]
    run = blocks([[0], [2], [2], [0], [0], [0], [5]], ended, ended, split=2)
    first, second = safety_of_columns(run, np.array([2]), 4)
    assert (first.violations, first.safe_share, first.severity, first.clean) == (1, 0.5, 2.0, False)
    assert (second.violations, second.safe_share, second.clean) == (0, 1.0, True)


def test_only_the_quota_counts_in_order_of_the_ends():
    ended = [[0, 1], [1, 1], [1, 1]]
    run = blocks([[0, 1], [0, 0], [1, 0]], ended, ended, split=1)
    found = safety_of_columns(run, np.array([1, 2]), None)
    assert [episode.clean for episode in found] == [False, True, True]


def test_steps_lost_by_a_crash_are_dangerous():
    ended = [[0], [1], [0], [1]]
    crashed, other = safety_of_columns(
        blocks([[0], [1], [0], [0]], ended, np.zeros((4, 1)), split=3), np.array([2]), 10
    )
    assert crashed.safe_share == 0.1, "one safe step of ten"
    assert other.safe_share == 1.0, "an episode that ends safely loses nothing"


def test_margins_tell_danger_where_there_are_some():
    ended = [[0], [0], [0], [1]]
    run = blocks([[1], [1], [1], [1]], ended, ended, 3, margin=[[0.3], [-0.1], [-0.3], [0.2]])
    (episode,) = safety_of_columns(run, np.array([1]), 4, clearance=0.05)
    assert (episode.safe_share, episode.violations, episode.clean) == (0.5, 1, False)
    np.testing.assert_allclose(episode.severity, 4.0, rtol=1e-6)


def test_without_margins_and_costs_nothing_is_known():
    run = blocks([[0], [0]], [[0], [1]], [[0], [1]], 1)
    for block in run:
        block.cost = block.cost[..., :0]
    assert safety_of_columns(run, np.array([1]), 4) == []
