"""Policies on disk: equal to the algorithm's, free of Ray and pickle, and checked when read."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from rllib_safemarl.envs import parallel_env
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies import load_policy
from tests.algorithms.helpers import tiny_config
from tests.cli.runs import run_here

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def trained(ray_cluster, tmp_path_factory):
    """A trained algorithm, its checkpoint, and an evaluation's columns."""
    algo = tiny_config().evaluation(evaluation_interval=1, evaluation_duration=4).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path_factory.mktemp("trained")))
    runner = algo.eval_env_runner
    runner.set_state(algo.weights())
    batches = runner.sample(num_episodes=4, explore=False)
    yield algo, path, batches
    algo.stop()


def test_actions_equal_those_of_the_evaluation(trained):
    _, path, batches = trained
    policy = load_policy(path)
    for batch in batches:
        for t in range(batch.steps):
            now = batch.observations[t]
            ours = policy.act_columns(now.values, now.alive, now.positions, now.edges)["robot"]
            chosen = np.concatenate([batch.groups[f"robot_{i}"].actions[t] for i in range(4)], 1)
            np.testing.assert_array_equal(ours, np.clip(chosen, -1, 1))


def test_acting_agent_by_agent_equals_acting_in_columns(trained):
    _, path, batches = trained
    policy = load_policy(path)
    now = batches[0].observations[5]
    whole = policy.act_columns(now.values, now.alive, now.positions, now.edges)["robot"]
    names = policy.team.agents
    single = policy.act(
        {name: now.values["robot"][2, i] for i, name in enumerate(names)},
        positions={name: now.positions[2, i] for i, name in enumerate(names)},
        neighbours={name: [names[j] for j in now.edges[2, i] if j >= 0] for i, name in enumerate(names)},
    )
    for i, name in enumerate(names):
        np.testing.assert_allclose(single[name], whole[2, i], rtol=1e-5, atol=1e-6)


def test_loading_and_acting_need_no_ray(trained):
    _, path, _ = trained
    program = f"""
import sys
from rllib_safemarl import load_policy
policy = load_policy({path!r})
agents = policy.team.agents
actions = policy.act(
    {{a: [0.1] * 6 for a in agents}},
    positions={{a: [0.0, float(i)] for i, a in enumerate(agents)}},
    neighbours={{a: [] for a in agents}},
)
assert len(actions) == 4
assert not [m for m in sys.modules if m == "ray" or m.startswith("ray.")]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The folder that ``safemarl export --onnx`` writes."""
    out = tmp_path_factory.mktemp("exported") / "policy"
    done = run_here("export", trained[1], "--out", out, "--onnx", name="safemarl")
    assert done.exit_code == 0, done.output
    assert "policy robot_2: MLPPolicy of robot_2\n" in done.output
    assert f"KiB; load_policy('{out}', runtime='onnx').act(observations)" in done.output.splitlines()[-1]
    return out


def test_an_export_acts_as_the_evaluation_did(trained, exported):
    policy, onnx = load_policy(exported), load_policy(exported, runtime="onnx")
    for batch in trained[2]:
        for t in range(batch.steps):
            now = batch.observations[t]
            seen = now.values, now.alive, now.positions, now.edges
            chosen = np.concatenate([batch.groups[f"robot_{i}"].actions[t] for i in range(4)], 1)
            np.testing.assert_array_equal(policy.act_columns(*seen)["robot"], np.clip(chosen, -1, 1))
            np.testing.assert_allclose(
                onnx.act_columns(*seen)["robot"], np.clip(chosen, -1, 1), rtol=1e-5, atol=1e-6
            )


