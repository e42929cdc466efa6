"""The stages one after another on a tiny crossing dataset; a restored run goes on bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms import DiffusionCBFConfig, DiffusionReturnConfig
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies import load_policy
from rllib_safemarl.policies.decisions import FLAGS

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty episodes of the shipped dataset, of all its splits."""
    dataset = read_dataset(SHIPPED).select(np.arange(0, 600, 10))
    return str(write_dataset(dataset, tmp_path_factory.mktemp("data") / "few.h5"))


def config(data, algorithm=DiffusionCBFConfig):
    return (
        algorithm()
        .environment("safemarl/crossing")
        .offline_data(input_=data, dataset_num_iters_per_learner=4)
        .training(
            beta=0.5,
            barrier_batches=4,
            critic_batches=4,
            train_batch_size_per_learner=16,
            max_neighbours=3,
            plan_horizon=4,
            n_plans=2,
            denoiser_settings={"width": 16, "layers": 1},
        )
        .multi_agent(policies={"robot"}, policy_mapping_fn=lambda agent, *_, **__: "robot")
        .rl_module(model_config={"fcnet_hiddens": [16]})
        .evaluation(
            evaluation_interval=3,
            evaluation_duration=2,
            evaluation_config={"num_envs_per_env_runner": 2, "explore": False},
        )
        .debugging(seed=0)
    )


def assert_written(algorithm, path):
    """The file beside a checkpoint acts as the algorithm's own evaluation does."""
    policy = load_policy(algorithm.save_to_path(str(path)))
    (batch,) = algorithm.eval_env_runner.sample(num_timesteps=16, explore=False, force_reset=True)
    for t in range(batch.steps):
        now = batch.observations[t]
        ours = policy.act_columns(now.values, now.alive, now.positions, now.edges)["robot"]
        np.testing.assert_array_equal(ours, np.clip(batch.groups["robot"].actions[t], -1, 1))


def test_stages_follow_each_other_and_a_restored_run_is_the_same(ray_cluster, data, tmp_path):
    algorithm = config(data).build_algo()
    first = algorithm.train()["learners"]["robot"]
    assert {"barrier_loss", "future_margin_loss", "barrier_accuracy"} <= set(first)
    path = algorithm.save_to_path(str(tmp_path / "barrier"))
    second = algorithm.train()["learners"]["robot"]
    third = algorithm.train()
    assert np.isfinite([second["value_loss"], second["q_loss"]]).all()
    plans = third["learners"]["robot"]
    assert np.isfinite([plans[f"{name}_loss"] for name in ("diffusion", "inverse", "model", "reach")]).all()
    assert 0.0 <= plans["calibration"]["accepted_share"] <= 1.0
    assert third["evaluation"]["env_runners"]["num_episodes"] == 2

    shares = third["evaluation"]["env_runners"]["planning"]
    assert shares == third["evaluation"]["env_runners"]["module_planning"]["robot"]
    assert set(shares) == {f"{name}_share" for name in FLAGS}
    assert all(0.0 <= share <= 1.0 for share in shares.values())
    assert_written(algorithm, tmp_path / "trained")

    restored = config(data).build_algo()
    restored.restore_from_path(path)
    assert restored.train()["learners"]["robot"]["q_loss"] == second["q_loss"]
    again = restored.train()
    assert again["learners"]["robot"]["diffusion_loss"] == plans["diffusion_loss"]
    figures = [r["evaluation"]["env_runners"]["episode_team_return_mean"] for r in (third, again)]
    assert figures[0] == figures[1]
    for each in (algorithm, restored):
        each.stop()


def test_return_alone_in_the_papers_ways_learns_no_barrier_condition(ray_cluster, data):
    small = {"barrier_batches": 1, "critic_batches": 1, "diffusion_steps": 8, "solver_steps": 8}
    algorithm = config(data, DiffusionReturnConfig).training(preset="paper", **small).build_algo()
    learned = algorithm.train()["learners"]["robot"]
    assert np.isfinite([learned["diffusion_loss"], learned["reach_loss"]]).all()
    assert "future_margin_loss" not in learned
    planner = algorithm.learner_group._learner.module["robot"].planner
    x = torch.randn(3, planner.layout.width)
    wanted = algorithm.acting_module()["robot"].policy.wanted(*planner.state(x))
    assert wanted[:, 0].isnan().all() and wanted[:, 1].isfinite().all()
    algorithm.stop()


def test_what_the_barrier_cannot_be_learnt_from_is_refused(ray_cluster, data, tmp_path):
    with pytest.raises(SafeMARLError, match="0 < alpha"):
        algorithm = config(data).training(alpha=20.0).build_algo()
        algorithm.train()
    with pytest.raises(SafeMARLError, match=r"beta=1\.0 does not fit"):
        config(data).training(beta=1.0)
    with pytest.raises(SafeMARLError, match=r"no setting 'betta'.*Did you mean 'beta'"):
        config(data).training(betta=0.5)


def test_more_safety_than_the_calibration_split_can_tell_is_refused_before_training(ray_cluster, data):
    algorithm = config(data).training(beta=0.95).build_algo()
    with pytest.raises(
        SafeMARLError, match=r"beta=0\.95 needs 19 dangerous episodes in the calibration split, wh"
    ):
        algorithm.train()
    algorithm.stop()
    # Plans alone ask nothing of the barrier.
    algorithm = config(data).training(beta=0.95, filter_plans=False, projection=False).build_algo()
    algorithm.train()
    algorithm.stop()


def test_agents_that_see_no_neighbours_plan_by_what_they_see_themselves(ray_cluster, data, tmp_path):
    algorithm = config(data).training(kappa=0).build_algo()
    for _ in range(3):
        results = algorithm.train()
    assert np.isfinite(results["learners"]["robot"]["diffusion_loss"])
    assert_written(algorithm, tmp_path / "trained")
    algorithm.stop()
