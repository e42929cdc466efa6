"""State that must survive is state: save, restore, and go on exactly."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.rollout.columns import ColumnBatch
from tests.algorithms.helpers import assert_equal, flat, learner_state, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def _columns(algo) -> dict:
    """The next batch the runner samples; sampling moves the runner on."""
    (batch,) = algo.env_runner.sample()
    assert isinstance(batch, ColumnBatch)
    return {
        "values": dict(batch.observations.values),
        "reward": batch.reward,
        "cost": batch.cost,
        "ended": batch.ended,
        "actions": {policy: group.actions for policy, group in batch.groups.items()},
    }


@pytest.mark.parametrize("name", ["SCAL_MAPPO_L", "HAPPO"])
def test_restored_run_equals_the_uninterrupted_one_bit_for_bit(name, tmp_path):
    # 30 steps per iteration and 50 per episode: the checkpoint falls into the middle of episodes.
    algo = tiny_config(name).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    uninterrupted = [algo.train() for _ in range(2)]
    after, next_columns = learner_state(algo), _columns(algo)
    algo.stop()

    restored = type(algo).from_checkpoint(path)
    again = [restored.train() for _ in range(2)]
    assert_equal(learner_state(restored), after)
    assert_equal(_columns(restored), next_columns)
    restored.stop()
    for a, b in zip(uninterrupted, again, strict=True):
        for key in ("episode_return_mean", "episode_cost_mean", "num_env_steps_sampled_lifetime"):
            np.testing.assert_equal(a["env_runners"][key], b["env_runners"][key])
        assert a["training_iteration"] == b["training_iteration"]


def test_saving_never_changes_a_run(tmp_path):
    runs = []
    for save in (False, True):
        algo = tiny_config().build_algo()
        for k in range(2):
            algo.train()
            if save:
                algo.save_to_path(str(tmp_path / f"checkpoint_{k}"))
        runs.append(learner_state(algo))
        algo.stop()
    assert_equal(*runs)


def test_same_seed_twice_gives_the_same_run_and_another_seed_another():
    states = []
    for seed in (3, 3, 4):
        algo = tiny_config().debugging(seed=seed).build_algo()
        algo.train()
        algo.train()
        states.append(learner_state(algo))
        algo.stop()
    assert_equal(states[0], states[1])
    weights = [flat(state["rl_module"]) for state in (states[0], states[2])]
    assert any(not np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_restoring_an_older_checkpoint_into_a_run_takes_its_weights_everywhere(tmp_path):
    algo = tiny_config().build_algo()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    before = flat(algo.env_runner.module.get_state())
    algo.train()
    algo.restore_from_path(path)
    after = flat(algo.env_runner.module.get_state())
    learner = flat(learner_state(algo)["rl_module"])
    algo.stop()
    for key in before:
        np.testing.assert_array_equal(before[key], after[key], err_msg=key)
        np.testing.assert_array_equal(before[key], learner[key], err_msg=key)


def test_multipliers_and_critics_are_in_the_checkpoint(tmp_path):
    algo = tiny_config().build_algo()
    for _ in range(3):
        algo.train()
    learner = algo.learner_group._learner
    assert learner.constraints.multipliers.max() > 0
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    saved = learner.get_state()["constrained"]
    algo.stop()
    restored = type(algo).from_checkpoint(path)
    assert_equal(restored.learner_group._learner.get_state()["constrained"], saved)
    restored.stop()


def test_evaluation_runner_ignores_the_training_runners_state(tmp_path):
    config = tiny_config().evaluation(evaluation_interval=1, evaluation_duration=4)
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    expected = algo.evaluate()["env_runners"]["episode_return_mean"]
    algo.stop()
    restored = type(algo).from_checkpoint(path)
    assert restored.evaluate()["env_runners"]["episode_return_mean"] == expected
    restored.stop()
