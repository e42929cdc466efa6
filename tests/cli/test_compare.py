"""`safemarl compare` for real, on tiny batches; Ray runs in the command's process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rllib_safemarl import __version__
from rllib_safemarl.cli.compare import _read
from rllib_safemarl.evaluation.comparison_records import load_record
from tests.cli.runs import command, environment, run_here

SUITES = sorted((Path(__file__).parents[2] / "tuned_configs" / "suites").glob("*.yaml"))
DATA = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data" / "crossing.h5"
SUITE = """
title: Three rows
base: base.yaml
rows:
  ours: {tune: {lr: [0.001]}}
  other: OTHER
  data: {data: data.h5, split: calibration}
controllers: [stand_still, straight]
unseen:
  three: {env_config: {n_agents: 3, layout: ring}}
seeds: [3]
evaluation_episodes: 10
"""
BASE = """
tiny:
  run: SCAL_MAPPO_L
  env: safemarl/crossing
  stop: {training_iteration: 2}
  config:
    cost_limit: 1.0
    num_envs_per_env_runner: 8
    train_batch_size: 480
    minibatch_size: 480
    num_epochs: 1
    env_config: {time_limit: 30}
    model_config: {fcnet_hiddens: [8]}
"""
CLONED = """
    run: MABC
    without: [train_batch_size, minibatch_size, num_epochs]
    config:
      input_: data.h5
      policies: [robot]
      train_batch_size_per_learner: 48
      dataset_num_iters_per_learner: 10
      model_config: {fcnet_activation: relu}
    variants: {sampled: {explore: true}}
