"""All that a comparison writes, from a folder whose trials are made up here: no Ray, no training."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from rllib_safemarl.cli.compare import _read
from rllib_safemarl.cli.suite_folder import SuiteFolder
from rllib_safemarl.cli.suite_pages import _curves
from rllib_safemarl.evaluation.comparison import EvaluationResult
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.curves import read_result
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial
from tests.cli.runs import run_here
from tests.evaluation.tuned_runs import curve, results

SUITE = """
title: Two rows in two rooms
base:
  run: SCAL_MAPPO_L
  env: safemarl/crossing
  stop: {training_iteration: 8}
  config: {cost_limit: 1.0}
rows:
  ours: {}
  other: {config: {multiplier: none}, variants: {sampled: {explore: true}}}
  tuned: {tune: {lr: [0.1, 0.01]}}
controllers: [yielding, random]
environments:
  four: {}
  six: {env_config: {n_agents: 6}}
unseen:
  ring: {env_config: {layout: ring}}
seeds: SEEDS
evaluation_episodes: 5
tuning: {seeds: 1, evaluation_episodes: 3}
figures: {outcomes: [crash, slow]}
published:
  - {title: Table I, source: "A, Table I", columns: ["", reward], rows: {theirs: [850]}}
"""
FIGURES = ("results", "curves", "profiles", "outcomes")
LEVELS = {
    "ours": (1.5, 0.5),
    "other": (1.8, 3.0),
    "tuned": (1.6, 0.5),
    "yielding": (2.0, 0.0),
    "random": (-2.0, 1.0),
}
"""Row → its return and cost."""


def record(level, seed, elsewhere=False, asked=5, shares=None):
    ret, cost = level
    rng = np.random.default_rng(seed)
    returns = ret - 0.4 * elsewhere + 0.05 * rng.normal(size=(5, 4))
    costs = np.full((5, 4, 1), cost + 0.1 * elsewhere)
    clean = np.array([1.0, 1.0, 0.0, 1.0, 0.0]) if cost else np.ones(5)
    safety = {
        "clean": clean,
        "severity": 1.0 - clean,
        "safe_share": 0.9 + 0.1 * clean,
        "strict_safe_share": 0.8 + 0.2 * clean,
        "violations": 1.0 - clean,
        "violations_per_1000": 5.0 * (1.0 - clean),
    }
    about = {"asked": asked, "version": "9", "commit": "abc", "date": "2030-01-02"}
    return EvaluationRecord(returns, costs, np.full(5, 50.0), shares or {}, safety, ("near",), (1.0,), about)


def read(folder, seeds, choices=None):
    (folder / "suite.yaml").write_text(SUITE.replace("SEEDS", str(seeds)))
    return _read(folder / "suite.yaml", None, choices)[0]


def fill(folder, seeds, chosen="lr=0.01"):
    """A suite and a folder with a result of every trial but one."""
    suite = read(folder, seeds, {("tuned", place): chosen for place in ("four", "six")})
    kept = SuiteFolder(folder / "out", suite.episodes)
    kept.create()
    for evaluation in suite.tuning:
        level = (1.6, 0.5) if evaluation.point == chosen else (1.9, 4.0)
        kept.save(evaluation, record(level, evaluation.trial.seed, asked=3))
    for evaluation in suite.evaluations:
        trial = evaluation.trial
        if (trial.row, trial.environment, trial.seed) == ("other", "six", seeds - 1):
            kept.note(trial.folder, problem="it broke")
            continue
        shares = {"crash": np.full(5, 0.25), "slow": np.full(5, 0.75)}
        if trial.row == "ours":
            shares["planning/warm_share"] = np.full(5, 0.25)
        elsewhere = evaluation.environment != trial.environment
        kept.save(evaluation, record(LEVELS[trial.row], trial.seed, elsewhere, shares=shares))
        if evaluation.is_own and trial.run:
            for line in results(*curve(*LEVELS[trial.row], iterations=8, seed=trial.seed)):
                reading = read_result(line)
                # Comparisons of before had no such figure.
                kept.note_reading(trial.folder, replace(reading, within_limit=float("nan")))
    return folder / "out"


def tables_only(folder):
    return run_here(
        "compare", folder / "suite.yaml", "--tables-only", "--out", folder / "out", name="safemarl"
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    out = fill(folder, seeds=4)
    return out, tables_only(folder)


def test_everything_is_written(written):
    out, done = written
    assert done.exit_code == 1 and "error: 1 of 42 trials failed" in done.output
    names = {path.name for path in out.iterdir()}
    assert names == {
        "trials",
        "results.csv",
        "suite.md",
        "suite.html",
        "suite.tex",
        "marl_eval.json",
        *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")),
    }
    assert "ours on four: return 1.5" in done.output


def test_the_parts_of_the_page_are_in_order(written):
    text = (written[0] / "suite.md").read_text()
    order = [
        "# Two rows in two rooms",
        "**Failed: other on six, seed 3: it broke**",
        "## four\n",
        "## ring, trained in four, unseen in training\n",
        "## six\n",
        "Below five seeds, ±",
        "](results.png)",
        "](curves.png)",
        "](profiles.png)",
        "](outcomes.png)",
        "## Over all environments\n",
        "## Generalisation\n",
        "## Tuning, selected online\n",
        "## Details\n",
        "### four: planning\n",
        "## Training\n",
        "## Every seed\n",
        "## As published\n",
        "| theirs | 850 |",
    ]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    main_columns = text.splitlines()[text.splitlines().index("## four") + 2]
    assert "planning" not in main_columns and main_columns.count("|") <= 10, "narrow enough for a page"


def test_what_was_never_evaluated_while_training_has_no_curve():
    lines = [read_result(line) for line in results(*curve(1.0, 0.0, iterations=3))]
    frame = pd.DataFrame([asdict(reading) for reading in lines])
    silent = frame.assign(team_return=float("nan"))
    suite = SuiteTrial("ours", "four", 0, "env", {}, run="MABC")
    found = [EvaluationResult(SuiteEvaluation(suite, "four", "env"), None, c) for c in (silent, frame)]
    assert _curves(found[:1]) == {}
    (kept,) = _curves(found)["four"]["ours"]
    assert kept is frame


def test_the_numbers_of_the_page(written):
    text = (written[0] / "suite.md").read_text()
    # 1.5 between -2 and 2, and 1.1 between -2.4 and 1.6 elsewhere: nothing is lost.
    (ours,) = [line for line in text.splitlines() if line.startswith("| ours | four | 0.")]
    assert ours == "| ours | four | 0.88 ± 0.002 | 0.88 ± 0.002 | 1.00 ± 0.00 |"
    overall = text[text.index("## Over all") :].splitlines()
    (other,) = [line for line in overall[:8] if line.startswith("| other |")]
    assert other.endswith("| 0 of 7 |"), "held in none of its runs; one is missing"
    assert "0.00 [0.00, 0.00]" in other, "ours never returns more"


def test_settings_are_chosen_by_validation_and_that_is_said(written):
    out, done = written
    assert "tuned on four, selected online: lr=0.01" in done.output
    text = (out / "suite.md").read_text()
    assert "| tuned | four | lr=0.01 | 1.5" in text and "| 0.50 ≤ 1.00 | 96.0 % | yes |" in text
    assert "| tuned | four | lr=0.1 | 1.8" in text and "| 4.00 > 1.00 | 96.0 % | – |" in text
    assert "| tuned | 1.60 ±" in text, "what was chosen is tested as the row"


def test_html_holds_all_pictures_and_marl_eval_what_is_complete(written):
    out, _ = written
    page = (out / "suite.html").read_text()
    assert page.count("data:image/png;base64,") == len(FIGURES) and "Two rows in two rooms" in page
    tree = json.loads((out / "marl_eval.json").read_text())
    assert set(tree["safemarl/crossing"]["four"]) == {"ours", "other", "tuned"}
    assert set(tree["safemarl/crossing"]["six"]) == {"ours", "tuned"}, "of other a seed is missing there"
    tables = (out / "suite.tex").read_text()
    assert tables.count(r"\begin{table}") == page.count("<table>") > 5


def test_rows_wait_for_their_choice_and_pages_do_without_matplotlib(tmp_path):
    out = fill(tmp_path, seeds=1)
    lost, *_ = read(tmp_path, 1).tuning
    (out / "trials" / lost.trial.folder / lost.file).unlink()
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from rllib_safemarl.cli.safemarl import main\n"
        f"main(['compare', {str(tmp_path / 'suite.yaml')!r}, '--tables-only', '--out', {str(out)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'for pictures: pip install "rllib_safemarl[plot]"' in done.stdout, done.stderr
    assert "<img" not in (out / "suite.html").read_text() and not list(out.glob("*.p*"))
    assert "tuned on six, selected online" in done.stdout and "tuned on four, selected" not in done.stdout
    text = (out / "suite.md").read_text()
    assert "**Unfinished: 1 of 4 points of grids" in text
    assert "tuned" not in text[text.index("## four") : text.index("## ring")]
