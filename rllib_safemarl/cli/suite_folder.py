"""What a comparison keeps on disk, and so what is left to do when it is started again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rllib_safemarl.evaluation.comparison import EvaluationResult
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord, load_record, save_record
from rllib_safemarl.evaluation.curves import Reading, read_readings
from rllib_safemarl.evaluation.runs import CURVE_FILE, TRIALS_FOLDER

if TYPE_CHECKING:
    from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial

PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far the training of a trial has come.

    Attributes:
        checkpoint: the newest, relative to the trial's folder; empty if there is none.
        iteration: training iterations it is after.
        seconds: training time it is after.
        finished: whether it is the last one.
        problem: why the trial failed, or empty.
        failed: why evaluations failed, by the file that they lack.
    """

    checkpoint: str = ""
    iteration: int = 0
    seconds: float = 0.0
    finished: bool = False
    problem: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)


class SuiteFolder:
    """The folder of a comparison: its tables, and one folder per trial below ``trials``.

    Args:
        path: the folder.
        episodes: evaluation episodes of each trial; a record of another number counts as none.
    """

    def __init__(self, path: Path, episodes: int) -> None:
        self.path = path.resolve()
        self.trials = self.path / TRIALS_FOLDER
        self.episodes = episodes

    def create(self) -> None:
        """Make the folders; checkpoints are kept out of git, tables are not."""
        self.trials.mkdir(parents=True, exist_ok=True)
        write_text("*\n", self.trials / ".gitignore")

    def progress(self, folder: str) -> Progress:
        """How far a trial has come; a checkpoint that is gone counts for nothing."""
        try:
            progress = Progress(**json.loads((self.trials / folder / PROGRESS).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return Progress()
        if progress.checkpoint and (self.trials / folder / progress.checkpoint).is_dir():
            return progress
        return Progress(problem=progress.problem, failed=progress.failed)

    def is_trained(self, trial: SuiteTrial) -> bool:
        """Whether a trial needs no more training, or never needed any."""
        return trial.run is None or self.progress(trial.folder).finished

    def note(self, folder: str, **changes: Any) -> None:
        """Note how far a trial has come."""
        path = self.trials / folder
        path.mkdir(parents=True, exist_ok=True)
        changed = replace(self.progress(folder), **changes)
        write_text(json.dumps(vars(changed), indent=1) + "\n", path / PROGRESS)

    def checkpoint(self, folder: str) -> str | None:
        """The newest checkpoint of a trial."""
        relative = self.progress(folder).checkpoint
        return str(self.trials / folder / relative) if relative else None

    def record(self, evaluation: SuiteEvaluation) -> EvaluationRecord | None:
        """What was evaluated, if it was of so many episodes."""
        record = load_record(self.trials / evaluation.trial.folder / evaluation.file)
        return record if record is not None and record.about.get("asked") == self.episodes else None

    def save(self, evaluation: SuiteEvaluation, record: EvaluationRecord) -> None:
        """Keep what was evaluated."""
        folder = evaluation.trial.folder
        (self.trials / folder).mkdir(parents=True, exist_ok=True)
        save_record(record, self.trials / folder / evaluation.file)
        self._note_failure(evaluation, None)

    def fail(self, evaluation: SuiteEvaluation, problem: str) -> None:
        """Note why there is no record."""
        self._note_failure(evaluation, problem)

    def _note_failure(self, evaluation: SuiteEvaluation, problem: str | None) -> None:
        folder, file = evaluation.trial.folder, evaluation.file
        before = self.progress(folder).failed
        failed = {name: text for name, text in before.items() if name != file}
        if problem is not None:
            failed[file] = problem
        if failed != before:
            self.note(folder, failed=failed)

    def result(self, evaluation: SuiteEvaluation) -> EvaluationResult:
        """What there is of an evaluation."""
        folder = evaluation.trial.folder
        progress = self.progress(folder)
        problem = progress.problem or progress.failed.get(evaluation.file, "")
        return EvaluationResult(evaluation, self.record(evaluation), self._curve(folder), problem)

    def note_reading(self, folder: str, reading: Reading) -> None:
        """Keep the figures of an iteration."""
        path = self.trials / folder
        path.mkdir(parents=True, exist_ok=True)
        with (path / CURVE_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(reading)) + "\n")

    def forget_curve(self, folder: str) -> None:
        """Begin a trial's readings anew."""
        (self.trials / folder / CURVE_FILE).unlink(missing_ok=True)

    def _curve(self, folder: str) -> pd.DataFrame:
        """A trial's readings; of iterations that were run again the later count."""
        curve = read_readings(self.trials / folder / CURVE_FILE)
        progress = self.progress(folder)
        return curve[curve["iteration"] <= progress.iteration] if progress.finished else curve


@dataclass(frozen=True)
class Work:
    """What is left to do of a suite.

    Attributes:
        to_train: trials that have not finished training, some perhaps from a checkpoint.
        to_evaluate: evaluations without a record, those of trials to train included.
    """

    to_train: list[SuiteTrial]
    to_evaluate: list[SuiteEvaluation]


def find_work(folder: SuiteFolder, evaluations: Sequence[SuiteEvaluation]) -> Work:
    """See what the folder lacks."""
    to_evaluate = [evaluation for evaluation in evaluations if folder.record(evaluation) is None]
    needed = {trial.folder: trial for e in to_evaluate for trial in e.trials}
    return Work([trial for trial in needed.values() if not folder.is_trained(trial)], to_evaluate)


def write_text(text: str, path: Path) -> Path:
    """Write a file; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return path


def about_now(root: Path) -> Mapping[str, str]:
    """Version, commit and date, to be noted in results.

    Args:
        root: folder of the package; its commit is named where git keeps it.
    """
    import datetime
    import subprocess

    from rllib_safemarl import __version__

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        kept = git("ls-files", "--error-unmatch", "__init__.py")
        commit = git("describe", "--always", "--dirty", "--exclude=*") if kept else ""
    except OSError:
        commit = ""
    return {"version": __version__, "commit": commit, "date": datetime.date.today().isoformat()}
