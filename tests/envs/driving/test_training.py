"""Algorithms train on it, and restored runs go on exactly."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from tests.algorithms.helpers import assert_equal, learner_state, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_restored_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path):
    # 30 steps per iteration and 40 per episode: the checkpoint falls into the middle of episodes.
    env_config = {"scenario": "intersection", "n_agents": 3, "time_limit": 40}
    algo = tiny_config().environment("safemarl/driving", env_config=env_config).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    expected = algo.train()["env_runners"]
    after = learner_state(algo)
    algo.stop()
    names = ("crash_mean", "slow_mean", "agent_0_first_mean", "arrived_mean", "mean_speed_mean")
    restored = type(algo).from_checkpoint(path)
    again = restored.train()["env_runners"]
    assert_equal(learner_state(restored), after)
    restored.stop()
    for name in ("episode_return_mean", "episode_cost_mean", *names):
        assert np.isfinite(expected[name]) and again[name] == expected[name]
