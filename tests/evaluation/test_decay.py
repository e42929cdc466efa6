"""Decay of values over hops: rows by hand, what regressors can see, and rates that are known."""

from dataclasses import replace

import numpy as np
import pytest

from rllib_safemarl.envs.vector import AgentGraph
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.controllers import named_controller
from rllib_safemarl.evaluation.decay import DecaySettings, decay_table, team_decay
from rllib_safemarl.evaluation.decay_regression import RegressionSettings, Regressors
from rllib_safemarl.evaluation.decay_rows import moments_of, rows_of
from rllib_safemarl.evaluation.rollouts import controller_episodes, controller_team
from rllib_safemarl.functional.neighbourhoods import UNREACHABLE, hop_distances
from tests.evaluation.influence import InfluenceVectorEnv, decaying

QUICK = RegressionSettings(hiddens=(32,), steps=400)
COPIES = 16


def played(weights, episodes=6 * COPIES, seed=0, copies=COPIES, **settings):
    env = InfluenceVectorEnv(copies, weights, **settings)
    _, batches = controller_episodes(env, named_controller("", "random", seed), episodes, seed)
    return env, batches, np.full(copies, episodes // copies)


def measured(weights, seed=0, **settings):
    env, batches, quota = played(weights, seed=seed)
    chosen = DecaySettings(**{"gamma": 0.5, "seed": seed, "regression": QUICK, **settings})
    (found,) = team_decay(batches, quota, controller_team(env), chosen)
    return found


def test_a_known_rate_is_recovered_from_noisy_episodes():
    found = measured(decaying(0.7, 3))
    decay = found.decay
    assert found.verdict().startswith("decay: β̂ = ")
    assert decay.used.tolist() == [True] * 3 + [False]
    # Over 12 seeds fits of this size give 0.70 with a deviation of 0.03.
    assert decay.rate == pytest.approx(0.7, abs=0.12)
    assert decay.r_squared > 0.98
    # Of the five others two each are 1 and 2 hops away, and one 3.
    assert found.unseen.tolist() == [5.0, 3.0, 1.0, 0.0]


def test_without_decay_it_says_so():
    found = measured([1.0, 0.5, 0.5, 0.5])
    assert found.verdict().startswith("no decay: β̂ = 0.")
    assert found.decay.rate == pytest.approx(found.decay.alike_rate, abs=0.06)
    # e_κ² is in proportion to the agents beyond κ.
    shares = found.decay.squared / found.decay.squared[0]
    np.testing.assert_allclose(shares, [1.0, 3 / 5, 1 / 5, 0.0], atol=0.08)


def test_where_nobody_else_matters_there_is_nothing_to_decay():
    found = measured([1.0, 0.0, 0.0, 0.0])
    assert found.verdict().startswith("nothing beyond the own observation")
    assert decay_table([found])["verdict"].unique().tolist() == ["nothing beyond the own observation"]


def test_a_team_reward_does_not_decay():
    assert measured(decaying(0.7, 3), reward_scope="team").verdict().startswith("no decay")


def test_kappa_goes_as_far_as_it_is_told():
    found = measured(decaying(0.7, 3), max_hops=1, regression=RegressionSettings((4,), steps=2))
    assert found.unseen.tolist() == [5.0, 3.0] and len(found.decay.squared) == 2


# Rows.


def test_moments_are_whole_episodes_with_their_discounted_returns():
    env, batches, quota = played([1.0, 0.5], episodes=4, copies=2, time_limit=3)
    assert env.num_agents == 2
    rewards = [batch.reward[..., None] for batch in batches]
    moments = moments_of(batches, rewards, quota, gamma=0.5)
    assert moments.episode.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert moments.age.tolist() == [0, 1, 2] * 4
    # Episode 3 is the second one of copy 1.
    reward = batches[0].reward[3:6, 1]
    by_hand = reward[0] + 0.5 * reward[1] + 0.25 * reward[2], reward[1] + 0.5 * reward[2], reward[2]
    np.testing.assert_allclose(moments.returns[9:, :, 0], by_hand, rtol=1e-6)
    np.testing.assert_array_equal(
        moments.values["agent"][9:], batches[0].observations.values["agent"][3:6, 1]
    )


def test_rows_hold_everyone_by_distance_and_nobody_who_is_gone():
    env, batches, quota = played([1.0, 0.5, 0.5], episodes=2, copies=1, time_limit=2)
    moments = moments_of(batches, [b.reward[..., None] for b in batches], quota, 0.9)
    moments.alive[1:, 3] = False
    # A chain of three, and one whom no path joins.
    team = replace(controller_team(env), graph=AgentGraph(hop_distances([(0, 1), (1, 2)], 4)))
    (rows,) = rows_of(team, moments)
    assert len(rows) == 4 + 3 + 3 + 3
    x = moments.values["agent"][..., 0]
    # Own observation, time, and who it is; then slots of (hops, index) order: observation first.
    np.testing.assert_array_equal(rows.own[:4, 0], x[0])
    np.testing.assert_array_equal(rows.own[4:7, 1], [1.0] * 3)
    np.testing.assert_array_equal(rows.own[4:7, 2:], np.eye(4)[:3])
    assert rows.hops[0].tolist() == [1, 2, UNREACHABLE]
    np.testing.assert_array_equal(rows.slots[0, :, 0], x[0, 1:])
    assert rows.present[4].tolist() == [True, True, False] and rows.slots[4, 2].tolist() == [0.0, 0.0, 0.0]
    assert rows.diameter() == 2
    first = rows.unseen([0.0, 1.0, 2.0])
    assert first.tolist() == [12.0 + 18.0, 8.0 + 6.0, 6.0]


def test_moving_graphs_have_the_distances_of_their_moment():
    env, batches, quota = played([1.0, 0.5, 0.5], episodes=2, copies=1, time_limit=2)
    moments = moments_of(batches, [b.reward[..., None] for b in batches], quota, 0.9)
    edges = np.full((4, 4, 2), -1, np.int32)
    edges[0] = [[1, -1], [0, 2], [1, 3], [2, -1]]
    edges[1, 0, 0], edges[1, 3, 0] = 3, 0
    team = replace(controller_team(env), graph=AgentGraph(None, degree=2))
    (rows,) = rows_of(team, replace(moments, edges=edges))
    x = moments.values["agent"][..., 0]
    assert rows.hops[0].tolist() == [1, 2, 3] and rows.hops[4].tolist() == [1, UNREACHABLE, UNREACHABLE]
    np.testing.assert_array_equal(rows.slots[4, :, 0], x[1, [3, 1, 2]])
    assert rows.diameter() == 3


# Regressors.


def test_a_value_of_kappa_hops_sees_nothing_beyond_them():
    env, batches, quota = played(decaying(0.5, 2), episodes=16, copies=4, time_limit=5)
    moments = moments_of(batches, [b.reward[..., None] for b in batches], quota, 0.5)
    (rows,) = rows_of(controller_team(env), moments)
    values = Regressors(rows, [0.0, 1.0, np.inf], RegressionSettings((8,), steps=20), seed=1)
    before = values(rows)
    assert before.shape == (2, 3, 1, len(rows))
    for reach, changed in ((2, [False, False, True]), (1, [False, True, True])):
        moved = np.where((rows.hops == reach)[..., None], rows.slots + 1.0, rows.slots)
        after = values(replace(rows, slots=moved))
        assert [not np.array_equal(before[:, k], after[:, k]) for k in range(3)] == changed
    # Two seeds are two networks, and the same seed the same two.
    assert not np.allclose(before[0], before[1])
    again = Regressors(rows, [0.0, 1.0, np.inf], RegressionSettings((8,), steps=20), seed=1)
    np.testing.assert_array_equal(again(rows), before)


def test_what_cannot_be_measured_is_said():
    env, batches, quota = played([1.0, 0.5, 0.5], episodes=6, copies=2, time_limit=2)
    team = controller_team(env)
    with pytest.raises(SafeMARLError, match="6 episodes are too few for two halves"):
        team_decay(batches, quota, team, DecaySettings())
    moments = moments_of(batches, [b.reward[..., None] for b in batches], quota, 0.9)
    with pytest.raises(SafeMARLError, match="needs an agent graph, and this environment has none"):
        rows_of(replace(team, graph=None), moments)
    with pytest.raises(SafeMARLError, match="needs several agents"):
        rows_of(replace(team, agents=("alone",)), moments)
