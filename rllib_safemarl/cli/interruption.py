"""Checkpoints in time, and a Ctrl-C that loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from time import monotonic
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from rllib_safemarl.cli.console import say, say_error
from rllib_safemarl.cli.ray_session import check_address
from rllib_safemarl.errors import SafeMARLError

SECONDS_BETWEEN_CHECKPOINTS = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOST_AFTER = 3
"""So many times in a row, a second apart, Ray does not answer when it has ended."""


class Interruption(Callback):
    """Saves running trials once a minute, if asked to, and before Ctrl-C (or SIGTERM) ends the run.

    Tune by itself stops at once on Ctrl-C and forgets what was trained since the last checkpoint. A second
    Ctrl-C does that here.

    Args:
        every_minute: whether to save once a minute.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self, every_minute: bool) -> None:
        self.received: int | None = None
        self._every_minute = every_minute
        self._announced = False
        self._saved: set[str] = set()
        self._saved_at: dict[str, float] = {}
        self._stop_tune: Any = None
        self._signalled, self._over = threading.Event(), threading.Event()
        self._original = {number: signal.getsignal(number) for number in SIGNALS}

    # The signal.

    def setup(self, *args: Any, **info: Any) -> None:
        """Take over from Tune, which has just installed its own handler."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._stop_tune = signal.getsignal(signal.SIGINT)
        address = ray.get_runtime_context().gcs_address
        threading.Thread(target=self._watch_ray, args=[address], daemon=True).start()
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        if self.received is not None:
            self._stop()
        self.received = number
        self._signalled.set()

    def _watch_ray(self, address: str) -> None:
        """End where the signal has ended Ray, too, as one to a whole group of processes does.

        Ray itself would try to reach what is gone for a minute, and end in a line of its own.
        """
        self._signalled.wait()
        failures = 0
        while failures < LOST_AFTER:
            if self._over.wait(1.0):
                return
            try:
                check_address(address)
                failures = 0
            except SafeMARLError:
                failures += 1
        say_error(
            "Ray was ended by the same signal, and with it what was learnt since the last checkpoint; the "
            "same command goes on from there, rllib train with --resume"
        )
        sys.stdout.flush()
        os._exit(128 + (self.received or 0))

    def _stop(self) -> None:
        """Have Tune leave its loop; from here on signals act as they did before."""
        if callable(self._stop_tune):
            self._stop_tune(signal.SIGINT, None)
            self._stop_tune = None
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._original.items():
                signal.signal(number, handler)

    def end(self) -> None:
        """Give the signals back; to be called when Tune has returned."""
        self._over.set()
        self._signalled.set()
        self._restore_handlers()

    # What Tune calls.

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Ask for a checkpoint where one is due."""
        if result.get(DONE):
            return
        now = monotonic()
        due = now - self._saved_at.setdefault(trial.trial_id, now) >= SECONDS_BETWEEN_CHECKPOINTS
        if self.received is not None or (self._every_minute and due):
            result[SHOULD_CHECKPOINT] = True

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, *args: Any, **info: Any
    ) -> None:
        """Remember that a trial is saved."""
        self._saved_at[trial.trial_id] = monotonic()
        if self.received is not None:
            self._saved.add(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """After Ctrl-C, stop once every running trial is saved."""
        if self.received is None:
            return
        if not self._announced:
            self._announced = True
            say("stopping after this iteration, with a checkpoint (Ctrl-C again stops at once)")
        if all(t.trial_id in self._saved for t in trials if t.status == Trial.RUNNING):
            self._stop()
