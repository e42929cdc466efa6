"""Algorithms train on it, and restored runs go on exactly."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from tests.algorithms.helpers import assert_equal, learner_state, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_restored_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path):
    # 30 steps per iteration and 50 per episode: the checkpoint falls into the middle of episodes.
    env_config = {"scenario": "intersection", "n_agents": 3, "time_limit": 50}
    algo = tiny_config().environment("safemarl/driving", env_config=env_config).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    results = [algo.train() for _ in range(2)]
    after = learner_state(algo)
    algo.stop()
    names = ("crash_mean", "slow_mean", "agent_0_first_mean", "arrived_mean", "mean_speed_mean")
    for name in (*names, "episode_cost_mean"):
        assert np.isfinite(results[-1]["env_runners"][name])
    restored = type(algo).from_checkpoint(path)
    again = [restored.train() for _ in range(2)]
    assert_equal(learner_state(restored), after)
    restored.stop()
    for a, b in zip(results, again, strict=True):
        for key in ("episode_return_mean", "episode_cost_mean", *names):
            np.testing.assert_equal(a["env_runners"][key], b["env_runners"][key])
