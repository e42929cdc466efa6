"""Remote env runners, several learners, evaluation, and killed runners."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from ray import tune

from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.cli.failures import one_line
from rllib_safemarl.evaluation.trained import TrainedTeam
from rllib_safemarl.rollout.remote_sampling import RemoteSampling
from tests.algorithms import toy  # noqa: F401  (registers its environments)
from tests.algorithms.helpers import assert_equal, flat, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def _learner_weights(algo) -> dict[str, np.ndarray]:
    state = algo.learner_group.get_state()["learner"]
    mine = state["constrained"]
    return flat({"rl_module": state["rl_module"], **mine})


@pytest.mark.parametrize(
    "name",
    [
        "SCAL_MAPPO_L",
        *(pytest.param(name, marks=pytest.mark.learning) for name in ("MACPO", "MAPPO", "MAPPO_PID")),
    ],
)
def test_zero_and_two_learners_agree_up_to_summation_order(name):
    outcomes = []
    for learners in (0, 2):
        config = tiny_config(name).learners(num_learners=learners, num_cpus_per_learner=0.5)
        if name == "MACPO":
            config.safety(tightening=1.0)
        if name == "SCAL_MAPPO_L":
            config.environment(agent_graph="chain").training(coloured=True, target_kl=0.01)
        config.training(
            train_batch_size_per_learner=120 // max(1, learners), minibatch_size=60 // max(1, learners)
        )
        algo = config.build_algo()
        for _ in range(2):
            algo.train()
        outcomes.append(_learner_weights(algo))
        algo.stop()
    for other in outcomes[1:]:
        assert outcomes[0].keys() == other.keys()
        for key, value in outcomes[0].items():
            np.testing.assert_allclose(other[key], value, rtol=2e-3, atol=2e-5, err_msg=key)


def test_remote_runners_learn_from_current_weights_and_report_all_their_steps():
    config = tiny_config().env_runners(
        num_env_runners=2, num_envs_per_env_runner=2, num_cpus_per_env_runner=0.5
    )
    algo = config.build_algo()
    for iteration in range(3):
        results = algo.train()
        seq_no = algo.learner_group._learner._weights_seq_no
        assert seq_no == iteration + 1
        assert results["env_runners"]["weights_seq_no"] == iteration
        assert results["env_runners"]["num_env_steps_sampled"] == 120
    assert results["env_runners"]["num_env_steps_sampled_lifetime"] == 360
    # What all had sampled before the last iteration, and 60 of its own.
    counts = algo.env_runner_group.foreach_env_runner(
        lambda runner: runner.num_env_steps_sampled_lifetime, local_env_runner=False
    )
    assert counts == [300, 300]
    assert np.isfinite(results["env_runners"]["episode_return_mean"])
    algo.stop()


@pytest.mark.parametrize(
    "kills", [([0], [0, 1]), pytest.param(([0, 1],) * 4 + ([1],) * 4, marks=pytest.mark.learning)]
)
def test_killed_runners_come_back_one_all_or_time_and_again(kills):
    config = (
        tiny_config()
        .env_runners(num_env_runners=2, num_envs_per_env_runner=2, num_cpus_per_env_runner=0.5)
        .fault_tolerance(restart_failed_env_runners=True)
    )
    algo = config.build_algo()
    algo.train()
    for killed in kills:
        pids = algo.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
        for runner in killed:
            os.kill(pids[runner], signal.SIGKILL)
        assert _sampled(algo.train()) == 60 * (2 - len(killed))
        _train_until(algo, 120)
    # They do not live through the episodes of their first lives again, nor under their first weights.
    seeds = algo.env_runner_group.foreach_env_runner(
        lambda runner: (runner._resets, runner._weights_seq_no), local_env_runner=False
    )
    assert seeds[0][0] > 1 and seeds[1][0] > 1
    assert seeds[0][1] == seeds[1][1] > 1
    algo.stop()


def _sampled(results) -> int:
    """Environment steps of the iteration; RLlib says NaN where there were none."""
    steps = results["env_runners"].get("num_env_steps_sampled", np.nan)
    return 0 if np.isnan(steps) else int(steps)


def _train_until(algo, steps: int) -> None:
    """Train until an iteration has so many environment steps."""
    deadline = time.monotonic() + 600
    while _sampled(algo.train()) != steps:
        assert time.monotonic() < deadline


def _stalling(max_sample_age: int = 0, **env_config):
    config = ALGORITHMS["MAPPO"].get_default_config().environment("toy/stalling", env_config=env_config)
    config.env_runners(
        num_env_runners=2,
        num_envs_per_env_runner=2,
        num_cpus_per_env_runner=0.5,
        max_sample_age=max_sample_age,
    )
    return config.training(train_batch_size=40, minibatch_size=None, num_epochs=2)


def test_a_runner_that_hangs_is_left_out_and_then_started_anew(tmp_path):
    flag = tmp_path / "hangs"
    config = _stalling(hangs=str(flag)).fault_tolerance(restart_failed_env_runners=True)
    algo = config.env_runners(sample_timeout_s=4.0).build_algo()
    assert _sampled(algo.train()) == 40
    flag.touch()
    assert [_sampled(algo.train()) for _ in range(2)] == [20, 20]
    flag.unlink()
    _train_until(algo, 40)
    algo.stop()


def test_with_old_samples_allowed_nobody_waits_for_a_slow_runner(monkeypatch):
    learnt_from = []

    def sample(self, *args, original=RemoteSampling.sample):
        shares = original(self, *args)
        learnt_from.extend(share.worker for share in shares)
        return shares

    monkeypatch.setattr(RemoteSampling, "sample", sample)
    algo = _stalling(max_sample_age=2, seconds=0.5).build_algo()
    for iteration in range(8):
        results = algo.train()["env_runners"]
        assert results["num_env_steps_sampled"] == 40, "updates are of full size"
        assert 0 <= results["sample_age_max"] <= 2
        assert algo.learner_group._learner._weights_seq_no == iteration + 1
    algo.stop()
    # A share of the second takes five seconds, in which the first makes many.
    assert learnt_from.count(1) >= 12 and learnt_from.count(2) <= 4


def test_a_killed_learner_ends_the_run_in_one_line_and_leaves_the_checkpoint(tmp_path):
    config = tiny_config().learners(num_learners=1, num_cpus_per_learner=0.5)
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    before = algo.weights()["rl_module"]
    (pid,) = [each.get() for each in algo.learner_group.foreach_learner(lambda learner: os.getpid())]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError) as error:
        algo.train()
    algo.stop()
    assert one_line(error.value).startswith("a process of the run died, killed or out of memory; --resume")
    assert_equal(TrainedTeam.read(Path(path)).weights, before)


def test_without_restart_the_others_go_on_or_the_loss_is_raised():
    config = tiny_config().env_runners(
        num_env_runners=2, num_envs_per_env_runner=2, num_cpus_per_env_runner=0.5
    )
    config.fault_tolerance(restart_failed_env_runners=False, ignore_env_runner_failures=True)
    algo = config.build_algo()
    kill = algo.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
    os.kill(kill[1], signal.SIGKILL)
    sampled = [algo.train()["env_runners"]["num_env_steps_sampled"] for _ in range(2)]
    assert sampled == [60, 60]
    algo.env_runner_group._ignore_ray_errors_on_env_runners = False
    os.kill(kill[0], signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayError):
        algo.train()
    algo.stop()


def test_evaluation_runs_exactly_its_episodes_on_remote_runners():
    config = (
        tiny_config(time_limit=12)
        .evaluation(
            evaluation_interval=1,
            evaluation_duration=7,
            evaluation_num_env_runners=2,
            evaluation_config={"explore": False, "num_cpus_per_env_runner": 0.5},
        )
        .build_algo()
    )
    results = config.train()["evaluation"]["env_runners"]
    assert results["num_episodes"] == 7
    config.stop()


def test_evaluation_quota_does_not_favour_short_episodes():
    algo = tiny_config(time_limit=12).evaluation(evaluation_interval=1, evaluation_duration=6).build_algo()
    (first, *_) = algo.eval_env_runner.sample(num_episodes=6)
    metrics = algo.eval_env_runner.get_metrics()
    # Six episodes over four copies: two from each of the first two copies, one from the others.
    assert metrics["num_episodes"].peek() == 6
    assert first.copies == 4
    algo.stop()


def test_tune_run_sweeps_kappa(tmp_path):
    config = tiny_config().to_dict()
    analysis = tune.run(
        "SCAL_MAPPO_L",
        config={**config, "kappa": tune.grid_search([1, 2])},
        stop={"training_iteration": 1},
        storage_path=str(tmp_path),
        verbose=0,
    )
    kappas = [trial.config["kappa"] for trial in analysis.trials]
    assert kappas == [1, 2]
    assert all(trial.last_result["training_iteration"] == 1 for trial in analysis.trials)


@pytest.mark.learning
def test_tuner_sweeps_the_limit(tmp_path):
    config = tiny_config()
    config.safety(cost_limit=tune.grid_search([0.1, 1.0]))
    tuner = tune.Tuner(
        "SCAL_MAPPO_L",
        param_space=config,
        run_config=tune.RunConfig(stop={"training_iteration": 1}, storage_path=str(tmp_path), verbose=0),
    )
    results = tuner.fit()
    assert len(results) == 2 and not results.errors
