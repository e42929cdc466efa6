"""Learning and acting on a GPU, held against the CPU; skipped where there is none.

python -m pytest tests/gpu
"""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

import tests.algorithms.cue  # noqa: F401 - registers the environment
from rllib_safemarl.algorithms import ALGORITHMS, collectives
from rllib_safemarl.algorithms.constrained.presets import PRESETS
from rllib_safemarl.algorithms.offline_actor_critic.presets import OFFLINE_PRESETS
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.evaluation.trained import TrainedTeam
from tests.algorithms.helpers import assert_equal, flat, tiny_config
from tests.algorithms.modules import OwnMemory, OwnModule
from tests.algorithms.offline_actor_critic.helpers import lab
from tests.policies.planners import trained_team, write

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

SHIPPED = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data" / "crossing.h5"
GPU = 1
LSTM = {"fcnet_hiddens": [16], "use_lstm": True, "lstm_cell_size": 16, "max_seq_len": 4}
ACTING = {"explore": True, "seed": 5, "num_envs_per_env_runner": 2}
SMALL = {"width": 16, "layers": 1}
FEW = {"n_candidates": 2, "diffusion_steps": 4, "solver_steps": 2, "denoiser_settings": SMALL}
PLANS = {
    "mixed_precision": False,
    "barrier_batches": 3,
    "critic_batches": 3,
    "beta": 0.5,
    "plan_horizon": 4,
    "diffusion_steps": 8,
    "solver_steps": 2,
    "denoiser_settings": SMALL,
}
OFFLINE = {
    **{name: {} for name in OFFLINE_PRESETS},
    "FISOR": FEW,
    "MABC": {},
    "MABC_SAFE": {},
    "DIFFUSION_CBF": PLANS,
    "DIFFUSION_RETURN": PLANS,
    "MADIFF": PLANS,
}


def online(kind):
    """A config by the name of a preset, or by what else can differ on a GPU."""
    own = RLModuleSpec(module_class=OwnModule)
    kinds = {
        "own policies, stacked": lambda: tiny_config(n_agents=6),
        "own modules, stacked": lambda: tiny_config(n_agents=6).rl_module(rl_module_spec=own),
        "LSTM": lambda: tiny_config().rl_module(model_config=LSTM),
        "choices": lambda: tiny_config("IPPO").environment("toy/cue"),
        "own memory": lambda: (
            tiny_config("IPPO")
            .environment("toy/cue")
            .rl_module(rl_module_spec=RLModuleSpec(module_class=OwnMemory, model_config={"max_seq_len": 4}))
            .multi_agent(policies={"all"}, policy_mapping_fn=lambda agent, *_, **__: "all")
        ),
    }
    return kinds[kind]() if kind in kinds else tiny_config(kind)


ONLINE = [*PRESETS, "own policies, stacked", "own modules, stacked", "LSTM", "choices", "own memory"]


def learner_of(algorithm):
    return algorithm.learner_group._learner


def assert_on_gpu(learner):
    parameters = [p for policy in learner._policies.values() for p in policy.module.parameters()]
    assert {p.device.type for p in parameters} == {"cuda"}


def assert_near(first, second, start):
    """Weights that moved from ``start``, and to nearly the same place."""
    first, second, start = flat(first), flat(second), flat(start)
    moved = {}
    for key, value in first.items():
        # Scores that are not known yet are -inf.
        known = np.isfinite(value) & np.isfinite(start[key])
        moved[key] = np.abs(value[known] - start[key][known]).max(initial=0.0)
    assert max(moved.values()) > 1e-4
    for key, far in moved.items():
        np.testing.assert_allclose(second[key], first[key], atol=1e-4 + 0.05 * far, rtol=1e-3, err_msg=key)


