"""State that must survive is state: save, restore, and go on exactly."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import numpy as np
import pytest
from ray.rllib.utils import checkpoints
from ray.tune.registry import register_env

from rllib_safemarl.cli.paths import CHECKPOINT_FILE, newest_checkpoint
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.columns import ColumnBatch
from tests.algorithms.helpers import assert_equal, flat, learner_state, tiny_config
from tests.envs.third_party import HarvestEnv

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


@pytest.mark.parametrize("name", ["SCAL_MAPPO_L", "HAPPO", "MAPPO_PID", "MACPO"])
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


def test_a_full_disk_costs_the_checkpoint_that_was_being_written_and_no_other(tmp_path, monkeypatch):
    algo = tiny_config().build_algo()
    algo.train()
    whole = Path(algo.save_to_path(str(tmp_path / "checkpoint_000000")))
    before, written = learner_state(algo), []

    def dump(*args, **kwargs):
        written.append(args)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args, **kwargs)

    original = checkpoints.pickle.dump
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(checkpoints.pickle, "dump", dump)
        algo.save_to_path(str(tmp_path / "checkpoint_000001"))
    cut_off = tmp_path / "checkpoint_000001"
    assert (cut_off / CHECKPOINT_FILE).is_file(), "it looks like a checkpoint"
    assert newest_checkpoint(str(tmp_path)) == whole.resolve()
    assert_equal(learner_state(algo), before)
    algo.train()
    assert Path(algo.save_to_path(str(cut_off))) == cut_off
    assert newest_checkpoint(str(tmp_path)) == cut_off.resolve()
    algo.stop()


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


# Remote env runners.


@pytest.fixture
def warnings(monkeypatch):
    """What the driver's modules about state warn of, one string a line."""
    from rllib_safemarl.rollout import remote_episodes, runner_state

    lines = []
    for module in (remote_episodes, runner_state):
        monkeypatch.setattr(module.logger, "warning", lambda text, *args: lines.append(text % args))
    return lines


def _remote(runners: int = 2, copies: int = 2):
    return tiny_config().env_runners(
        num_env_runners=runners, num_envs_per_env_runner=copies, num_cpus_per_env_runner=0.5
    )


def _remote_columns(algo) -> list[dict]:
    """The next batch of every remote runner."""

    def sample(runner):
        (batch,) = runner.sample()
        return {"reward": batch.reward, "cost": batch.cost, "ended": batch.ended, "ids": batch.copy_ids}

    return algo.env_runner_group.foreach_env_runner(sample, local_env_runner=False)


def test_remote_episodes_go_on_where_the_checkpoint_was_taken(tmp_path, warnings):
    algo = _remote().build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    uninterrupted = [algo.train() for _ in range(2)]
    after, next_columns = learner_state(algo), _remote_columns(algo)
    algo.stop()

    restored = type(algo).from_checkpoint(path)
    again = [restored.train() for _ in range(2)]
    assert_equal(learner_state(restored), after)
    assert_equal(_remote_columns(restored), next_columns)
    restored.stop()
    for a, b in zip(uninterrupted, again, strict=True):
        for key in ("episode_return_mean", "episode_cost_mean", "num_env_steps_sampled_lifetime"):
            np.testing.assert_equal(a["env_runners"][key], b["env_runners"][key])
    # 30 steps per iteration, 50 per episode: the sums of the first iteration went into these figures.
    assert np.isfinite(uninterrupted[0]["env_runners"]["episode_return_mean"])
    assert warnings == []


def test_another_number_of_runners_begins_new_episodes_and_says_so_once(tmp_path, warnings):
    algo = _remote(runners=1).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    algo.stop()

    wider, outcomes = _remote(runners=2).build_algo(), []
    for _ in range(2):
        wider.restore_from_path(path)
        outcomes.append(_remote_columns(wider))
    wider.stop()
    assert_equal(*outcomes)
    assert not np.array_equal(outcomes[0][0]["reward"], outcomes[0][1]["reward"])
    assert (
        warnings
        == [
            "Some episodes of the checkpoint do not go on and others begin, from seeds that follow the "
            "checkpoint: it holds nothing of some env runners."
        ]
        * 2
    )

    local = tiny_config().env_runners(num_envs_per_env_runner=4).build_algo()
    local.restore_from_path(path)
    local.train()
    local.stop()
    assert "it was saved with 1 remote env runners, and there are 0 now" in warnings[-1]
    assert len(warnings) == 3


