"""MADIFF learns from joint windows of which one agent's present is known; a restored run goes on alike."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms import MADiffConfig
from rllib_safemarl.algorithms.diffusion_cbf.madiff_learner import team_diffusion_loss
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.trained import TrainedTeam
from tests.policies.test_team_planner import LAYOUT, make

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty episodes of the shipped dataset, of all its splits."""
    dataset = read_dataset(SHIPPED).select(np.arange(0, 600, 10))
    return str(write_dataset(dataset, tmp_path_factory.mktemp("data") / "few.h5"))


def config(data, **settings):
    built = (
        MADiffConfig()
        .environment("safemarl/crossing")
        .offline_data(input_=data, dataset_num_iters_per_learner=4)
        .training(
            barrier_batches=2,
            critic_batches=2,
            train_batch_size_per_learner=8,
            max_neighbours=3,
            plan_horizon=4,
            solver_steps=2,
            denoiser_settings={"width": 16, "layers": 1},
            **settings,
        )
        .rl_module(model_config={"fcnet_hiddens": [16]})
        .evaluation(
            evaluation_interval=1,
            evaluation_duration=2,
            evaluation_config={"num_envs_per_env_runner": 2, "explore": False},
        )
        .debugging(seed=0)
    )
    return built


def shared(built):
    return built.multi_agent(policies={"robot"}, policy_mapping_fn=lambda agent, *_, **__: "robot")


def windows(batch=6, agents=3):
    """Rows of windows of all agents, as learners have them."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(batch * agents, 5, LAYOUT.width, generator=g)
    mask = torch.tensor([True, False]).repeat(len(x), 1)
    counted = torch.ones_like(x, dtype=torch.bool)
    counted[:, 0] = False
    counted[..., 7:] = False
    return SimpleNamespace(x=x, mask=mask, plan_counted=counted), torch.rand(len(x), 2, generator=g)


def test_of_joint_windows_one_agents_present_is_known_and_all_else_is_learned():
    planner, (rows, y) = make(diffusion_steps=8).planner, windows()
    asked = {}

    def denoiser(x, steps, condition, dropped, context):
        asked.update(x=x, condition=condition, dropped=dropped, context=context)
        # Right, but for one number that must count and one that must not.
        out = asked["noise"].clone()
        out[asked["wrong"]] += 1.0
        return out

    planner.denoiser = torch.nn.Module()
    planner.denoiser.forward = denoiser
    seeing = torch.tensor([0, 1, 2, 0, 1, 2])
    settings = MADiffConfig().training(diffusion_steps=8)

    def loss(*wrong):
        asked["wrong"] = wrong
        asked["noise"] = torch.randn(6, 3, 5, LAYOUT.width, generator=torch.Generator().manual_seed(5))
        generator = torch.Generator().manual_seed(5)
        return float(team_diffusion_loss(planner, rows, y, seeing, settings, generator))

    assert loss(0, 0, 0, 0) == 0.0, "what agent 0 sees in the first window is not learned"
    x, presents = asked["x"], rows.x[:, 0].unflatten(0, (6, 3))
    same = (x[:, :, 0] == presents).all(-1)
    assert same.tolist() == torch.nn.functional.one_hot(seeing, 3).bool().tolist()
    assert asked["context"][..., -1].tolist() == same.float().tolist()
    assert asked["context"][..., 0].tolist() == same.float().tolist(), "whom others see is not given"
    assert torch.equal(asked["condition"].flatten(0, 1), y)
    assert asked["dropped"][..., 0].all()
    assert loss(0, 1, 0, 0) > 0.0, "the others' presents are"
    assert loss(0, 0, 1, 0) > loss(0, 0, 3, 0) > 0.0, "the first step counts most"
    assert loss(0, 0, 1, 8) == 0.0, "empty slots never count"


def test_a_restored_run_is_the_same_and_acts_where_there_are_more(ray_cluster, data, tmp_path):
    algorithm = shared(config(data)).build_algo()
    algorithm.train()
    path = algorithm.save_to_path(str(tmp_path / "critics"))
    found = [algorithm.train() for _ in range(2)]
    learned = found[1]["learners"]["robot"]
    assert np.isfinite([learned[f"{name}_loss"] for name in ("diffusion", "inverse", "model", "reach")]).all()
    restored = shared(config(data)).build_algo()
    restored.restore_from_path(path)
    again = [restored.train() for _ in range(2)]
    for before, after in zip(found, again, strict=True):
        assert before["learners"]["robot"]["diffusion_loss"] == after["learners"]["robot"]["diffusion_loss"]
        figures = [r["evaluation"]["env_runners"]["episode_team_return_mean"] for r in (before, after)]
        assert figures[0] == figures[1]
    # Elsewhere there are more robots, and plans are of as many as in training.
    runner = TrainedTeam.read(Path(path)).runner({"env_config": {"n_agents": 6}}, 1)
    runner.sample(num_timesteps=8)
    assert int(runner.module["robot"].planner.team_size) == 4 and len(runner.team.agents) == 6
    runner.stop()
    for each in (algorithm, restored):
        each.stop()


def test_it_learns_what_all_windows_share(ray_cluster, data):
    algorithm = shared(config(data)).training(lr=1e-2).offline_data(dataset_num_iters_per_learner=100)
    algorithm = algorithm.evaluation(evaluation_interval=0).build_algo()
    losses = [algorithm.train()["learners"]["robot"]["diffusion_loss"] for _ in range(3)]
    algorithm.stop()
    assert losses[-1] < 0.8 * losses[0] < 0.8


def test_policies_of_one_agent_each_plan_as_themselves(ray_cluster, data):
    algorithm = config(data).evaluation(evaluation_interval=0).build_algo()
    algorithm.train()
    learner = algorithm.learner_group._learner
    assert {p: seeing.tolist() for p, seeing in learner._seeing.items()} == {
        f"robot_{i}": [i] for i in range(4)
    }
    assert {p.window_shape[0] for p in learner._planners.values()} == {4}
    algorithm.stop()


def test_what_does_not_fit_is_refused(ray_cluster, data):
    with pytest.raises(SafeMARLError, match="warm_start has no meaning in MADIFF"):
        config(data, warm_start=0.5).validate()
    with pytest.raises(SafeMARLError, match="denoiser='mlp' does not fit"):
        config(data, denoiser="mlp")
    published = config(data, preset="published")
    assert (published.denoiser, published.solver_steps, published.diffusion_steps) == ("paper_scale", 2, 200)
