"""Every preset: the same seed learns the same, a restored run goes on alike, its policy file acts alike."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from rllib_safemarl import load_policy
from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.algorithms.offline_actor_critic.presets import OFFLINE_PRESETS
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.policies import save_policy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.team_policy import TeamPolicy
from rllib_safemarl.rollout.actor import portable_policies
from tests.algorithms.diffusion_cbf.test_learning import assert_written
from tests.algorithms.helpers import assert_equal, learner_state_of
from tests.algorithms.offline_actor_critic.helpers import lab

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"
FEW = {"n_candidates": 2, "diffusion_steps": 4, "solver_steps": 2}
SMALL = {"FISOR": {"denoiser_settings": {"width": 16, "layers": 1}, **FEW}}
OURS = "offline_actor_critic"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty episodes of the shipped dataset."""
    dataset = read_dataset(SHIPPED).select(np.arange(0, 600, 30))
    return str(write_dataset(dataset, tmp_path_factory.mktemp("data") / "few.h5"))


def config(name, data):
    return (
        ALGORITHMS[name]
        .get_default_config()
        .environment("safemarl/crossing")
        .offline_data(input_=data, dataset_num_iters_per_learner=3)
        .training(train_batch_size_per_learner=16, max_neighbours=3, **SMALL.get(name, {}))
        .safety(cost_limit=0.5)
        .multi_agent(policies={"robot"}, policy_mapping_fn=lambda agent, *_, **__: "robot")
        .rl_module(model_config={"fcnet_hiddens": [16]})
        .debugging(seed=0)
    )


def state_of(built):
    state = built.learner.get_state()
    return copy.deepcopy({key: state[key] for key in ("rl_module", "optimizer", OURS)})


@pytest.mark.parametrize("name", OFFLINE_PRESETS)
def test_learners_of_one_seed_are_alike_and_go_on_alike_once_restored(data, tmp_path, name):
    first, second = (lab(config(name, data)) for _ in range(2))
    for built in (first, second):
        built.train()
    assert_equal(state_of(first), state_of(second))
    middle, position = copy.deepcopy(first.learner.get_state()), first.data.get_state()
    # What it has learnt besides is forgotten when another state is taken over.
    second.train()
    second.learner.set_state(middle)
    second.data.set_state(position)
    for built in (first, second):
        built.train()
    assert_equal(state_of(first), state_of(second))

    learner, settings = first.learner, PolicySettings(1, 3, True, False)
    policy = TeamPolicy(learner.team, portable_policies(learner.groups, learner.module), settings)
    written = load_policy(save_policy(policy, tmp_path / "policy"))
    seen = read_dataset(data).rows
    columns = [seen[name][:8] for name in ("active", "positions", "neighbours")]
    acted = [
        each.act_columns({"robot": seen["observations/robot"][:8]}, *columns[:2], columns[2].astype(np.int32))
        for each in (policy, written)
    ]
    assert_equal(*acted)
    assert np.abs(acted[0]["robot"]).max() <= 1.0 and torch.isfinite(torch.as_tensor(acted[0]["robot"])).all()


@pytest.mark.parametrize("name", ["TD3BC_PID", "FISOR"])
def test_an_algorithm_goes_on_alike_and_its_policy_file_acts_as_evaluations_do(
    ray_cluster, data, tmp_path, name
):
    evaluated = {"num_envs_per_env_runner": 1, "explore": False}
    given = config(name, data).evaluation(
        evaluation_interval=2, evaluation_duration=1, evaluation_config=evaluated
    )
    first, second = given.build_algo(), given.copy(copy_frozen=False).build_algo()
    first.train()
    second.restore_from_path(first.save_to_path(str(tmp_path / "middle")))
    results = [algorithm.train() for algorithm in (first, second)]
    assert_equal(*(learner_state_of(algorithm, OURS) for algorithm in (first, second)))
    assert_equal(*(each["learners"]["robot"] for each in results))
    figures = [each["evaluation"]["env_runners"] for each in results]
    assert np.isfinite(figures[0]["episode_team_return_mean"])
    assert figures[0]["episode_team_return_mean"] == figures[1]["episode_team_return_mean"]
    assert_written(first, tmp_path / "trained")
    for algorithm in (first, second):
        algorithm.stop()