def test_acting_by_onnx_runtime_loads_neither_torch_nor_ray(exported):
    program = f"""
import sys
from rllib_safemarl import load_policy
policy = load_policy({str(exported)!r}, runtime="onnx")
agents = policy.team.agents
around = dict(positions={{a: [0.0, 0.1] for a in agents}}, neighbours={{a: [] for a in agents}})
actions = policy.act({{a: [0.1] * 6 for a in agents}}, **around)
assert len(actions) == 4 and all(a.shape == (2,) for a in actions.values())
assert not {{"torch", "ray", "onnx"}} & {{m.split(".")[0] for m in sys.modules}}
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_onnx_cannot_do_is_said(trained, exported, tmp_path):
    with pytest.raises(SafeMARLError, match="sample none: act without explore"):
        load_policy(exported, runtime="onnx").act({}, positions={}, neighbours={}, explore=True)
    with pytest.raises(SafeMARLError, match="has no ONNX graphs: safemarl export CHECKPOINT"):
        load_policy(trained[1], runtime="onnx")
    with pytest.raises(SafeMARLError, match="beta cannot be changed: no policy that plans is ONNX"):
        load_policy(exported, settings={"beta": 0.5}, runtime="onnx")
    with pytest.raises(SafeMARLError, match="runtime='jax' is none of torch, onnx"):
        load_policy(exported, runtime="jax")
    copied = shutil.copytree(exported, tmp_path / "policy")
    graph = (copied / "policy_2.onnx").read_bytes()
    (copied / "policy_2.onnx").write_bytes(graph[:-9])
    with pytest.raises(SafeMARLError, match=r"policy_2.onnx is damaged or of another policy"):
        load_policy(copied, runtime="onnx")
    described = json.loads((copied / "policy.json").read_text())
    described["onnx_sha256"]["policy_2.onnx"] = hashlib.sha256(graph[:-9]).hexdigest()
    (copied / "policy.json").write_text(json.dumps(described))
    with pytest.raises(
        SafeMARLError, match="ONNX Runtime does not take the graph of policy 'robot_2'"
    ) as error:
        load_policy(copied, runtime="onnx")
    assert "\n" not in str(error.value)


def test_an_export_replaces_policies_and_nothing_else(trained, exported, tmp_path):
    def export(source, out, *flags):
        return run_here("export", source, "--out", out, *flags, name="safemarl").output

    copied = shutil.copytree(exported, tmp_path / "policy")
    assert "error" not in export(exported, copied)
    assert sorted(file.name for file in copied.iterdir()) == ["arrays.npz", "policy.json"]
    (copied / "notes.txt").write_text("mine")
    assert f"error: --out {copied} holds 'notes.txt', and would be replaced" in export(trained[1], copied)
    assert "notes.txt is a file; name a folder" in export(trained[1], copied / "notes.txt")
    assert "error: beta cannot be changed" in export(trained[1], tmp_path / "new", "--set", "beta=0.5")
    assert (copied / "notes.txt").read_text() == "mine" and not (tmp_path / "new").exists()


def test_sampled_actions_follow_the_seed(trained):
    _, path, batches = trained
    now = batches[0].observations[0]
    draws = []
    for seed in (1, 1, 2):
        policy = load_policy(path, seed=seed)
        draws.append(
            policy.act_columns(now.values, now.alive, now.positions, now.edges, explore=True)["robot"]
        )
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_agents_without_observations_are_not_seen(trained):
    _, path, _ = trained
    policy = load_policy(path)
    a, b, *_ = policy.team.agents
    observation = {a: np.ones(6), b: np.full(6, -1.0)}
    around = {"positions": {a: [0, 0], b: [1, 0]}, "neighbours": {a: [b], b: [a]}}
    seen = policy.act(observation, **around)[a]
    alone = policy.act({a: observation[a]}, **around)[a]
    assert not np.allclose(seen, alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observations": {"robot_9": np.ones(6)}}, r"no agent 'robot_9'.*Did you mean 'robot_"),
        ({"observations": {"robot_0": np.ones(5)}}, "observation of agent 'robot_0' does not fit its space"),
        ({"observations": {"robot_0": np.ones(6)}}, "see neighbours' positions"),
        ({"observations": {"robot_0": np.ones(6)}, "positions": {"robot_0": [0, 0]}}, "see a moving graph"),
        ({"observations": {"robot_0": np.ones(6)}, "positions": {}}, "no entry for agent 'robot_0'"),
    ],
)
def test_what_is_missing_is_said(trained, arguments, message):
    with pytest.raises(SafeMARLError, match=message):
        load_policy(trained[1]).act(**arguments)


def _copy(trained, tmp_path):
    return shutil.copytree(f"{trained[1]}/policy", tmp_path / "policy")


def test_damaged_and_foreign_files_are_refused(trained, tmp_path):
    folder = _copy(trained, tmp_path)
    arrays = folder / "arrays.npz"
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SafeMARLError, match=r"arrays.npz is damaged .* checksum"):
        load_policy(folder)
    arrays.write_bytes(whole)
    description = json.loads((folder / "policy.json").read_text())
    (folder / "policy.json").write_text(json.dumps({**description, "version": 99}))
    with pytest.raises(SafeMARLError, match="of version 99; this package reads"):
        load_policy(folder)
    (folder / "policy.json").write_text("{")
    with pytest.raises(SafeMARLError, match=r"policy.json is damaged"):
        load_policy(folder)
    with pytest.raises(SafeMARLError, match="holds no policy"):
        load_policy(tmp_path / "elsewhere")


def test_only_planners_have_settings_of_acting(trained):
    with pytest.raises(SafeMARLError, match="beta cannot be changed: none of these policies plans"):
        load_policy(trained[1], settings={"beta": 0.5})


def test_nothing_in_the_folder_is_pickled(trained):
    with np.load(f"{trained[1]}/policy/arrays.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_a_policy_drives_its_environment_through_pettingzoo(trained):
    policy = load_policy(trained[1])
    env = parallel_env("safemarl/crossing")
    observations, _ = env.reset(seed=1)
    actions = policy.act(
        observations,
        positions={a: np.zeros(2) for a in env.agents},
        neighbours={a: [] for a in env.agents},
    )
    assert all(env.action_space(a).contains(action) for a, action in actions.items())
    env.step(actions)


def test_users_own_modules_leave_no_policy_file_and_say_so(tmp_path, caplog):
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec

    from tests.algorithms.modules import OwnModule

    config = tiny_config().rl_module(rl_module_spec=RLModuleSpec(module_class=OwnModule))
    algo = config.build_algo()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    algo.stop()
    assert "only MLPs of the default RLModule" in caplog.text
    with pytest.raises(SafeMARLError, match="holds no policy"):
        load_policy(path)


def test_discrete_and_multi_discrete_policies_round_trip(tmp_path):
    from gymnasium import spaces

    from rllib_safemarl.envs.team import Team
    from rllib_safemarl.envs.vector import Kind
    from rllib_safemarl.functional.distributions import Categorical, MultiCategorical
    from rllib_safemarl.nn.mlp import PolicyMLP
    from rllib_safemarl.policies import TeamPolicy, save_policy
    from rllib_safemarl.policies.acting_team import PolicySettings
    from rllib_safemarl.policies.kinds import MLPPolicy

    seen = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
    kinds = (
        Kind("kind_0", (0,), seen, spaces.Discrete(3, start=1)),
        Kind("kind_1", (1,), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 4])),
    )
    team = Team(("x", "y"), kinds, (), None, None, 0, ("x", "y"))

    def net(inputs, outputs):
        return PolicyMLP((torch.randn(inputs, outputs),), (torch.zeros(outputs),), ("linear",))

    policy = TeamPolicy(
        team,
        {
            "x": MLPPolicy(net(5, 3), Categorical()),
            "y": MLPPolicy(net(2, 6), MultiCategorical((2, 4))),
        },
        PolicySettings(0.0, 8, True, False),
    )
    observations = {"x": {"a": np.array([0.5, -0.5], np.float32), "b": 2}, "y": np.array([1, 0], np.int8)}
    first = policy.act(observations)
    again = load_policy(save_policy(policy, tmp_path / "p")).act(observations)
    assert first["x"] == again["x"] and first["x"] in (1, 2, 3)
    np.testing.assert_array_equal(first["y"], again["y"])
