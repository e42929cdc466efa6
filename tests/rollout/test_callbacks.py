"""RLlib's episode callbacks over columns."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode

from tests.algorithms.helpers import tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")

CALLS: Counter = Counter()
RETURNS: list[float] = []


class OnlyAtTheEnd(RLlibCallback):
    def on_episode_start(self, *, episode, **kwargs):
        episode.custom_data["started"] = True

    def on_episode_end(
        self, *, episode, prev_episode_chunks, env_runner, metrics_logger, env, env_index, rl_module, **kwargs
    ):
        assert isinstance(episode, MultiAgentEpisode)
        assert episode.custom_data["started"] and episode.is_done and prev_episode_chunks == []
        assert 0 <= env_index < env.num_copies
        RETURNS.append(episode.get_return())
        costs = [info["cost"] for infos in episode.get_infos().values() for info in infos if info]
        metrics_logger.log_value("episode_danger", float(np.sum(costs)), reduce="mean", window=100)


class Everything(RLlibCallback):
    def _count(name):
        def hook(self, **kwargs):
            CALLS[name] += 1
            if name == "on_episode_step":
                CALLS["steps_seen"] = max(CALLS["steps_seen"], len(kwargs["episode"]))

        return hook

    on_environment_created = _count("on_environment_created")
    on_episode_created = _count("on_episode_created")
    on_episode_start = _count("on_episode_start")
    on_episode_step = _count("on_episode_step")
    on_episode_end = _count("on_episode_end")
    on_sample_end = _count("on_sample_end")


def test_episodes_at_the_end_carry_the_returns_and_costs_of_the_columns():
    RETURNS.clear()
    # 40 steps per iteration, 50 per episode: every episode spans two iterations.
    algo = (
        tiny_config(n_agents=3)
        .training(train_batch_size=4 * 40)
        .callbacks(OnlyAtTheEnd)
        .debugging(seed=1)
        .build_algo()
    )
    assert np.isnan(algo.train()["env_runners"]["episode_return_mean"])
    results = algo.train()["env_runners"]
    algo.stop()
    assert len(RETURNS) == 4
    assert np.mean(RETURNS) == pytest.approx(results["episode_return_mean"], rel=1e-5)
    # The callback summed costs over agents, ours is their mean.
    assert results["episode_danger"] == pytest.approx(3 * results["episode_cost_mean"])


def test_every_hook_is_called_as_often_as_rllib_would():
    CALLS.clear()
    algo = tiny_config(n_agents=2, time_limit=10).callbacks(Everything).build_algo()
    algo.train()
    algo.stop()
    # 4 copies of 30 steps in episodes of 10; the fourth episodes have not begun to act.
    assert CALLS["on_environment_created"] == 1
    assert CALLS["on_episode_created"] == CALLS["on_episode_start"] == 12
    assert CALLS["on_episode_step"] == 120
    assert CALLS["on_episode_end"] == 12
    assert CALLS["on_sample_end"] == 1
    assert CALLS["steps_seen"] == 10


def test_function_callbacks_count_too():
    seen = []
    algo = tiny_config(n_agents=2, time_limit=15).callbacks(
        on_episode_end=lambda episode, **kwargs: seen.append(len(episode))
    )
    algo = algo.build_algo()
    algo.train()
    algo.stop()
    assert seen == [15] * 8


def test_evaluation_calls_back_for_the_counted_episodes_only():
    seen = []
    algo = (
        tiny_config(n_agents=2, time_limit=10)
        .evaluation(evaluation_interval=1, evaluation_duration=6)
        .callbacks(on_episode_end=lambda env_runner, **kw: seen.append(env_runner.config.in_evaluation))
        .build_algo()
    )
    seen.clear()
    algo.evaluate()
    algo.stop()
    assert seen == [True] * 6