"""
BROKEN = CLONED.replace("relu", "nonsense")
CONTROLLERS = ["stand_still", "straight"]
OWN, UNSEEN = "safemarl/crossing", "three"


def compare(folder):
    done = subprocess.run(
        command("compare", "suite.yaml", "--ray-num-cpus", "2", name="safemarl"),
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(),
        cwd=folder,
    )
    return done, pd.read_csv(folder / "results" / "suite" / "results.csv")


def write(folder, other=CLONED):
    (folder / "base.yaml").write_text(BASE)
    if not (folder / "data.h5").exists():
        (folder / "data.h5").symlink_to(DATA)
    (folder / "suite.yaml").write_text(SUITE.replace("OTHER", other))


def times(folder, name):
    """When files of trials were written, by trial."""
    files = folder.glob(f"results/suite/trials/*/{name}")
    return {f"{file.parent.name}/{file.name}": file.stat().st_mtime_ns for file in files}


@pytest.fixture(scope="module")
def goes(tmp_path_factory):
    """The command three times: at first, again, and with an evaluation lost and a row changed and broken."""
    folder = tmp_path_factory.mktemp("compare")
    write(folder)
    first = compare(folder)
    state = {name: times(folder, name) for name in ("progress.json", "evaluation*.npz")}
    second = compare(folder)
    assert {name: times(folder, name) for name in state} == state, "nothing was done twice"
    (lost,) = folder.glob("results/suite/trials/ours-*-seed3-*/evaluation.npz")
    lost.unlink()
    write(folder, other=BROKEN)
    return folder, state, lost, first, second, compare(folder)


def test_every_trial_is_trained_and_evaluated(goes):
    _, state, _, (done, results), *_ = goes
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"rllib_safemarl {__version__}: reading suite.yaml"
    assert lines[1] == "Three rows, tuning; 1 trial to train, 1 to evaluate on 10 episodes each, 0 done"
    chosen = lines.index("ours on safemarl/crossing, selected online: lr=0.001")
    assert lines[chosen + 1] == (
        "Three rows: 5 rows, 1 unseen, 1 seed; 1 trial to train, 11 to evaluate on 10 episodes each, 0 done"
    ), "what was chosen is trained already"
    assert done.stderr == "", "Ray's noise is kept down"
    lines = results[["row", "variant", "environment"]].fillna("").itertuples(index=False, name=None)
    assert list(lines) == [
        *(("ours", "", place) for place in (OWN, UNSEEN)),
        *(("other", variant, place) for place in (OWN, UNSEEN) for variant in ("", "sampled")),
        ("data", "", OWN),
        *((row, "", place) for row in CONTROLLERS for place in (OWN, UNSEEN)),
    ]
    assert (results["status"] == "done").all() and (results["seed"] == 3).all()
    assert (results[results["row"] != "data"]["episodes"] == 10).all()
    trained = results[results["algorithm"].notna()]
    assert (trained["steps"] == 960).all() and (trained["iterations"] == 2).all()
    assert trained[trained["row"] == "ours"]["peak_multiplier"].notna().all()
    assert len(state["progress.json"]) == 2 and len(state["evaluation*.npz"]) == 11
    sampled = trained[trained["variant"] == "sampled"]
    as_trained = trained[(trained["row"] == "other") & trained["variant"].isna()]
    assert (sampled["return"].to_numpy() != as_trained["return"].to_numpy()).all()


def test_references_need_no_training(goes):
    _, _, _, (_, results), *_ = goes
    by_row = results[results["environment"] == OWN].groupby("row").mean(numeric_only=True)
    assert by_row.loc["stand_still", "cost"] == 0.0 and by_row.loc["stand_still", "goal_reached"] == 0.0
    straight = by_row.loc["straight"]
    assert (
        straight["cost"] > 1.0 and straight["goal_reached"] == 1.0 and straight["dangerous_episodes"] == 1.0
    )
    # A cost is one step in danger of one agent, so that shares of danger and costs are the same.
    assert straight["safe_share"] == pytest.approx(1.0 - straight["cost"] / 30.0)
    assert not results[results["row"] == "straight"]["limit_held"].any()
    assert by_row.loc["data", "episodes"] > 10 and 0.0 < by_row.loc["data", "dangerous_episodes"] < 1.0


def test_tables_figures_and_the_page_are_there(goes):
    out = goes[0] / "results" / "suite"
    text = (out / "suite.md").read_text()
    assert text.startswith("# Three rows\n\n`safemarl compare suite.yaml`\n")
    assert f"## {OWN}\n" in text and f"## {UNSEEN}, unseen in training\n" in text
    assert text.count("| other, sampled |") == 2 + 2, "in both tables, and in both of details"
    assert "## Generalisation" not in text, "there are no random actions to measure by"
    (tuned,) = [line for line in text.splitlines() if "| lr=0.001 |" in line]
    (trial,) = out.glob("trials/ours-*")
    chosen, tested = (load_record(trial / f"{name}.npz").returns for name in ("validation", "evaluation"))
    assert tuned.endswith("| yes |") and (chosen != tested).any(), "other episodes than the test's"
    for name in ("curves", "results"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG") and f"]({name}.png)" in text
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    page, tables = (out / "suite.html").read_text(), (out / "suite.tex").read_text()
    assert page.count("data:image/png;base64,") == 2 and "other, sampled" in page
    assert tables.count(r"\begin{table}") == page.count("<table>") == text.count("| :--- |")
    tree = json.loads((out / "marl_eval.json").read_text())
    assert set(tree["safemarl/crossing"][OWN]) == {"ours"}
    evaluated = tree["safemarl/crossing, evaluated"][UNSEEN]
    assert set(evaluated) == {"ours", *CONTROLLERS}, "the other row has failed in the end"
    assert not any(str(goes[0]) in written for written in (text, page, tables))


def test_the_same_command_again_does_nothing_twice(goes):
    *_, (_, before), (done, after), _ = goes
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 11 evaluations are done" in done.stdout
    assert "Ray" not in done.stdout
    pd.testing.assert_frame_equal(before, after)


def test_only_what_is_lost_or_changed_is_done_again(goes):
    folder, state, lost, (_, before), _, (done, after) = goes
    assert "1 trial to train, 5 to evaluate on 10 episodes each, 6 done" in done.stdout
    assert "training ours" not in done.stdout
    evaluated = [line for line in done.stdout.splitlines() if ", seed 3: return " in line]
    assert [line.partition(":")[0] for line in evaluated] == ["ours, seed 3"]
    for name, was in state.items():
        now = times(folder, name)
        kept = was.keys() - {f"{lost.parent.name}/{lost.name}"}
        assert {trial: now[trial] for trial in kept} == {trial: was[trial] for trial in kept}
    ours = [frame[frame["row"] == "ours"].drop(columns=["commit", "date"]) for frame in (before, after)]
    pd.testing.assert_frame_equal(*(frame.reset_index(drop=True) for frame in ours), check_dtype=False)
    other = [set(frame[frame["row"] == "other"]["digest"]) for frame in (before, after)]
    assert not other[0] & other[1]


def test_a_trial_that_fails_is_named_and_the_others_go_on(goes):
    *_, (done, results) = goes
    assert done.returncode == 1
    assert "error: 1 of 5 trials failed" in done.stderr
    status = results.groupby("row", sort=False)["status"].unique().map(list).to_dict()
    assert status == {row: ["failed" if row == "other" else "done"] for row in status}
    assert "nonsense" in results[results["row"] == "other"]["problem"].iloc[0]
    folder = goes[0]
    assert "**Failed: other on safemarl/crossing, seed 3: " in (folder / "results/suite/suite.md").read_text()
    progress = [json.loads(f.read_text()) for f in folder.glob("results/suite/trials/other-*/progress.json")]
    assert sorted(("nonsense" in p["problem"], p["finished"]) for p in progress) == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
@pytest.mark.parametrize("budget", [None, "quick"])
def test_the_shipped_suites_read(file, budget):
    suite, inputs = _read(file, budget)
    assert inputs.is_dir()
    trained = [trial for trial in suite.trials if not trial.data]
    rows = len({trial.row for trial in trained})
    assert len(trained) == rows * len(suite.environments) * len(suite.seeds)
    for trial in trained:
        if trial.run in ("IPPO", "MAPPO", "HAPPO"):
            assert trial.config.get("multiplier", "none") == "none", (
                "the base's would make it keep to the limit"
            )
    if budget is None:
        assert len(suite.seeds) >= 3 and suite.episodes >= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "none.yaml"], "error: there is no file none.yaml."),
        (["compare", "suite.txt"], "error: suite.txt is no .yaml file."),
        (["compare", "ofline_tables"], "there is no suite of this name. Did you mean 'offline_tables'?"),
        (["compare", "suite.yaml", "--budget", "quick"], "suite 'suite' has no budget 'quick'. It has none."),
        (["compare", "suite.yaml", "--tables-only"], "there is nothing in "),
    ],
)
def test_misuse_is_said(arguments, message, tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = run_here(*arguments, name="safemarl")
    assert message in done.output
    assert done.exit_code == 1
    assert len(os.listdir(tmp_path)) == 3, "nothing was written"


def test_a_suite_is_read_and_refused_without_ray(tmp_path):
    write(tmp_path, other="{confg: {}}")
    code = (
        "import sys; from click.testing import CliRunner; from rllib_safemarl.cli.safemarl import main\n"
        "print(CliRunner().invoke(main, ['compare', 'suite.yaml']).output)\n"
        "assert not {'ray', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "row 'other' of suite 'suite' has no key 'confg'. Did you mean 'config'?" in done.stdout
