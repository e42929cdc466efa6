"""Experiments as files and flags describe them."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import rllib_safemarl.algorithms  # noqa: F401  (a Python file would import it, and quieten Ray for all tests)
from rllib_safemarl.cli.experiments import read_experiment, read_experiments
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.paths import CHECKPOINT_FILE, newest_checkpoint
from rllib_safemarl.cli.training import run_in_tune
from rllib_safemarl.data.file_lists import LIST, list_files
from rllib_safemarl.errors import SafeMARLError

SPEC = {
    "run": "SCAL_MAPPO_L",
    "env": "safemarl/crossing",
    "stop": {"training_iteration": 3},
    "config": {"kappa": {"grid_search": [1, 2]}, "env_config": {"n_agents": 4}},
}


def read(spec=SPEC, folder=Path("."), **flags):
    return read_experiment("mine", spec, folder, TrainFlags(**flags))


def refused(spec, **flags):
    with pytest.raises(SafeMARLError) as caught:
        read(spec, **flags)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_shipped_file_reads():
    file = Path(__file__).parents[2] / "tuned_configs" / "scal_mappo_l.yaml"
    (experiment,) = read_experiments(file, TrainFlags())
    assert experiment.run == "SCAL_MAPPO_L"
    assert experiment.config["env"] == "safemarl/crossing"
    assert experiment.config["cost_limit"] > 0
    assert experiment.stop == {"training_iteration": 150}
    assert experiment.checkpoints == {"checkpoint_at_end": True}


def test_flags_go_before_the_file():
    experiment = read(
        stop='{"training_iteration": 7, "env_runners": {"num_env_steps_sampled_lifetime": 1e4}}',
        env="other",
        assignments=("lr=1e-3", "env_config.n_agents=8"),
        checkpoint_freq=5,
        checkpoint_at_end=False,
        keep_checkpoints_num=2,
        checkpoint_score_attr="min-env_runners/episode_cost_mean",
        local_mode=True,
    )
    assert experiment.stop == {"training_iteration": 7, "env_runners/num_env_steps_sampled_lifetime": 1e4}
    assert experiment.config == {
        "env": "other",
        "kappa": {"grid_search": [1, 2]},
        "env_config": {"n_agents": 8},
        "lr": 0.001,
        "num_env_runners": 0,
        "num_learners": 0,
    }
    assert experiment.checkpoints == {
        "checkpoint_frequency": 5,
        "checkpoint_at_end": False,
        "num_to_keep": 2,
        "checkpoint_score_attribute": "env_runners/episode_cost_mean",
        "checkpoint_score_order": "min",
    }
    assert SPEC["config"]["env_config"] == {"n_agents": 4}, "the file's own mapping must stay as it was"


def test_the_files_checkpoint_settings_hold_without_flags():
    spec = {**SPEC, "checkpoint_freq": 4, "checkpoint_config": {"num_to_keep": 1, "checkpoint_at_end": False}}
    assert read(spec).checkpoints == {"checkpoint_frequency": 4, "num_to_keep": 1, "checkpoint_at_end": False}


def test_keys_for_tune_arrive():
    spec = {**SPEC, "num_samples": 3, "max_failures": 2, "time_budget_s": 60}
    assert read(spec).tune == {"num_samples": 3, "max_failures": 2, "time_budget_s": 60}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stopp": {}}, "has no key 'stopp'. Did you mean 'stop'?"),
        ({"resources_per_trial": {"cpu": 1}}, "set num_env_runners"),
        ({"local_dir": "x"}, "it is called storage_path now"),
        ({"run": None}, "names no algorithm"),
        ({"env": None}, "names no environment"),
        ({"config": [1]}, "must be a mapping"),
        ({"config": {"framework": "tf2"}}, "only torch is"),
        ({"stop": {"training_iteration": "ten"}}, "is 'ten', no number"),
        ({"stop": 3}, "must map metrics to values"),
        ({"checkpoint_config": {"num_to_kep": 1}}, "Did you mean 'num_to_keep'?"),
        ({"restore": "nowhere"}, "there is no checkpoint folder"),
        ({"config": {"input_": "nowhere.parquet"}}, "input_: there is no 'nowhere.parquet' in"),
    ],
)
def test_bad_experiments_are_refused_in_one_line(change, message):
    assert message in refused({**SPEC, **change})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"trace": True}, "--trace"),
        ({"framework": "tf2"}, "only torch is"),
        ({"wandb_key": "k"}, "--wandb-project"),
        ({"scheduler_config": "3"}, "--scheduler-config"),
    ],
)
def test_bad_flags_are_refused(flags, message):
    assert message in refused(SPEC, **flags)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.yaml", "", "must map experiment names"),
        ("unnamed.yaml", "run: PPO\nenv: CartPole-v1\n", "without a name"),
        ("list.yaml", "x: [1]\n", "experiment 'x' must be a mapping"),
        ("notes.txt", "", "neither a .yaml nor a .py file"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SafeMARLError, match=message):
        read_experiments(tmp_path / name, TrainFlags())


def test_relative_paths_are_looked_for_beside_the_file_and_then_here(tmp_path, monkeypatch):
    beside, here = tmp_path / "configs", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
    (beside / "both.parquet").touch()
    (here / "both.parquet").touch()
    (here / "here.parquet").touch()
    monkeypatch.chdir(here)
    config = {"input_": ["both.parquet", "here.parquet", "s3://bucket/data"], "env_config": {"file": "x"}}
    experiment = read({**SPEC, "config": config, "storage_path": "results"}, beside)
    assert experiment.config["input_"] == [
        str(beside / "both.parquet"),
        str(here / "here.parquet"),
        "s3://bucket/data",
    ]
    assert experiment.config["env_config"] == {"file": "x"}
    assert experiment.folder == here / "results" / "mine"
    assert read({**SPEC, "storage_path": "s3://bucket/results"}).folder is None


def test_checkpoints_that_were_cut_off_are_passed_over(tmp_path):
    def checkpoint(number, time):
        folder = tmp_path / "trial" / f"checkpoint_{number:06d}"
        (folder / "learner").mkdir(parents=True)
        for name in (CHECKPOINT_FILE, "learner/state.pkl"):
            (folder / name).write_text("some bytes")
        os.utime(folder / CHECKPOINT_FILE, (time, time))
        return folder

    old, missing, shorter, unlisted = (checkpoint(i, 100.0 + i) for i in range(4))
    for each in (old, missing, shorter):
        list_files(each)
    (missing / "learner" / "state.pkl").unlink()
    (shorter / "learner" / "state.pkl").write_text("some")
    assert newest_checkpoint(str(tmp_path)) == old
    (old / LIST).write_text("[")
    assert newest_checkpoint(str(tmp_path)) == unlisted
    shutil.rmtree(unlisted)
    assert newest_checkpoint(str(tmp_path)) == shorter, "there is nothing better"


def test_of_a_trial_or_experiment_the_newest_checkpoint_is_taken(tmp_path):
    for age, name in enumerate(("a/checkpoint_000001", "b/checkpoint_000000", "a/checkpoint_000000")):
        file = tmp_path / name / CHECKPOINT_FILE
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1000 - age, 1000 - age))
    (tmp_path / "a" / "checkpoint_000009").mkdir()  # cut off: it holds nothing
    newest = tmp_path / "a" / "checkpoint_000001"
    assert newest_checkpoint(str(tmp_path)) == newest
    assert newest_checkpoint(str(tmp_path / "a")) == newest
    assert newest_checkpoint(str(tmp_path / "b" / "checkpoint_000000")).parent.name == "b"
    with pytest.raises(SafeMARLError, match="holds no checkpoint"):
        newest_checkpoint(str(tmp_path / "a" / "checkpoint_000009"))


def test_of_a_trial_the_highest_number_is_the_newest_also_where_the_clock_went_back(tmp_path):
    for number, time in ((9, 7200), (10, 3600), (2, 9000)):
        file = tmp_path / "trial" / f"checkpoint_{number:06d}" / CHECKPOINT_FILE
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (time, time))
    assert newest_checkpoint(str(tmp_path)) == tmp_path / "trial" / "checkpoint_000010"


def test_python_files_define_config_and_stop(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from rllib_safemarl.algorithms import MAPPOLConfig\n"
        "config = MAPPOLConfig().environment('safemarl/crossing', env_config={'n_agents': 3})\n"
        "config.safety(cost_limit=2.0)\n"
        "stop = {'training_iteration': 5}\n"
    )
    (experiment,) = read_experiments(file, TrainFlags(assignments=("env_config.n_agents=6", "kappa=null")))
    assert (experiment.name, experiment.run) == ("mine", "MAPPO_L")
    assert experiment.config["env"] == "safemarl/crossing"
    assert experiment.config["cost_limit"] == 2.0
    assert experiment.config["env_config"] == {"n_agents": 6}
    assert experiment.stop == {"training_iteration": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stop = {}", "must define config, an AlgorithmConfig"),
        ("1 / 0", "fails: ZeroDivisionError: division by zero"),
    ],
)
def test_bad_python_files_are_refused(tmp_path, text, message):
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(SafeMARLError, match=message):
        read_experiments(file, TrainFlags())


def test_json_is_yaml_enough(tmp_path):
    file = tmp_path / "as_json.yaml"
    file.write_text(json.dumps({"mine": SPEC}))
    assert read_experiments(file, TrainFlags())[0].config["kappa"] == {"grid_search": [1, 2]}


def test_a_run_stopped_before_tune_wrote_anything_ends_quietly(monkeypatch, tmp_path):
    # Tune then finds nothing to report of and raises.
    def stopped(experiments, callbacks, **options):
        callbacks[0].received = received
        raise ValueError("No experiment snapshot file")

    monkeypatch.setattr("ray.tune.run_experiments", stopped)
    experiment = read(storage_path=str(tmp_path))
    received = signal.SIGINT
    assert run_in_tune([experiment], TrainFlags()).signal == signal.SIGINT
    received = None
    with pytest.raises(ValueError, match="No experiment snapshot"):
        run_in_tune([experiment], TrainFlags())
