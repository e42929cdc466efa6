"""Checkpoints evaluated by their policies alone: as the algorithm does, elsewhere, with other settings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.algorithms.diffusion_cbf.config import DiffusionCBFConfig
from rllib_safemarl.algorithms.offline.config import team_spaces
from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.team import describe_team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.rollouts import evaluate_runner
from rllib_safemarl.evaluation.trained import TrainedTeam, read_config
from tests.algorithms.helpers import tiny_config
from tests.policies.planners import trained_team, write

CHANGES = {"explore": False, "seed": 5, "num_envs_per_env_runner": 4}


@pytest.fixture(scope="module")
def checkpoint(ray_cluster, tmp_path_factory):
    """A checkpoint of a shared policy, and the returns of six episodes by the algorithm's own evaluation."""
    config = tiny_config(n_agents=3).update_from_dict(
        {"policies": ["shared"], "evaluation_interval": 1, "evaluation_config": CHANGES}
    )
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(tmp_path_factory.mktemp("trained") / "checkpoint")
    algo.eval_env_runner.set_state(algo.weights())
    episodes, _ = algo.eval_env_runner.run_episodes(6, explore=False)
    algo.stop()
    return Path(path), np.array([episode.returns for episode in episodes])


def test_episodes_are_those_of_the_algorithm_itself(checkpoint):
    path, returns = checkpoint
    runner = TrainedTeam.read(path).runner(CHANGES, 6)
    episodes, _ = runner.run_episodes(6, explore=False)
    np.testing.assert_array_equal([episode.returns for episode in episodes], returns)
    runner.stop()


def test_names_that_ray_forgot_with_its_session_are_known(checkpoint, forgotten_names):
    TrainedTeam.read(checkpoint[0]).runner(CHANGES, 1).stop()


def test_policies_of_runners_that_sampled_ahead_act_here(checkpoint):
    trained = TrainedTeam.read(checkpoint[0])
    config = trained.config.copy(copy_frozen=False).env_runners(num_env_runners=2, max_sample_age=1)
    config.validate()
    runner = replace(trained, config=config).runner(CHANGES, 6)
    episodes, _ = runner.run_episodes(6, explore=False)
    np.testing.assert_array_equal([episode.returns for episode in episodes], checkpoint[1])
    runner.stop()


@pytest.mark.parametrize("agents", [2, 6])
def test_a_shared_policy_plays_with_any_number_of_agents(checkpoint, agents):
    trained = TrainedTeam.read(checkpoint[0])
    runner = trained.runner({**CHANGES, "env_config": {"n_agents": agents, "layout": "ring"}}, 2)
    episodes, _ = runner.run_episodes(2, explore=False)
    assert [episode.returns.shape for episode in episodes] == [(agents,)] * 2
    (policy,) = runner.module.keys()
    ours, theirs = runner.module[policy].get_state(), trained.weights[policy]
    assert policy == "shared" and ours.keys() <= theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    runner.stop()


def test_what_cannot_be_changed_is_said(checkpoint):
    trained = TrainedTeam.read(checkpoint[0])
    with pytest.raises(SafeMARLError, match="max_neighbours=2 cannot be evaluated"):
        trained.runner({"max_neighbours": 2}, 1)
    with pytest.raises(SafeMARLError, match="networks of other sizes than those trained: model_config"):
        trained.runner({"model_config": {"fcnet_hiddens": [7]}}, 1)
    with pytest.raises(SafeMARLError, match="no setting 'betta'"):
        trained.runner({"betta": 0.5}, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"prediction": "epsilon"},
        {"plan_horizon": 8},
        {"alpha": 2.0},
        {"preset": "paper"},
        {"barrier_pooling": "x"},
    ],
)
def test_what_a_planner_learnt_with_cannot_be_changed(change):
    trained = TrainedTeam(DiffusionCBFConfig(), None, {})
    (name,) = change
    with pytest.raises(SafeMARLError, match=f"{name}=.* cannot be evaluated: networks are as trained"):
        trained.runner(change, 1)


def test_a_damaged_checkpoint_is_said(tmp_path):
    with pytest.raises(SafeMARLError, match="cannot be read"):
        read_config(tmp_path)


def test_how_a_planner_acts_can_be_changed_after_training():
    settings = {
        "env": "safemarl/crossing",
        "env_config": {"n_agents": 3, "time_limit": 2},
        "input_": "unused",
        "policies": ["robot"],
        "plan_horizon": 4,
        "denoiser_settings": {"width": 8, "layers": 1},
        "model_config": {"fcnet_hiddens": [8]},
        "num_envs_per_env_runner": 1,
    }
    config = DiffusionCBFConfig().update_from_dict(settings)
    team = describe_team(CrossingVectorEnv(1, n_agents=3), config.policy_mapping)
    module = config.get_multi_rl_module_spec(spaces=team_spaces(team, config)).build()
    trained = TrainedTeam(config, team, module.get_state())
    changes = {"beta": 0.95, "n_plans": 2, "solver_steps": 1, "projection": False, "target_barrier": None}
    runner = trained.runner({**changes, "env_config": {"n_agents": 5}}, 1)
    assert {name: runner.module["robot"].planner.settings[name] for name in changes} == changes
    episodes, _ = runner.run_episodes(1, explore=False)
    assert episodes[0].returns.shape == (5,) and np.isfinite(episodes[0].returns).all()
    noted = evaluate_runner(runner, 1).metrics
    assert noted["planning/projected_share"].tolist() == [0.0]
    accepted = episodes[0].flags["planning/accepted"].sum()
    assert noted["planning/accepted_share"] == pytest.approx(accepted / episodes[0].agent_steps.sum())
    runner.stop()


def test_a_planners_barrier_corrects_another_policys_actions(checkpoint, tmp_path):
    planners, module = trained_team("DIFFUSION_CBF", max_neighbours=2)
    path = write(planners, module, tmp_path / "planners")
    trained = TrainedTeam.read(checkpoint[0])
    runner = trained.runner({**CHANGES, "beta": 0.25}, 4, shield=path)
    (policy,) = runner.actors[0]._shield.policies
    assert policy.planner.settings["beta"] == 0.25
    episodes, _ = runner.run_episodes(4, explore=False)
    assert set(episodes[0].flags) == {"planning/accepted", "planning/projected", "planning/unsatisfied"}
    assert sum(episode.flags["planning/projected"].sum() for episode in episodes) > 0
    runner.stop()
    with pytest.raises(SafeMARLError, match="no setting 'betta'"):
        trained.runner({**CHANGES, "betta": 0.25}, 4, shield=path)