@pytest.mark.parametrize("kind", ONLINE)
def test_online_learners_learn_what_they_learn_on_the_cpu_and_are_restored_there(ray_cluster, tmp_path, kind):
    learnt, config = [], online(kind)
    for gpus in (0, GPU):
        algorithm = config.copy().learners(num_gpus_per_learner=gpus).build_algo()
        start = copy.deepcopy(learner_of(algorithm).module.get_state())
        algorithm.train()
        learnt.append(copy.deepcopy(learner_of(algorithm).module.get_state()))
        if not gpus:
            algorithm.stop()
    assert_on_gpu(learner_of(algorithm))
    assert_near(*learnt, start)
    path = algorithm.save_to_path(str(tmp_path / "gpu"))
    restored = config.copy().build_algo()
    restored.restore_from_path(path)
    own = learner_of(restored).own_key
    states = [learner_of(each).get_state() for each in (algorithm, restored)]
    for key in ("rl_module", own):
        assert_equal(*(state[key] for state in states))
    back = config.copy().learners(num_gpus_per_learner=GPU).build_algo()
    back.restore_from_path(restored.save_to_path(str(tmp_path / "cpu")))
    for each in (algorithm, restored, back):
        each.train()
        each.stop()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty episodes of the shipped dataset, of all its splits."""
    dataset = read_dataset(SHIPPED).select(np.arange(0, 600, 10))
    return str(write_dataset(dataset, tmp_path_factory.mktemp("data") / "few.h5"))


def offline(name, data):
    config = (
        ALGORITHMS[name]
        .get_default_config()
        .environment("safemarl/crossing")
        .offline_data(input_=data, dataset_num_iters_per_learner=3)
        .training(train_batch_size_per_learner=16, max_neighbours=3, **OFFLINE[name])
        .multi_agent(policies={"robot"}, policy_mapping_fn=lambda agent, *_, **__: "robot")
        .rl_module(model_config={"fcnet_hiddens": [16]})
        .debugging(seed=0)
    )
    return config.safety(cost_limit=0.5) if name in OFFLINE_PRESETS or name == "MABC_SAFE" else config


@pytest.mark.parametrize("name", OFFLINE)
def test_offline_learners_learn_what_they_learn_on_the_cpu(ray_cluster, data, name):
    cpu, gpu = (lab(offline(name, data).learners(num_gpus_per_learner=gpus)) for gpus in (0, GPU))
    start = copy.deepcopy(cpu.learner.module.get_state())
    gpu.learner.set_state(cpu.learner.get_state())
    for _ in range(4 if OFFLINE[name] is PLANS else 1):
        figures = [each.train() for each in (cpu, gpu)]
    assert_on_gpu(gpu.learner)
    assert figures[0].keys() == figures[1].keys()
    assert_near(cpu.learner.module.get_state(), gpu.learner.module.get_state(), start)
    cpu.learner.set_state(gpu.learner.get_state())
    states = [each.learner.get_state() for each in (cpu, gpu)]
    for key in {"rl_module", cpu.learner.own_key} & states[0].keys():
        assert_equal(*(state[key] for state in states))
    gpu.learner.set_state(cpu.learner.get_state())
    gpu.train()


def test_plans_are_learnt_in_half_precision(ray_cluster, data):
    config = offline("DIFFUSION_CBF", data).training(mixed_precision=True)
    built = lab(config.learners(num_gpus_per_learner=GPU))
    for _ in range(4):
        figures = built.train()
    assert_on_gpu(built.learner)
    losses = [float(value) for key, value in flat(figures).items() if key.endswith("diffusion_loss")]
    assert losses and np.isfinite(losses).all()


def acted(trained, changes, shield=None):
    """Where they acted, and the returns ``[E, A]`` of their episodes."""
    runner = trained.runner({**ACTING, **changes}, 2, shield=shield)
    episodes, _ = runner.run_episodes(2, explore=changes.get("explore", True))
    device = runner.device.type
    runner.stop()
    return device, np.array([each.returns for each in episodes])


@pytest.mark.parametrize("kind", ["SCAL_MAPPO_L", "own modules, stacked", "LSTM", "own memory", "choices"])
def test_policies_act_on_the_gpu_as_on_the_cpu(ray_cluster, tmp_path, kind):
    algorithm = online(kind).build_algo()
    algorithm.train()
    path = Path(algorithm.save_to_path(str(tmp_path / "checkpoint")))
    algorithm.stop()
    trained = TrainedTeam.read(path)
    (cpu, on_cpu), (gpu, on_gpu) = (acted(trained, {"num_gpus_per_env_runner": gpus}) for gpus in (0, GPU))
    assert (cpu, gpu) == ("cpu", "cuda")
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DIFFUSION_CBF", {"n_plans": 3}),
        ("DIFFUSION_CBF", {"projection": True, "projection_model": "true"}),
        ("DIFFUSION_CBF", {"projection": True, "warm_start": 0.5, "ranking": "expected"}),
        ("DIFFUSION_CBF", {"guidance": "gradient"}),
        ("DIFFUSION_CBF", {"solver": "ddpm", "solver_steps": 16}),
        ("DIFFUSION_RETURN", {}),
        ("MADIFF", {}),
    ],
)
def test_planners_plan_on_the_gpu_as_on_the_cpu(name, settings):
    trained, _ = trained_team(name, **{"beta": 0.5, **settings})
    (_, on_cpu), (gpu, on_gpu) = (acted(trained, {"num_gpus_per_env_runner": gpus}) for gpus in (0, GPU))
    assert gpu == "cuda"
    np.testing.assert_allclose(on_gpu, on_cpu, atol=2e-2)


def test_a_shield_corrects_on_the_gpu_as_on_the_cpu(ray_cluster, tmp_path):
    config = tiny_config(n_agents=3).training(max_neighbours=2)
    algorithm = config.update_from_dict({"policies": ["robot"]}).build_algo()
    path = Path(algorithm.save_to_path(str(tmp_path / "checkpoint")))
    algorithm.stop()
    shield = write(*trained_team("DIFFUSION_CBF", beta=0.5), tmp_path / "shield")
    trained = TrainedTeam.read(path)
    (_, on_cpu), (gpu, on_gpu) = (
        acted(trained, {"num_gpus_per_env_runner": gpus}, shield) for gpus in (0, GPU)
    )
    assert gpu == "cuda"
    np.testing.assert_allclose(on_gpu, on_cpu, atol=2e-2)


def test_remote_learners_and_runners_have_gpus_of_rays(ray_cluster):
    config = (
        tiny_config()
        .learners(num_learners=1, num_gpus_per_learner=0.5)
        .env_runners(num_env_runners=1, num_gpus_per_env_runner=0.5)
    )
    algorithm = config.build_algo()
    results = algorithm.train()
    assert results["env_runners"]["num_env_steps_sampled_lifetime"] >= 120
    (device,) = algorithm.env_runner_group.foreach_env_runner(lambda r: r.device.type, local_env_runner=False)
    assert device == "cuda"
    algorithm.stop()


def test_messages_between_learners_travel_by_nccl(monkeypatch, tmp_path):
    """One learner that believes to be several: sums are its own values, wherever these were."""
    dist.init_process_group("nccl", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        monkeypatch.setattr(collectives, "num_learners", lambda: 1 + dist.get_world_size())
        summed = collectives.sum_arrays(np.arange(3.0), 2.0)
        np.testing.assert_array_equal(np.concatenate([np.atleast_1d(x) for x in summed]), [0, 1, 2, 2])
        np.testing.assert_array_equal(collectives.max_array(np.arange(3.0)), np.arange(3.0))
        for device in ("cpu", "cuda"):
            tensor = torch.arange(3.0, device=device)
            collectives.broadcast([tensor])
            assert tensor.tolist() == [0.0, 1.0, 2.0]
        monkeypatch.setattr(collectives, "num_learners", lambda: dist.get_world_size())
        parameter = torch.nn.Parameter(torch.ones(2, device="cuda"))
        parameter.grad = torch.full((2,), 3.0, device="cuda")
        collectives.sum_gradients([parameter])
        assert parameter.grad.tolist() == [3.0, 3.0]
        assert collectives.sum_tensor(torch.ones(2, device="cuda")).tolist() == [1.0, 1.0]
    finally:
        dist.destroy_process_group()
