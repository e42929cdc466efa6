"""What results say of costs: every key in every result, whatever has happened yet."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from ray.tune.registry import register_env

from rllib_safemarl.algorithms import IPPOConfig
from tests.algorithms.helpers import tiny_config
from tests.envs.third_party import HarvestEnv
from tests.rollout.multi_agent_envs import PursuitEnv

pytestmark = pytest.mark.usefixtures("ray_cluster")

ALWAYS = {
    "episode_return_mean",
    "episode_team_return_mean",
    "episode_cost_mean",
    "episode_cost_max_agent",
    "episode_within_limit_share",
    "episode_len_mean",
    "cost_limit",
    "episode_cost_estimate",
    "episode_cost_source",
}
FROM_EPISODES_ONLY = sorted(ALWAYS - {"cost_limit", "episode_cost_estimate", "episode_cost_source"})


def _harvest(**kwargs):
    register_env("harvest", lambda config: HarvestEnv())
    return (
        tiny_config()
        .environment("harvest", agent_graph="complete", env_config={})
        .env_runners(num_envs_per_env_runner=2)
        .safety(cost_limit={"heat": 3.0, "noise": math.inf})
        .training(**kwargs)
    )


def test_episode_values_are_nan_until_one_has_ended_and_estimates_are_not():
    algo = tiny_config().build_algo()
    first, second = (algo.train()["env_runners"] for _ in range(2))
    algo.stop()
    assert ALWAYS <= first.keys() and second.keys() - first.keys() == {
        "goal_reached_mean",
        "least_margin_mean",
    }
    assert all(math.isnan(first[key]) for key in FROM_EPISODES_ONLY)
    assert all(math.isfinite(second[key]) for key in FROM_EPISODES_ONLY)
    # 30 of 50 steps are in: the estimate takes the time limit for the length, then that of 4 episodes.
    assert [r["episode_cost_source"] for r in (first, second)] == ["time_limit", "episodes"]
    assert all(math.isfinite(r["episode_cost_estimate"]) for r in (first, second))
    assert first["cost_limit"] == second["cost_limit"] == 0.1
    json.dumps(second, default=float)


def test_several_costs_have_their_limits_and_estimates_by_name():
    algo = _harvest(train_batch_size=2 * 7).build_algo()
    figures = algo.train()["env_runners"]
    algo.stop()
    assert figures["cost_limit"] == {"heat": 3.0, "noise": math.inf}
    assert (
        figures["episode_costs_mean"].keys() == figures["episode_cost_estimates"].keys() == {"heat", "noise"}
    )
    # Both copies end after all 7 steps of the block, so that the estimate is the mean of its episodes:
    # 26 of noise over 4 agents, counted by hand in the adapters' test.
    assert figures["episode_costs_mean"]["noise"] == pytest.approx(26 / 4)
    for name, mean in figures["episode_costs_mean"].items():
        assert figures["episode_cost_estimates"][name] == pytest.approx(mean, rel=1e-5)
    assert figures["episode_cost_estimate"] == pytest.approx(figures["episode_cost_mean"], rel=1e-5)
    assert figures["episode_cost_source"] == "episodes"


def test_no_costs_and_no_limit_leave_the_keys_in_place():
    register_env("costless", lambda config: PursuitEnv({"cost": False}))
    algo = (
        IPPOConfig()
        .environment("costless")
        .env_runners(num_envs_per_env_runner=1)
        .training(train_batch_size=6, minibatch_size=None, num_epochs=1)
        .build_algo()
    )
    figures = algo.train()["env_runners"]
    algo.stop()
    assert ALWAYS <= figures.keys() and math.isfinite(figures["episode_return_mean"])
    absent = ALWAYS - {"episode_return_mean", "episode_team_return_mean", "episode_len_mean"}
    for key in sorted(absent - {"episode_cost_source"}):
        assert math.isnan(figures[key])
    assert figures["episode_cost_source"] == "none"


def test_over_runners_extremes_stay_extremes_and_the_worst_agent_is_that_of_the_means():
    config = _harvest(train_batch_size=2 * 2 * 14)
    config.env_runners(num_env_runners=2, num_cpus_per_env_runner=0.5)
    algo = config.build_algo()
    figures = algo.train()["env_runners"]
    episodes = algo.env_runner_group.foreach_env_runner(
        lambda runner: list(runner._episode_metrics.episodes), local_env_runner=False
    )
    algo.stop()
    finished = [episode for each in episodes for episode in each]
    returns = np.array([episode.returns.sum() for episode in finished])
    costs = np.array([episode.costs.sum(-1) for episode in finished])
    assert len(finished) == figures["num_episodes"] == 8
    assert figures["episode_return_min"] == pytest.approx(returns.min())
    assert figures["episode_return_max"] == pytest.approx(returns.max())
    assert figures["episode_return_mean"] == pytest.approx(returns.mean())
    assert figures["episode_cost_max_agent"] == pytest.approx(costs.mean(0).max())
    heat = np.array([episode.costs[:, 0].max() for episode in finished])
    assert figures["episode_within_limit_share"] == pytest.approx((heat <= 3.0).mean()), "noise has no limit"
    # Each runner has another worst agent or mean, so that the mean of their largest would be more.
    halves = costs[:4].mean(0).max(), costs[4:].mean(0).max()
    assert np.mean(halves) > costs.mean(0).max() or halves[0] != halves[1]
