"""Training of a suite's trials on Ray, each of which is evaluated once it is trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import DONE, TIME_TOTAL_S, TRAINING_ITERATION

from rllib_safemarl.cli.experiments import Experiment, read_experiment
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.suite_evaluations import EvaluationTasks
from rllib_safemarl.cli.suite_folder import SuiteFolder
from rllib_safemarl.cli.training import run_in_tune
from rllib_safemarl.evaluation.curves import read_result
from rllib_safemarl.evaluation.suite_trials import SuiteTrial


class ProgressNotes(Callback):
    """Notes every reading and every checkpoint of a trial in its folder.

    Args:
        folder: the comparison's.
    """

    def __init__(self, folder: SuiteFolder) -> None:
        self._folder = folder

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tell a trial that starts from a checkpoint how long it has trained; Tune restores only paths."""
        name = _name(trial)
        found, progress = trial.latest_checkpoint_result, self._folder.progress(name)
        if found is not None and not found.metrics:
            found.metrics = {TRAINING_ITERATION: progress.iteration, TIME_TOTAL_S: progress.seconds}
        if found is None:
            self._folder.forget_curve(name)
        if progress.problem:
            self._folder.note(name, problem="")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Keep its figures."""
        self._folder.note_reading(_name(trial), read_result(result))

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any
    ) -> None:
        """Note it, and whether it is the last."""
        path, result = Path(checkpoint.path), trial.last_result or {}
        self._folder.note(
            _name(trial),
            checkpoint=f"{path.parent.name}/{path.name}",
            iteration=int(result.get(TRAINING_ITERATION, 0)),
            seconds=float(result.get(TIME_TOTAL_S, 0.0)),
            finished=bool(result.get(DONE)),
        )


class EvaluateTrained(Callback):
    """Has every trial evaluated once its last checkpoint is noted, beside those that still train.

    Args:
        tasks: the comparison's evaluations.
    """

    def __init__(self, tasks: EvaluationTasks) -> None:
        self._tasks = tasks

    def setup(self, *args: Any, **info: Any) -> None:
        """Begin with what was trained before and not evaluated."""
        self._tasks.start_trained()

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any
    ) -> None:
        """Begin with a trial's evaluations if this was its last."""
        if (trial.last_result or {}).get(DONE):
            self._tasks.start_trained()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Keep what came of evaluations meanwhile."""
        self._tasks.collect(timeout=0.0)


def _name(trial: Trial) -> str:
    return trial.storage.experiment_dir_name


def make_experiments(
    folder: SuiteFolder, trials: Sequence[SuiteTrial], inputs: Path, flags: TrainFlags
) -> list[Experiment]:
    """One experiment per trial, from its newest checkpoint where there is one.

    Args:
        folder: the comparison's.
        trials: what is to be trained.
        inputs: relative paths in configs are looked for here.
        flags: the command line's.
    """
    return [
        read_experiment(
            trial.folder,
            {
                "run": trial.run,
                "env": trial.env,
                "stop": trial.stop,
                "config": trial.config,
                "max_failures": trial.max_failures,
                "restore": folder.checkpoint(trial.folder),
                "storage_path": str(folder.trials),
            },
            inputs,
            flags,
        )
        for trial in trials
    ]


def train(
    folder: SuiteFolder,
    experiments: list[Experiment],
    names: Mapping[str, str],
    flags: TrainFlags,
    tasks: EvaluationTasks,
) -> int | None:
    """Train, note who failed and why, and return the signal that interrupted it, if one did."""
    from rllib_safemarl.cli.live_view import why
    from rllib_safemarl.cli.summary import summarise

    outcome = run_in_tune(experiments, flags, [ProgressNotes(folder), EvaluateTrained(tasks)], names=names)
    for trial in outcome.trials:
        _keep_logs(trial)
    failed = [trial for trial in outcome.trials if trial.status == Trial.ERROR]
    summarise(failed, [names[_name(trial)] for trial in failed], not flags.quiet)
    for trial in failed:
        folder.note(_name(trial), problem=why(trial))
    return outcome.signal


def _keep_logs(trial: Trial) -> None:
    """Copy Tune's files of a trial into its folder; of several experiments Tune does so for one only."""
    source, target = Path(trial.local_path or ""), Path(trial.path)
    if trial.local_path and source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
