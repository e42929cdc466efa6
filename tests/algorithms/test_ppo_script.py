"""An existing RLlib PPO script becomes a constrained one: another config class, and ``.safety(...)``."""

from __future__ import annotations

import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_safemarl.algorithms import MAPPOLConfig, ScalMAPPOLConfig
from tests.algorithms.modules import OwnModule

pytestmark = pytest.mark.usefixtures("ray_cluster")


class LogLengths(RLlibCallback):
    def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        metrics_logger.log_value("own_length", len(episode), reduce="mean", window=50)


def script(config):
    """The user's script, line by line the same for every config class."""
    return (
        config.environment("safemarl/crossing", env_config={"n_agents": 4, "time_limit": 20})
        .multi_agent(
            policies={"even", "odd"},
            policy_mapping_fn=lambda agent_id, episode, **kwargs: (
                "even" if int(agent_id.split("_")[1]) % 2 == 0 else "odd"
            ),
        )
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .training(
            train_batch_size_per_learner=160, minibatch_size=64, num_epochs=2, lr=1e-3, vf_clip_param=10.0
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=OwnModule))
        .callbacks(LogLengths)
        .debugging(seed=0)
    )


def _train(config):
    algo = config.build_algo()
    algo.train()
    results = algo.train()
    module = algo.get_module("even")
    algo.stop()
    return results, module


def test_the_script_runs_with_stock_ppo():
    results, module = _train(script(PPOConfig()))
    assert results["env_runners"]["own_length"] == 20 and isinstance(module, OwnModule)


@pytest.mark.parametrize("config_class", [MAPPOLConfig, ScalMAPPOLConfig])
def test_the_script_runs_constrained(config_class):
    config = script(config_class()).safety(cost_limit=0.05, multiplier_lr=1.0)
    results, module = _train(config)
    assert isinstance(module, OwnModule)
    assert results["env_runners"]["own_length"] == 20
    assert set(results["env_runners"]["module_episode_returns_mean"]) == {"even", "odd"}
    for policy in ("even", "odd"):
        learnt = results["learners"][policy]
        assert learnt["mean_kl_loss"] > 0 and np.isfinite(learnt["policy_loss"])
        assert np.isfinite(learnt["vf_explained_var"])
        assert set(learnt["cost_explained_var"]) == {"separation"}
    assert np.isfinite(results["learners"]["__all_modules__"]["episode_cost_estimate"])
