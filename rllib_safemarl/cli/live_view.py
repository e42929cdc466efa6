"""Tune's events as lines for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_safemarl.cli.console import say
from rllib_safemarl.cli.failures import one_line
from rllib_safemarl.cli.progress import Table, TimeLeft, TrialProgress
from rllib_safemarl.errors import nearest_name

_MOST_LABEL = 40


class LiveView(Callback):
    """Prints one line per stage and a row about every two seconds.

    Args:
        budget: ``time_budget_s`` of the experiment, or None.
        names: experiment → label of its only trial, where several experiments run side by side.

    Attributes:
        started: trials that were started, or started again.
    """

    def __init__(self, budget: float | None = None, names: Mapping[str, str] | None = None) -> None:
        self.started = 0
        self._budget = budget
        self._names = names
        self._labels: dict[str, str] = {}
        self._progress: dict[str, TrialProgress] = {}
        self._table: Table | None = None
        self._total = 1
        self._checked_stop = False
        self._warned_of_standstill = False

    def setup(self, *args: Any, total_num_samples: int | None = None, **info: Any) -> None:
        """Take in how many trials there will be."""
        self._total = total_num_samples or 1

    def label(self, trial: Trial) -> str:
        """What tells a trial from the others; empty if it is alone."""
        return self._labels.get(trial.trial_id, "")

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Name trials that Tune has made."""
        if self._names is not None:
            self._labels = {t.trial_id: self._names[t.storage.experiment_dir_name] for t in trials}
        elif len(self._labels) != len(trials):
            alone = max(self._total, len(trials)) == 1
            self._labels = {} if alone else trial_labels(trials)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """One line per trial."""
        self.started += 1
        where = f" from {trial.checkpoint.path}" if trial.checkpoint else ""
        say(f"training{self._named(trial)}{where}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """A row, if one is due."""
        now = time.monotonic()
        if not self._checked_stop:
            self._checked_stop = True
            self._check_stop(trial, result)
        progress = self._progress.setdefault(
            trial.trial_id, TrialProgress(TimeLeft(trial.stopping_criterion, self._budget))
        )
        progress.update(result, now)
        if progress.stands_still and not self._warned_of_standstill:
            self._warned_of_standstill = True
            say(f"note: nothing was sampled{self._named(trial)}: env runners fail or are busy (-v shows why)")
        running = sum(t.status == Trial.RUNNING for t in trials)
        if progress.is_due(now, running):
            self._print_row(trial, now)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The last row."""
        self.print_last(trial)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Why a trial starts again."""
        self.print_last(trial)
        say(
            f"failed{self._named(trial)}, starting again ({trial.num_failures} of {trial.max_failures}): "
            f"{why(trial)}"
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The last row; why is said at the end."""
        self.print_last(trial)

    def print_last(self, trial: Trial) -> None:
        """Print a trial's newest row, unless it has been."""
        if trial.trial_id in self._progress:
            self._print_row(trial, time.monotonic())

    def _print_row(self, trial: Trial, now: float) -> None:
        if self._table is None:
            width = max((len(label) for label in self._labels.values()), default=0)
            self._table = Table(max(width, len("trial")) if width else 0)
        for line in self._progress[trial.trial_id].row(self._table, self.label(trial), now):
            say(line)

    def _named(self, trial: Trial) -> str:
        label = self.label(trial)
        return f" {label}" if label else ""

    def _check_stop(self, trial: Trial, result: dict) -> None:
        """Say which stopping criteria the first result lacks: Tune would train on for ever."""
        from ray.tune.utils import flatten_dict

        metrics = [name for name in flatten_dict(result, delimiter="/") if not name.startswith("config/")]
        for name in trial.stopping_criterion:
            if name not in metrics:
                say(
                    f"note: the stop criterion {name!r} is no metric reported so far."
                    f"{nearest_name(name, metrics)}"
                )


def trial_labels(trials: list[Trial]) -> dict[str, str]:
    """Trial id → its distinguishing parameters, numbered where these do not tell trials apart."""
    labels = {}
    for trial in trials:
        parameters = (trial.evaluated_params or {}).items()
        label = ", ".join(f"{str(key).rsplit('/', 1)[-1]}={value}" for key, value in parameters)
        labels[trial.trial_id] = label if len(label) <= _MOST_LABEL else f"{label[: _MOST_LABEL - 1]}…"
    texts = list(labels.values())
    return {
        trial: text if texts.count(text) == 1 else f"{text} #{index + 1}".strip()
        for index, (trial, text) in enumerate(labels.items())
    }


def why(trial: Trial) -> str:
    """Why a trial failed, in one line."""
    try:
        error = trial.get_pickled_error()
    except Exception:  # of a class that cannot be unpickled here; its text still tells
        error = None
    try:
        text = str(trial.get_error() or "")
    except Exception:
        text = ""
    return one_line(error, text)
