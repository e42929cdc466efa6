"""The example of decentralised execution, as it is run by hand."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.policies import save_policy
from tests.examples.teams import crossing_policy

EXAMPLE = Path(__file__).parents[2] / "examples" / "decentralised.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("decentralised", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("graph", ["moving", "static"])
@pytest.mark.parametrize("kappa", [0, 1, 2, float("inf")])
def test_what_reaches_a_robot_is_all_that_its_policy_needs(example, kappa, graph):
    env, policy = crossing_policy(kappa, n_agents=6, sense_radius=0.7, graph=graph)
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
    _, policy = crossing_policy(1, n_agents=3)
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