@pytest.mark.parametrize("runners", [0, 1])
def test_environments_that_cannot_save_their_state_restart_alike(runners, tmp_path, warnings):
    register_env("harvest", lambda config: HarvestEnv())
    config = (
        _remote(runners, 2)
        .environment("harvest", agent_graph="complete", env_config={})
        .training(train_batch_size=2 * 10 * max(1, runners))
        .safety(cost_limit={"heat": 3.0, "noise": 10.0})
        .debugging(seed=None)
    )
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    outcomes = []
    for _ in range(2):
        algo.restore_from_path(path)
        algo.train()
        outcomes.append(learner_state(algo)["rl_module"])
    algo.stop()
    restored = type(algo).from_checkpoint(path)
    restored.train()
    outcomes.append(learner_state(restored)["rl_module"])
    restored.stop()
    assert_equal(*outcomes[:2])
    assert_equal(*outcomes[1:])
    assert len(warnings) == 3
    assert all(line.endswith("checkpoint: this environment cannot save its state.") for line in warnings)


def test_another_number_of_copies_begins_new_episodes(tmp_path, warnings):
    algo = tiny_config().build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    algo.stop()
    wider = tiny_config().env_runners(num_envs_per_env_runner=6).build_algo()
    wider.restore_from_path(path)
    wider.train()
    wider.stop()
    assert len(warnings) == 1 and "it holds 4 copies per env runner, not 6" in warnings[0]


# Versions.


def test_checkpoints_of_other_versions_and_of_others_are_refused(tmp_path):
    algo = tiny_config().build_algo()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    metadata = tmp_path / "checkpoint" / "rllib_checkpoint.json"
    written = metadata.read_text()
    # As those from before PID multipliers, whose learners had no integrals.
    for old, message in (
        ({"rllib_safemarl_checkpoint_format": 1}, "0.1.0 in format 1, and 0.1.0 reads format 2; train anew."),
        (
            {"rllib_safemarl_checkpoint_format": 99, "rllib_safemarl_version": "7.0.0"},
            "7.0.0 in format 99, and 0.1.0 reads format 2; install rllib_safemarl 7.0.0, or train anew.",
        ),
    ):
        metadata.write_text(json.dumps({**json.loads(written), **old}))
        with pytest.raises(SafeMARLError) as error:
            algo.restore_from_path(path)
        assert str(error.value).endswith(f"was written by rllib_safemarl {message}")
        assert "\n" not in str(error.value)
    metadata.write_text(written)
    algo.restore_from_path(path)

    metadata.write_text('{"ray_version": "2.60.0"}')
    with pytest.raises(SafeMARLError, match="was not written by an algorithm of rllib_safemarl"):
        algo.restore_from_path(path)
    metadata.unlink()
    with pytest.raises(SafeMARLError, match=r"is no checkpoint: it has no rllib_checkpoint\.json"):
        algo.restore_from_path(path)
    algo.stop()


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch, tmp_path):
    learnt = []
    for hours in (0.0, 1.0):
        algo = tiny_config().build_algo()
        algo.train()
        with monkeypatch.context() as patch:
            # In the middle of the iteration, when the first steps are taken.
            vector, real = type(algo.env_runner.env), time.time

            def step(self, actions, original=vector.step, patch=patch, real=real, hours=hours):
                patch.setattr(time, "time", lambda: real() - 3600.0 * hours)
                return original(self, actions)

            patch.setattr(vector, "step", step)
            results = algo.train()
            path = algo.save_to_path(str(tmp_path / str(hours)))
            algo.train()
            algo.restore_from_path(path)
            after = algo.train()
        assert results["training_iteration"] == 2 and after["training_iteration"] == 3
        learnt.append(learner_state(algo))
        algo.stop()
    assert_equal(*learnt)
