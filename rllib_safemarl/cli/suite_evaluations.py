"""Evaluations of a suite as Ray tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ray

from rllib_safemarl.cli.console import say
from rllib_safemarl.cli.failures import one_line
from rllib_safemarl.cli.formats import number
from rllib_safemarl.cli.paths import resolve
from rllib_safemarl.cli.suite_folder import SuiteFolder
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.suite_evaluation import run_evaluation
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial, evaluation_name


class EvaluationTasks:
    """Evaluates what is trained; what fails is noted, and the others go on.

    Args:
        folder: the comparison's.
        evaluations: of controllers, datasets and trials, trained by now or later.
        inputs: relative paths of datasets are looked for here.
        about: noted in every record.
    """

    def __init__(
        self,
        folder: SuiteFolder,
        evaluations: Sequence[SuiteEvaluation],
        inputs: Path,
        about: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._waiting = list(evaluations)
        self._inputs = inputs
        self._about = {**about, "asked": folder.episodes}
        self._running: dict[ray.ObjectRef, SuiteEvaluation] = {}
        self._task = ray.remote(num_cpus=1, max_retries=0)(run_evaluation)

    def start_trained(self) -> None:
        """Start the evaluations of trials that are trained; references, which need no training, wait."""
        self._start([e for e in self._waiting if e.trial.run is not None])

    def finish(self) -> None:
        """Evaluate all that can be, and wait for it."""
        self._start(self._waiting)
        while self._running:
            self.collect()

    def collect(self, timeout: float | None = None) -> None:
        """Keep what came of one evaluation, if one ends within so many seconds."""
        if not self._running:
            return
        ready, _ = ray.wait(list(self._running), timeout=timeout)
        for reference in ready:
            self._keep(self._running.pop(reference), reference)

    def _start(self, evaluations: Sequence[SuiteEvaluation]) -> None:
        """Start those of some evaluations for which everything is trained."""
        folder = self._folder
        trained = {trial.folder: folder.is_trained(trial) for e in evaluations for trial in e.trials}
        ready = [e for e in evaluations if all(trained[trial.folder] for trial in e.trials)]
        for e in ready:
            shield = e.shield and self._source(e.shield)
            reference = self._task.remote(e, self._source(e.trial), shield, folder.episodes, self._about)
            self._running[reference] = e
        self._waiting = [e for e in self._waiting if e not in ready]

    def _source(self, trial: SuiteTrial) -> str | None:
        """Where what acts, or acted, is read from."""
        return resolve(trial.data, self._inputs) if trial.data else self._folder.checkpoint(trial.folder)

    def _keep(self, evaluation: SuiteEvaluation, reference: ray.ObjectRef) -> None:
        try:
            record = ray.get(reference)
        except Exception as error:
            problem = f"evaluation failed: {one_line(error, str(error))}"
            self._folder.fail(evaluation, problem)
            say(f"{evaluation_name(evaluation)}: {problem}")
            return
        self._folder.save(evaluation, record)
        say(f"{evaluation_name(evaluation)}: {_in_words(record)}")


def _in_words(record: EvaluationRecord) -> str:
    figures = record.figures()
    text = f"return {number(figures['return'])}"
    if not record.cost_names:
        return text
    limit = f" / {number(figures['limit'])}" if figures["limit_held"] is not None else ""
    return f"{text}, cost {number(figures['cost'])}{limit}, worst agent {number(figures['worst_agent_cost'])}"
