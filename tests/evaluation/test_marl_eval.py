"""marl-eval's JSON, held against its documentation."""

import json

import numpy as np
import pandas as pd

from rllib_safemarl.evaluation.comparison import EvaluationResult
from rllib_safemarl.evaluation.marl_eval import MOST_STEPS, marl_eval_tree
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation
from tests.evaluation.test_comparison import record, trial

ABSOLUTE, COUNT, TIME = "absolute_metrics", "step_count", "elapsed_time"


def curve(returns):
    n = len(returns)
    return pd.DataFrame(
        {
            "iteration": range(1, n + 1),
            "steps": [100.0 * k for k in range(1, n + 1)],
            "seconds": [2.0 * k for k in range(1, n + 1)],
            "team_return": returns,
            "cost": np.arange(n) / 2.0,
        }
    )


def result(row="ours", seed=0, returns=(np.nan, 1.0, 2.0, 3.0), place="open", **more):
    of = trial(row, seed).trial
    evaluation = SuiteEvaluation(of, place, "env", {}, more.pop("variant", ""))
    safety = {"clean": np.ones(2), "severity": np.zeros(2), "safe_share": np.array([1.0, 0.5])}
    found = (
        record([[[1], [3]], [[0], [0]]], [[1, 2], [3, 4]], safety=safety) if more.get("done", True) else None
    )
    return EvaluationResult(evaluation, found, curve(list(returns)))


def check(tree):
    """What the documentation demands; return the environments."""
    for tasks in tree.values():
        shapes = set()
        algorithms = [set(task) for task in tasks.values()]
        assert all(names == algorithms[0] for names in algorithms)
        for runs in (runs for task in tasks.values() for runs in task.values()):
            for run in runs.values():
                steps = [name for name in run if name != ABSOLUTE]
                assert steps == [f"step_{k + 1}" for k in range(len(steps))] and steps
                metrics = [{*step} - {COUNT, TIME} for name, step in run.items() if name != ABSOLUTE]
                assert all(names == set(run[ABSOLUTE]) for names in metrics)
                assert all(isinstance(run[name][COUNT], int) for name in steps)
                values = [v for name in steps for k, v in run[name].items() if k not in (COUNT, TIME)]
                assert all(isinstance(v, list) and all(map(np.isfinite, v)) for v in values)
                assert all(len(values) == 1 for values in run[ABSOLUTE].values())
                shapes.add((len(runs), len(steps)))
        assert len(shapes) == 1, "equally many runs, and equally many steps of each"
    return set(tree)


def test_curves_and_evaluations_have_the_documented_form():
    results = [
        result("ours", 0, [np.nan, *np.arange(250.0)]),
        result("ours", 1, [np.nan, *np.arange(300.0)]),
        result("other", 0, np.arange(400.0)),
        result("other", 1, np.arange(400.0)),
        *(result("other", s, np.arange(400.0), variant="calm") for s in (0, 1)),
        *(result(row, s, place="ring") for row in ("ours", "other") for s in (0, 1)),
        *(result("other", s, place="ring", variant="calm") for s in (0, 1)),
    ]
    tree = marl_eval_tree(results, (0, 1))
    assert check(tree) == {"env", "env, evaluated"}
    assert set(tree["env"]["open"]) == {"ours", "other"}, "variants have no curves of their own"
    run = tree["env"]["open"]["ours"]["seed_0"]
    assert len(run) == MOST_STEPS + 1
    assert run["step_1"] == {COUNT: 200, TIME: 4.0, "return": [0.0], "cost": [0.5]}
    assert run[f"step_{MOST_STEPS}"][COUNT] == 25100 and run[f"step_{MOST_STEPS}"]["return"] == [249.0]
    assert run[ABSOLUTE] == {"return": [2.5], "cost": [1.0]}
    evaluated = tree["env, evaluated"]["ring"]["other, calm"]["seed_1"]
    assert evaluated["step_1"] == {
        COUNT: 400,
        "return": [1.5, 3.5],
        "cost": [2.0, 0.0],
        "safe_share": [1.0, 0.5],
    }
    assert evaluated[ABSOLUTE] == {"return": [2.5], "cost": [1.0], "safe_share": [0.75]}
    json.dumps(tree, allow_nan=False)


def test_rows_that_lack_seeds_are_left_out():
    results = [result("ours", 0), result("ours", 1), result("new", 0), result("new", 1, done=False)]
    tree = marl_eval_tree(results, (0, 1))
    check(tree)
    assert set(tree["env"]["open"]) == set(tree["env, evaluated"]["open"]) == {"ours"}
    assert marl_eval_tree([result("new", 1, done=False)], (1,)) == {}


def test_a_row_that_was_not_evaluated_while_it_learned_takes_no_curves_away():
    tree = marl_eval_tree([result("ours", 0), result("clone", 0, [np.nan, np.nan])], (0,))
    check(tree)
    assert set(tree["env"]["open"]) == {"ours"}
    assert set(tree["env, evaluated"]["open"]) == {"ours", "clone"}


def test_the_fewest_readings_of_a_run_count():
    tree = marl_eval_tree([result("ours", 0, [1.0, 2.0, 3.0]), result("other", 0, [1.0])], (0,))
    check(tree)
    assert len(tree["env"]["open"]["ours"]["seed_0"]) == 2
