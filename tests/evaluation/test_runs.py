"""Runs read from folders, and what tells them apart."""

import json
import math
from dataclasses import asdict

import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.curves import read_result
from rllib_safemarl.evaluation.runs import curves_by_row, label_runs, read_runs
from rllib_safemarl.evaluation.words import setting_text
from tests.evaluation.tuned_runs import curve, results, write_tuned

LINES = results(*curve(1.0, 2.0, iterations=4))


def tuned(folder, name, **settings):
    return write_tuned(folder / name, {"env": "safemarl/crossing", "seed": 0, "lr": 0.1, **settings}, LINES)


def compared(folder, rows=(("ours, κ=∞", 0, "0123456789"), ("other", 1, "abcdef0123"))):
    """What a comparison keeps: trials whose names have lost letters, and the table that has them."""
    (folder / "trials").mkdir(parents=True)
    table = ["environment,row,variant,seed,status,digest"]
    for row, seed, digest in rows:
        trial = folder / "trials" / f"{row.split(',')[0]}-open-seed{seed}-{digest}"
        trial.mkdir()
        readings = "".join(json.dumps(asdict(read_result(line))) + "\n" for line in LINES)
        (trial / "curve.jsonl").write_text(readings)
        table += [f'open,"{row}",,{seed},done,{digest}', f'ring,"{row}",calm,{seed},done,{digest}']
    (folder / "trials" / "random-open-seed0-9999999999").mkdir()
    (folder / "results.csv").write_text("\n".join(table) + "\n")
    return folder


@pytest.mark.parametrize("deep", ["", "trial_0", ".."])
def test_runs_of_tune_are_found_from_an_experiment_a_trial_and_the_folder_above(tmp_path, deep):
    tuned(tmp_path / "sweep", "trial_0", kappa=1, model={"hiddens": [8, 8]})
    (run,) = read_runs([tmp_path / "sweep" / deep])
    assert (run.source, run.environment, run.row, run.seed) == ("sweep", "safemarl/crossing", "", 0)
    assert run.settings == {"lr": 0.1, "kappa": 1, "model.hiddens": (8, 8)}
    assert list(run.curve["steps"]) == [3200.0, 6400.0, 9600.0, 12800.0]
    assert run.curve["within_limit"].notna().sum() == 3, "no episode had ended in the first"


def test_runs_of_a_comparison_have_its_rows_and_environments(tmp_path):
    first, second = read_runs([compared(tmp_path / "suite")])
    assert (second.row, second.environment, second.seed) == ("ours, κ=∞", "open", 0)
    assert (first.row, first.seed, first.source) == ("other", 1, "suite")
    assert curves_by_row([first, second]).keys() == {"open"}
    (tmp_path / "suite" / "results.csv").unlink()
    assert {run.row for run in read_runs([tmp_path / "suite"])} == {"ours-open", "other-open"}


def test_runs_that_differ_in_their_seed_alone_are_one_row(tmp_path):
    for k, (kappa, seed) in enumerate(((1, 0), (1, 1), (math.inf, 0))):
        tuned(tmp_path / "sweep", f"trial_{k}", kappa=kappa, seed=seed, env_config={"kappa": 3})
    runs = read_runs([tmp_path / "sweep"])
    assert label_runs(runs) == ["kappa=1", "kappa=1", "kappa=∞"]
    by_row = curves_by_row(runs)["safemarl/crossing"]
    assert {label: len(curves) for label, curves in by_row.items()} == {"kappa=1": 2, "kappa=∞": 1}


def test_several_experiments_are_told_apart_by_their_names(tmp_path):
    tuned(tmp_path / "one", "trial", kappa=1)
    for k in (1, 2):
        tuned(tmp_path / "two", f"trial_{k}", gamma=k)
    runs = read_runs([tmp_path / "one", tmp_path / "two", tmp_path / "one"])
    assert label_runs(runs) == ["one", "two: gamma=1", "two: gamma=2"], "each run once"


def test_names_of_settings_are_as_long_as_they_must_be(tmp_path):
    for k in (1, 2):
        tuned(tmp_path / "sweep", f"trial_{k}", kappa=k, env_config={"kappa": k, "n_agents": k})
    assert label_runs(read_runs([tmp_path / "sweep"]))[0] == "kappa=1, env_config.kappa=1, n_agents=1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.5, "0.5"), (math.inf, "∞"), (None, "none"), ((8, 8), "[8, 8]"), ("pid", "pid")],
)
def test_settings_in_words(value, text):
    assert setting_text(value) == text


def test_a_folder_without_runs_is_said(tmp_path):
    with pytest.raises(SafeMARLError, match=r"there is no folder .*none"):
        read_runs([tmp_path / "none"])
    write_tuned(tmp_path / "sweep" / "trial", {}, [])
    with pytest.raises(SafeMARLError, match="holds no run that reported anything: name the folder of a Tune"):
        read_runs([tmp_path / "sweep"])
    write_tuned(tmp_path / "once" / "trial", {}, LINES[:1])
    assert len(read_runs([tmp_path / "once"])[0].curve) == 1
