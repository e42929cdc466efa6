"""safemarl decay: what it prints and writes, and what it refuses."""

import pandas as pd
import pytest
from ray.tune.registry import register_env

pytest.importorskip("matplotlib")

from tests.algorithms.helpers import tiny_config
from tests.cli.runs import run_here
from tests.evaluation.influence import InfluenceVectorEnv, decaying


class _Ring:
    def __init__(self, settings):
        self._settings = dict(settings)

    def make_vector(self, num_copies):
        return InfluenceVectorEnv(num_copies, decaying(0.7, 2), **self._settings)


def run(*arguments, status=0):
    register_env("toy/ring", _Ring)
    done = run_here("decay", *arguments, name="safemarl")
    assert done.exit_code == status, done.output
    return done.output.splitlines()


def test_a_controller_s_decay_is_printed_drawn_and_written(tmp_path):
    out = tmp_path / "ring.png"
    lines = run(
        "toy/ring", "--controller", "random", "--gamma", 0, "--episodes", 64, "--steps", 150, "-o", out
    )
    at = lines.index("reward")
    assert lines[at - 2 : at] == ["running 64 episodes", "learning values of κ-hop views"]
    assert lines[at + 1].split() == ["κ", "agents", "beyond", "error", "e_κ", "of", "V's", "deviation"]
    assert [line.split()[:2] for line in lines[at + 2 : at + 5]] == [["0", "3.0"], ["1", "1.0"], ["2", "0.0"]]
    assert lines[at + 4].endswith("not above the noise")
    assert lines[at + 5].startswith("  decay: β̂ = 0.")
    assert lines[-1] == f"{out.with_suffix('.csv')}, {out}"
    table = pd.read_csv(out.with_suffix(".csv"))
    assert table["kappa"].tolist() == [0, 1, 2] and table["above_noise"].tolist() == [True, True, False]
    assert table["rate"].iloc[0] == pytest.approx(0.7, abs=0.15)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_s_decay_is_that_of_what_it_learns_from(tmp_path, ray_cluster, monkeypatch):
    from rllib_safemarl.evaluation import decay

    seen = []
    measure = decay.team_decay

    def spy(batches, quota, team, settings):
        seen.append((settings.gamma, settings.reward_scope, settings.reward_radius, int(quota.sum())))
        return measure(batches, quota, team, settings)

    monkeypatch.setattr(decay, "team_decay", spy)
    config = tiny_config(n_agents=3, time_limit=5).training(gamma=0.9, reward_scope="neighbourhood", kappa=2)
    config.update_from_dict({"policies": ["shared"]})
    algorithm = config.build_algo()
    algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    small = ("--episodes", 9, "--steps", 3, "--out", tmp_path / "x.png")
    lines = run(tmp_path / "checkpoint", *small, "--set", "env_config.time_limit=6")
    assert {"reward", "separation"} <= set(lines)
    run(tmp_path / "checkpoint", *small, "--gamma", 0.5, "--reward-scope", "own")
    assert seen == [(0.9, "neighbourhood", 2.0, 9), (0.5, "own", 2.0, 9)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: there is no checkpoint folder"),
        (["toy/ring", "--controller", "x", "--out", "decay.gif"], "error: the picture is a .png"),
        (["toy/ring", "--controller", "x", "--out", "no/decay.png"], "error: there is no folder no to write"),
        (
            ["toy/ring", "--controller", "randon"],
            "error: toy/ring has no controller 'randon'. Did you mean 'random'?",
        ),
        (
            ["safemarl/crosing", "--controller", "x"],
            "there is no environment 'safemarl/crosing'. Did you mean",
        ),
        (
            ["toy/ring", "--controller", "random", "--set", "kappa=1"],
            "only env_config and agent_graph can be set",
        ),
        (
            ["toy/ring", "--controller", "random", "--reward-scope", "neighbourhood"],
            "error: --reward-scope neighbourhood is as wide as critics see, and a controller has none.",
        ),
        (
            ["toy/ring", "--controller", "random", "--set", "agent_graph=[[0, 9]]"],
            "error: agent_graph must be pairs of agents",
        ),
    ],
)
def test_misuse_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = run(*arguments, status=1)
    assert message in lines[-1]
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert list(tmp_path.iterdir()) == []
