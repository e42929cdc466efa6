"""Resumed trials start from the last checkpoint that was written, not the last that Tune had noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial
from ray.tune.result import TIME_TOTAL_S

from rllib_safemarl._compat import TrainingResult
from rllib_safemarl.cli.paths import checkpoint_number
from rllib_safemarl.data.file_lists import is_whole


class WrittenCheckpoints(Callback):
    """Tells resumed trials of checkpoints that Tune does not know of.

    Tune notes every ten seconds at most what there is, so that a driver that was killed has not noted its
    last checkpoints. Their metrics are lost: the time that was trained counts up to the last one noted.
    """

    def __init__(self) -> None:
        self._told = False

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Before Tune starts anything."""
        if self._told:
            return
        self._told = True
        for trial in trials:
            if not trial.is_finished():
                tell(trial)


def tell(trial: Trial) -> None:
    """Let a trial know of its whole checkpoints that are newer than those it knows of."""
    known = trial.latest_checkpoint_result
    metrics = {} if known is None else known.metrics
    kept = {TIME_TOTAL_S: metrics[TIME_TOTAL_S]} if TIME_TOTAL_S in metrics else {}
    for folder in sorted(Path(trial.path).glob("checkpoint_*"), key=checkpoint_number):
        number = checkpoint_number(folder)
        if number > trial.storage.current_checkpoint_index and is_whole(folder):
            trial.on_checkpoint(TrainingResult(Checkpoint.from_directory(str(folder)), dict(kept)))
            trial.storage.current_checkpoint_index = number
