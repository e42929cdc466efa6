"""When a comparison's evaluations begin, and that the others go on where one fails; Ray is played."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rllib_safemarl.cli import suite_evaluations
from rllib_safemarl.cli.suite_evaluations import EvaluationTasks
from rllib_safemarl.cli.suite_folder import SuiteFolder
from rllib_safemarl.cli.suite_runs import EvaluateTrained
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial

FIRST, SECOND = (SuiteTrial("a", "open", seed, "env", {"seed": seed}, run="A") for seed in (0, 1))
SHIELDED = SuiteEvaluation(FIRST, "open", "env", variant="shielded", shield=SECOND)
RULE = SuiteEvaluation(SuiteTrial("random", "open", 0, "env", {}, controller="random"), "open", "env")
EVERYTHING = (SuiteEvaluation(FIRST, "open", "env"), SuiteEvaluation(SECOND, "open", "env"), SHIELDED, RULE)


def evaluate(evaluation, source, shield, episodes, about):
    if evaluation is RULE:
        raise ValueError("there is no such rule")
    about = {**about, "source": source, "shield": shield}
    return EvaluationRecord(np.zeros((5, 1)), np.zeros((5, 1, 0)), np.ones(5), {}, {}, (), (), about)


class PlayedRay:
    """Tasks that end, one by one, when they are waited for."""

    ObjectRef = partial

    def __init__(self):
        self.started = []

    def remote(self, **options):
        def submit(*arguments):
            self.started.append(arguments[0])
            return partial(evaluate, *arguments)

        return lambda function: SimpleNamespace(remote=submit)

    def wait(self, references, timeout):
        return references[:1], references[1:]

    def get(self, reference):
        return reference()


@pytest.fixture
def played(monkeypatch, tmp_path):
    """Ray's stand-in, the comparison's folder, and its evaluations."""
    ray = PlayedRay()
    monkeypatch.setattr(suite_evaluations, "ray", ray)
    folder = SuiteFolder(tmp_path / "out", episodes=5)
    folder.create()
    return ray, folder, EvaluationTasks(folder, EVERYTHING, Path("inputs"), {"commit": "abc"})


def train(folder, trial):
    """As if the trial's training had ended."""
    (folder.trials / trial.folder / "tune" / "checkpoint_000000").mkdir(parents=True)
    folder.note(trial.folder, checkpoint="tune/checkpoint_000000", finished=True)


def test_trials_are_evaluated_once_they_and_their_shields_are_trained(played):
    ray, folder, tasks = played
    callback = EvaluateTrained(tasks)
    callback.setup()
    assert ray.started == [], "nothing is trained, and references wait for the end"
    train(folder, FIRST)
    callback.on_checkpoint(1, [], SimpleNamespace(last_result={"done": False}), None)
    assert ray.started == [], "it was not the last checkpoint"
    callback.on_checkpoint(2, [], SimpleNamespace(last_result={"done": True}), None)
    assert ray.started == [EVERYTHING[0]]
    callback.on_step_end(2, [])
    assert folder.record(EVERYTHING[0]).about["commit"] == "abc"
    train(folder, SECOND)
    callback.on_checkpoint(3, [], SimpleNamespace(last_result={"done": True}), None)
    assert ray.started == [*EVERYTHING[:3]], "each once"
    tasks.finish()
    assert ray.started == [*EVERYTHING]
    shielded = folder.record(SHIELDED).about
    assert shielded["source"] == folder.checkpoint(FIRST.folder)
    assert shielded["shield"] == folder.checkpoint(SECOND.folder)


def test_one_that_fails_is_noted_and_what_is_not_trained_is_left_out(played, capsys):
    ray, folder, tasks = played
    train(folder, FIRST)
    tasks.finish()
    assert ray.started == [EVERYTHING[0], RULE]
    assert folder.result(EVERYTHING[0]).status == "done"
    assert folder.result(RULE).problem == "evaluation failed: ValueError: there is no such rule"
    assert "random, seed 0: evaluation failed: ValueError: there is no such rule" in capsys.readouterr().out
    assert folder.result(EVERYTHING[1]).status == "unfinished"
