"""Splits: shares, strata, seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rllib_safemarl.data.splits import split_episodes, with_split
from rllib_safemarl.data.statistics import danger_of, episode_table, frontier
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import one_agent, team


def costs(values):
    return pd.DataFrame({"cost": np.asarray(values, float), "danger_share": 0.0})


@given(st.lists(st.integers(0, 5), min_size=20, max_size=200), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_shares_hold_within_an_episode(values, seed):
    split = split_episodes(costs(values), seed)
    counts = np.bincount(split, minlength=3)
    np.testing.assert_array_less(np.abs(counts - np.array([0.7, 0.15, 0.15]) * len(values)), 1.0)


def test_every_split_sees_the_same_costs():
    # 700 of 1000 episodes cost nothing, the others 1 to 300: a plain shuffle of 150 has standard
    # deviations of 5.6 free episodes and of 13 in the mean cost of its costly ones.
    values = np.concatenate([np.zeros(700), np.arange(1, 301)])
    split = split_episodes(costs(values), seed=3)
    for code in range(3):
        mine = values[split == code]
        assert abs((mine == 0).mean() - 0.7) < 0.01
        assert abs(mine[mine > 0].mean() - 150.5) < 12


def test_splits_depend_on_the_seed_and_on_nothing_else():
    values = np.random.default_rng(0).integers(0, 4, 100)
    first, again, other = (split_episodes(costs(values), seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    # Ties do not keep the order of the recording.
    free = split_episodes(costs(np.zeros(100)))
    assert not (np.sort(free[:70]) == 0).all()


def test_without_costs_danger_stratifies():
    table = pd.DataFrame(
        {"cost": np.nan, "danger_share": np.concatenate([np.zeros(50), np.full(50, 0.5)])}, range(100)
    )
    split = split_episodes(table)
    for code in range(3):
        assert abs((split[:50] == code).sum() - (split[50:] == code).sum()) <= 1


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (3, (0.7, 0.15, 0.15), "3 episodes are too few.*calibration would be empty"),
        (100, (0.7, 0.3), "must be 3 numbers"),
        (100, (0.7, 0.2, 0.2), "sum to 1"),
    ],
)
def test_bad_shares(count, shares, message):
    with pytest.raises(SafeMARLError, match=message):
        split_episodes(costs(np.zeros(count)), 0, shares)


def test_a_share_of_nothing_is_empty():
    assert set(split_episodes(costs(np.arange(10)), 0, (0.5, 0.5, 0.0))) == {0, 1}


def test_a_dataset_keeps_its_split():
    data = with_split(one_agent((2,) * 20), seed=1)
    sizes = [data.split(name).num_episodes for name in ("train", "selection", "calibration")]
    assert sizes == [14, 3, 3]
    assert sorted(
        np.concatenate([data.split(n)["rewards"].ravel() for n in ("train", "selection", "calibration")])
    ) == (sorted(data["rewards"].ravel()))
    with pytest.raises(SafeMARLError, match=r"no split 'trian'.*Did you mean 'train'"):
        data.split("trian")
    with pytest.raises(SafeMARLError, match="not split yet"):
        one_agent().split("train")


def test_figures_of_episodes_by_hand():
    data = team((2, 3), agents=2, seed=4)
    rewards, cost, margins, active = (data[n] for n in ("rewards", "costs", "margins", "active"))
    margins[:] = 1.0
    margins[1, 1] = -1.0  # the second agent died in the row before: no danger of its own any more
    margins[3, 0] = -1.0
    table = episode_table(data)
    assert table["steps"].tolist() == [2, 3]
    np.testing.assert_allclose(
        table["return"][1], (rewards[2:, 0].sum() + rewards[2:, 1].sum()) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(table["cost_speed"][1], cost[2:, :, 1].sum() / 2, rtol=1e-6)
    np.testing.assert_allclose(table["cost"][1], cost[2:].sum() / 2, rtol=1e-6)
    np.testing.assert_allclose(table["worst_cost"][1], cost[2:].sum((0, 2)).max(), rtol=1e-6)
    assert table["unsafe"].tolist() == [False, True]
    assert table["danger_share"].tolist() == [0.0, 1 / 6]
    assert table["behaviour"].tolist() == ["careful", "random"]
    assert active.sum() == 9


def test_danger_of_costs_needs_more_than_the_threshold():
    data = one_agent()
    data["costs"][:, 0, 0] = [0, 0.4, 0.5, 0.6, 0, 0, 2, 0]
    assert danger_of(data)[:, 0].sum() == 4
    from dataclasses import replace

    strict = replace(data, schema=replace(data.schema, danger_cost=0.5))
    assert np.flatnonzero(danger_of(strict)[:, 0]).tolist() == [3, 6]


def test_the_frontier_by_hand():
    at, best = frontier(np.array([2.0, 0.0, 1.0, 0.0, 3.0]), np.array([5.0, 1.0, 0.5, 2.0, 5.0]))
    assert at.tolist() == [0.0, 2.0]
    assert best.tolist() == [2.0, 5.0]
