"""Results in the JSON layout that marl-eval reads, written from its documentation (Gorsane et al. 2022).

    environment → task → algorithm → run → {"step_1": {"step_count": …, METRIC: […]}, …,
                                             "absolute_metrics": {METRIC: […]}}

Tasks are the suite's environments, runs its seeds. The reader demands of an environment that every algorithm
has equally many runs, and every run equally many steps. So learning curves stand under the environment's
name, with the same number of moments each; and evaluations, variants, controllers and unseen environments
among them, under that name and ``, evaluated``, each as its only step. Rows that lack seeds are left out, and
among learning curves those that have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rllib_safemarl.evaluation.comparison import EvaluationResult
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.functional.safety_metrics import agent_costs, team_returns

EVALUATED = ", evaluated"
MOST_STEPS = 100
"""Moments of a learning curve, at most."""
_CURVE = {"return": "team_return", "cost": "cost"}
"""Metric → column of a curve."""

Tree = dict[str, Any]


def marl_eval_tree(results: Sequence[EvaluationResult], seeds: Sequence[int]) -> Tree:
    """All results of a suite.

    Args:
        results: evaluations, with the learning curves of their trials.
        seeds: of the suite; rows without a result of each are left out.
    """
    complete = [group for group in _by_row(results) if _is_complete(group, seeds)]
    tree: Tree = {}
    trained = [group for group in complete if group[0].evaluation.is_own and _has_curves(group)]
    for environment, groups in _by_environment(trained).items():
        runs = [result for group in groups for result in group]
        steps = min(MOST_STEPS, *(len(_readings(run.curve)) for run in runs))
        for result in runs:
            _put(tree, environment, result, _curve_run(result, steps))
    for group in complete:
        for result in group:
            record = result.record
            assert record is not None
            _put(tree, f"{result.evaluation.env}{EVALUATED}", result, _evaluated_run(record, result.curve))
    return tree


def _by_row(results: Sequence[EvaluationResult]) -> list[list[EvaluationResult]]:
    groups: dict[tuple[str, str], list[EvaluationResult]] = {}
    for result in results:
        groups.setdefault((result.evaluation.environment, result.evaluation.row), []).append(result)
    return list(groups.values())


def _is_complete(group: Sequence[EvaluationResult], seeds: Sequence[int]) -> bool:
    done = {result.evaluation.trial.seed for result in group if result.record is not None}
    return done == set(seeds) and len(group) == len(seeds)


def _has_curves(group: Sequence[EvaluationResult]) -> bool:
    """Whether returns were read while every run trained; clones may be evaluated afterwards only."""
    return all(len(result.curve) and len(_readings(result.curve)) for result in group)


def _by_environment(
    groups: Sequence[list[EvaluationResult]],
) -> dict[str, list[list[EvaluationResult]]]:
    found: dict[str, list[list[EvaluationResult]]] = {}
    for group in groups:
        found.setdefault(group[0].evaluation.env, []).append(group)
    return found


def _put(tree: Tree, environment: str, result: EvaluationResult, run: Tree) -> None:
    evaluation = result.evaluation
    task = tree.setdefault(environment, {}).setdefault(evaluation.environment, {})
    task.setdefault(evaluation.row, {})[f"seed_{evaluation.trial.seed}"] = run


def _readings(curve: pd.DataFrame) -> pd.DataFrame:
    """Readings after the first episode."""
    return curve[curve["team_return"].notna()]


def _curve_run(result: EvaluationResult, steps: int) -> Tree:
    """Moments of a learning curve, evenly apart, and the evaluation after it."""
    readings = _readings(result.curve)
    chosen = readings.iloc[np.linspace(0, len(readings) - 1, steps).round().astype(int)]
    has_cost = bool(chosen["cost"].notna().all())
    metrics = {name: column for name, column in _CURVE.items() if name != "cost" or has_cost}
    run: Tree = {}
    for k, (_, line) in enumerate(chosen.iterrows()):
        values = {name: [float(line[column])] for name, column in metrics.items()}
        run[f"step_{k + 1}"] = {"step_count": int(line["steps"]), "elapsed_time": line["seconds"], **values}
    assert result.record is not None
    means = _means(result.record)
    return {**run, "absolute_metrics": {name: means[name] for name in metrics if name in means}}


def _evaluated_run(record: EvaluationRecord, curve: pd.DataFrame) -> Tree:
    """An evaluation as the only step, every episode a value."""
    episodes = {name: [float(v) for v in values] for name, values in _per_episode(record)}
    steps = int(curve["steps"].iloc[-1]) if len(curve) else 0
    return {"step_1": {"step_count": steps, **episodes}, "absolute_metrics": _means(record)}


def _per_episode(record: EvaluationRecord) -> Iterator[tuple[str, np.ndarray]]:
    yield "return", team_returns(record.returns)
    if record.cost_names:
        total = record.costs.sum(-1)
        yield "cost", total.mean(1)
    if "safe_share" in record.safety:
        yield "safe_share", record.safety["safe_share"]


def _means(record: EvaluationRecord) -> Mapping[str, list[float]]:
    means = {name: [float(values.mean())] for name, values in _per_episode(record)}
    if record.cost_names:
        means["cost"] = [float(agent_costs(record.costs.sum(-1)).mean())]
    return {name: values for name, values in means.items() if math.isfinite(values[0])}
