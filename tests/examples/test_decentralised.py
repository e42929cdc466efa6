"""The example of decentralised execution, as it is run by hand."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rllib_safemarl import make_vector
from rllib_safemarl.envs.team import describe_team, make_groups, make_views
from rllib_safemarl.functional.distributions import DiagonalGaussian
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.policies import TeamPolicy, save_policy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.kinds import MLPPolicy

EXAMPLE = Path(__file__).parents[2] / "examples" / "decentralised.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("decentralised", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _policy(kappa, **env_config):
    """Three robots with untrained networks of their own."""
    env = make_vector("safemarl/crossing", 1, **env_config)
    team, settings = describe_team(env, None), PolicySettings(kappa, 4, True, False)
    groups = make_groups(team, make_views(team, kappa, 4), own_spaces=False)
    torch.manual_seed(0)
    networks = {}
    for group in groups:
        size = group.observation_space.shape[0]
        weights = torch.randn(size, 8) / size**0.5, torch.randn(8, 2)
        layers = PolicyMLP(weights, (torch.zeros(8), torch.zeros(2)), ("tanh", "linear"), torch.zeros(2))
        networks[group.policy] = MLPPolicy(layers, DiagonalGaussian())
    return env, TeamPolicy(team, networks, settings)


@pytest.mark.parametrize("graph", ["moving", "static"])
@pytest.mark.parametrize("kappa", [0, 1, 2, float("inf")])
def test_what_reaches_a_robot_is_all_that_its_policy_needs(example, kappa, graph):
    env, policy = _policy(kappa, n_agents=6, sense_radius=0.7, graph=graph)
    observation, counts = env.reset(3), set()
    for _ in range(12):
        everything = example.whole_team(policy, observation)
        together = policy.act(**everything)
        for name in policy.team.agents:
            message = example.heard_by(policy, name, everything)
            assert name in message["observations"]
            counts.add(len(message["observations"]))
            np.testing.assert_allclose(policy.act(**message)[name], together[name], rtol=1e-5, atol=1e-6)
        observation = env.step({"robot": np.stack(list(together.values()))[None]}).observation
    assert {0: counts == {1}, float("inf"): counts == {6}}.get(kappa, min(counts) < 6)


def test_robots_in_processes_of_their_own_act_as_one_team(tmp_path):
    _, policy = _policy(1, n_agents=3)
    folder = save_policy(policy, tmp_path / "policy", onnx=True)
    config = '{"n_agents": 3, "time_limit": 12}'
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(folder), "--episodes", "2", "--env-config", config],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "3 robots, each in a process of its own" and len(lines) == 3
    for line in lines[1:]:
        heard, apart = re.search(r"heard of (\S+) others per step; (\S+) from acting together", line).groups()
        assert 0.0 <= float(heard) < 2.0
        assert float(apart) == 0.0
