"""Record, train, evaluate: the offline commands one after another, as the README has them, in small."""

import json

import pytest

from rllib_safemarl.evaluation.curves import read_curve
from tests.cli.runs import run, run_here

JOB = """
tiny:
  run: {run}
  env: safemarl/crossing
  stop: {{training_iteration: 2}}
  config:
    seed: 1
    input_: data/small.h5
    kappa: 1
    cost_limit: 1.0
    train_batch_size_per_learner: 64
    dataset_num_iters_per_learner: 5
    model_config: {{fcnet_hiddens: [8]}}
    evaluation_interval: 1
    evaluation_duration: 4
    evaluation_config: {{num_envs_per_env_runner: 4, explore: false}}
"""
RECIPE = """
env: safemarl/crossing
env_config: {n_agents: 2}
episodes: 12
seed: 3
behaviours:
  careful: {scripted: yielding, share: 2}
  reckless: {scripted: straight, share: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recorded dataset below the folder of a job."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "data").mkdir()
    (folder / "data" / "small.yaml").write_text(RECIPE)
    done = run_here("record", folder / "data" / "small.yaml", name="safemarl")
    assert done.exit_code == 0, done.output
    (folder / "job.yaml").write_text(JOB.format(run="MABC_SAFE"))
    return folder


def test_what_was_recorded_is_learned_from_and_evaluated(folder):
    told = ("--set", "env_config.n_agents=2", "--storage-path", "results")
    done = run("train", "file", "job.yaml", *told, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (trial,) = (folder / "results" / "tiny").glob("MABC_SAFE_*")
    curve = read_curve(trial)
    assert list(curve["steps"]) == [320, 640]
    assert curve[["loss", "team_return", "cost"]].notna().all(axis=None)
    assert set(curve["limit"]) == {1.0}
    assert "loss" in done.stdout and "nothing was sampled" not in done.stdout

    out = folder / "evaluated.json"
    done = run_here("evaluate", folder / "results" / "tiny", "--episodes", "3", "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["env_runners"]["num_episodes"] == 3


@pytest.mark.learning
def test_an_environment_of_other_agents_is_refused(folder):
    done = run("train", "file", "job.yaml", "--storage-path", "other", cwd=folder)
    assert done.returncode == 1
    assert "error: the environment's agents are robot_0, robot_1, robot_2, robot_3" in done.stderr
    assert "Traceback" not in done.stderr
