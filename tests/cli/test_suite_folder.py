"""What a comparison remembers: of trials that finished, stopped, failed or changed."""

from types import SimpleNamespace

import numpy as np
import pytest

from rllib_safemarl.cli.suite_folder import Progress, SuiteFolder, about_now, find_work
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.curves import read_readings, read_result
from rllib_safemarl.evaluation.runs import CURVE_FILE
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial

TRIALS = tuple(SuiteTrial("a", "open", seed, "env", {"seed": seed}, run="A") for seed in (0, 1))
EVALUATIONS = tuple(SuiteEvaluation(trial, "open", "env") for trial in TRIALS)
CONTROLLER = SuiteEvaluation(
    SuiteTrial("random", "open", 0, "env", {"seed": 0}, controller="random"), "open", "env"
)


def result(iteration, **more):
    return {"training_iteration": iteration, "time_total_s": 2.0 * iteration, **more}


@pytest.fixture
def folder(tmp_path):
    folder = SuiteFolder(tmp_path / "out", episodes=5)
    folder.create()
    return folder


def record(asked=5):
    return EvaluationRecord(
        np.zeros((5, 1)), np.zeros((5, 1, 0)), np.ones(5), {}, {}, (), (), {"asked": asked}
    )


def checkpoint(folder, trial, name="checkpoint_000000"):
    path = folder.trials / trial.folder / "tune" / name
    path.mkdir(parents=True)
    return f"tune/{name}"


def test_work_is_what_the_folder_lacks(folder):
    everything = (*EVALUATIONS, CONTROLLER)
    assert find_work(folder, everything).to_train == list(TRIALS)
    assert find_work(folder, everything).to_evaluate == list(everything)
    folder.note(TRIALS[0].folder, checkpoint=checkpoint(folder, TRIALS[0]), finished=True)
    folder.save(CONTROLLER, record())
    work = find_work(folder, everything)
    assert (work.to_train, work.to_evaluate) == ([TRIALS[1]], list(EVALUATIONS))
    folder.save(EVALUATIONS[0], record())
    assert find_work(folder, everything).to_evaluate == [EVALUATIONS[1]]
    more = SuiteFolder(folder.path, episodes=6)
    work = find_work(more, everything)
    assert work.to_evaluate == list(everything), "so many episodes have not been evaluated"
    assert work.to_train == [TRIALS[1]], "but what is trained stays so"


def test_a_trial_is_evaluated_once_for_every_variant_and_unseen_environment(folder):
    (trial, _), (own, _) = TRIALS, EVALUATIONS
    ring = SuiteEvaluation(trial, "ring", "env", {"layout": "ring"})
    calm = SuiteEvaluation(trial, "ring", "env", {"layout": "ring"}, "calm", {"beta": 0.9})
    assert find_work(folder, (own, ring, calm)).to_train == [trial], "trained once"
    folder.note(trial.folder, checkpoint=checkpoint(folder, trial), finished=True)
    folder.fail(ring, "no such door")
    folder.save(own, record())
    assert find_work(folder, (own, ring, calm)).to_evaluate == [ring, calm]
    assert [folder.result(e).status for e in (own, ring, calm)] == ["done", "failed", "unfinished"]
    folder.save(calm, record())
    assert folder.result(ring).problem == "no such door", "another evaluation says nothing of it"
    folder.save(ring, record())
    assert [folder.result(e).status for e in (own, ring, calm)] == ["done"] * 3
    changed = SuiteEvaluation(trial, "ring", "env", {"layout": "ring"}, "calm", {"beta": 0.8})
    assert find_work(folder, (own, ring, changed)).to_evaluate == [changed]


def test_a_checkpoint_that_is_gone_counts_for_nothing(folder):
    name = TRIALS[0].folder
    folder.note(name, checkpoint=checkpoint(folder, TRIALS[0]), iteration=3, finished=True, problem="x")
    assert folder.checkpoint(name) == str(folder.trials / name / "tune/checkpoint_000000")
    (folder.trials / name / "tune/checkpoint_000000").rmdir()
    assert folder.progress(name) == Progress(problem="x")
    assert folder.checkpoint(name) is None
    (folder.trials / name / "progress.json").write_text("{cut o")
    assert folder.progress(name) == Progress()


def test_an_evaluation_that_works_forgets_why_it_failed(folder):
    own = EVALUATIONS[0]
    folder.fail(own, "it broke")
    assert folder.result(own).status == "failed"
    folder.save(own, record())
    assert (folder.result(own).status, folder.result(own).problem) == ("done", "")


def test_readings_survive_a_crash_and_later_ones_count(folder):
    name = TRIALS[0].folder
    for iteration, seconds in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 9.0)):
        folder.note_reading(name, read_result(result(iteration) | {"time_total_s": seconds}))
    file = folder.trials / name / CURVE_FILE
    with file.open("a") as stream:
        stream.write('{"iteration": 4, "st')
    curve = read_readings(file)
    assert list(curve["iteration"]) == [1, 2, 3]
    assert list(curve["seconds"]) == [1.0, 9.0, 3.0]
    folder.note(name, checkpoint=checkpoint(folder, TRIALS[0]), iteration=2, finished=True)
    assert list(folder.result(EVALUATIONS[0]).curve["iteration"]) == [1, 2]


def test_tune_s_events_are_noted(folder):
    from rllib_safemarl.cli.suite_runs import ProgressNotes

    name = TRIALS[0].folder
    notes = ProgressNotes(folder)
    trial = SimpleNamespace(
        storage=SimpleNamespace(experiment_dir_name=name),
        latest_checkpoint_result=None,
        last_result=result(4),
    )
    folder.note(name, problem="the last time")
    folder.note_reading(name, read_result(result(99)))
    notes.on_trial_start(0, [], trial)
    assert folder.progress(name).problem == ""
    assert folder.result(EVALUATIONS[0]).curve.empty, "a trial that starts anew has no past"

    notes.on_trial_result(0, [], trial, result(4))
    saved = folder.trials / name / checkpoint(folder, TRIALS[0])
    notes.on_checkpoint(0, [], trial, SimpleNamespace(path=str(saved)))
    assert folder.progress(name) == Progress("tune/checkpoint_000000", 4, 8.0, False, "")

    found = SimpleNamespace(metrics={})
    trial.latest_checkpoint_result = found
    notes.on_trial_start(0, [], trial)
    assert found.metrics == {"training_iteration": 4, "time_total_s": 8.0}
    assert list(folder.result(EVALUATIONS[0]).curve["iteration"]) == [4], "one that goes on keeps its past"

    trial.last_result = result(5, done=True)
    notes.on_checkpoint(0, [], trial, SimpleNamespace(path=str(saved)))
    assert folder.progress(name).finished


def test_trials_are_kept_out_of_git_and_tables_are_not(folder):
    assert (folder.trials / ".gitignore").read_text() == "*\n"
    assert not (folder.path / ".gitignore").exists()


def test_a_package_that_git_does_not_keep_names_no_commit(tmp_path):
    (tmp_path / "__init__.py").touch()
    about = about_now(tmp_path)
    assert about["commit"] == "" and about["version"]
