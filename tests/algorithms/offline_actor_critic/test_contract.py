"""Every preset: the same seed learns the same, a restored run goes on alike, its policy file acts alike."""

from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.algorithms.offline_actor_critic.presets import OFFLINE_PRESETS
from rllib_safemarl.data import read_dataset, write_dataset
from tests.algorithms.diffusion_cbf.test_learning import assert_written
from tests.algorithms.helpers import assert_equal, learner_state_of

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"
FEW = {"n_candidates": 2, "diffusion_steps": 4, "solver_steps": 2}
SMALL = {"FISOR": {"denoiser_settings": {"width": 16, "layers": 1}, **FEW}}


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
        .evaluation(
            evaluation_interval=2,
            evaluation_duration=1,
            evaluation_config={"num_envs_per_env_runner": 1, "explore": False},
        )
        .debugging(seed=0)
    )


@pytest.mark.parametrize("name", OFFLINE_PRESETS)
def test_a_preset_keeps_the_contract(ray_cluster, data, tmp_path, name):
    first, second = (config(name, data).build_algo() for _ in range(2))
    learned = [algorithm.train()["learners"]["robot"] for algorithm in (first, second)]
    assert_equal(*learned)
    path = first.save_to_path(str(tmp_path / "middle"))
    # What it has learnt besides is forgotten when another state is taken over.
    second.train()
    second.restore_from_path(path)
    results = [algorithm.train() for algorithm in (first, second)]
    assert_equal(*(learner_state_of(algorithm, "offline_actor_critic") for algorithm in (first, second)))
    assert_equal(*(each["learners"]["robot"] for each in results))
    figures = [each["evaluation"]["env_runners"] for each in results]
    assert np.isfinite(figures[0]["episode_team_return_mean"])
    assert figures[0]["episode_team_return_mean"] == figures[1]["episode_team_return_mean"]
    assert_written(first, tmp_path / "trained")
    for algorithm in (first, second):
        algorithm.stop()
