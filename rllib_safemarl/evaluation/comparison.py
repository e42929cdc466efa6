"""Results of a suite as tidy frames: one line per evaluation, and learning curves over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.statistics import FEW_SEEDS, t_interval
from rllib_safemarl.evaluation.statistics_bootstrap import bootstrap_columns
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation

DONE, FAILED, UNFINISHED = "done", "failed", "unfinished"
CURVE_RESAMPLES = 1_000
"""Bootstrap draws of a learning curve, whose every moment has an interval."""
FIRST_COLUMNS = (
    "environment",
    "row",
    "variant",
    "seed",
    "status",
    "return",
    "return_std",
    "cost",
    "worst_agent_cost",
    "worst_agent_bound",
    "limit",
    "limit_held",
    "within_limit",
    "constraint",
)
LAST_COLUMNS = (
    "dangerous_episodes",
    "safe_share",
    "strict_safe_share",
    "violations",
    "violations_per_1000",
    "severity",
    "episode_steps",
    "episodes",
    "peak_multiplier",
    "final_multiplier",
    "iterations",
    "steps",
    "seconds",
    "algorithm",
    "problem",
    "digest",
    "version",
    "commit",
    "date",
)
"""Columns of ``results.csv`` around the environment's own metrics."""


@dataclass(frozen=True)
class EvaluationResult:
    """What became of an evaluation.

    Attributes:
        evaluation: what was asked for.
        record: its episodes; None if there are none (yet).
        curve: readings of its trial while it trained, see ``evaluation.curves.read_curve``.
        problem: why it or its trial failed, or empty.
    """

    evaluation: SuiteEvaluation
    record: EvaluationRecord | None = None
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    problem: str = ""

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``unfinished``."""
        if self.record is not None:
            return DONE
        return FAILED if self.problem else UNFINISHED


def results_frame(results: list[EvaluationResult]) -> pd.DataFrame:
    """One line per evaluation; the environment's own metrics stand in the middle.

    Of several constraints the one shown is that whose limit is tightest in any seed of a row, so that its
    seeds can be averaged.
    """
    shown = _shown_constraints(results)
    lines = [_line(result, shown.get(_place(result))) for result in results]
    own = dict.fromkeys(
        name for line in lines for name in line if name not in (*FIRST_COLUMNS, *LAST_COLUMNS)
    )
    return pd.DataFrame(lines, columns=[*FIRST_COLUMNS, *own, *LAST_COLUMNS])


def _place(result: EvaluationResult) -> tuple[str, str]:
    return result.evaluation.environment, result.evaluation.row


def _shown_constraints(results: list[EvaluationResult]) -> dict[tuple[str, str], str]:
    """Environment and row, its variant included → constraint."""
    tightest: dict[tuple[str, str], dict[str, float]] = {}
    for result in results:
        if result.record is not None and result.record.cost_names:
            of_row = tightest.setdefault(_place(result), {})
            for name, value in result.record.tightness().items():
                of_row[name] = max(value, of_row.get(name, -math.inf))
    return {key: max(of_row, key=lambda name: of_row[name]) for key, of_row in tightest.items()}


def _line(result: EvaluationResult, constraint: str | None) -> dict[str, Any]:
    evaluation, record, curve = result.evaluation, result.record, result.curve
    trial = evaluation.trial
    multiplier = curve["multiplier"].dropna() if len(curve) else pd.Series(dtype=float)
    trained: dict[str, Any] = {}
    if len(curve):
        last = curve.iloc[-1]
        trained = {
            "peak_multiplier": multiplier.max() if len(multiplier) else math.nan,
            "final_multiplier": multiplier.iloc[-1] if len(multiplier) else math.nan,
            "iterations": int(last["iteration"]),
            "steps": last["steps"],
            "seconds": last["seconds"],
        }
    about: Mapping[str, Any] = record.about if record else {}
    return {
        **(record.figures(constraint) if record else {}),
        **trained,
        "environment": evaluation.environment,
        "row": trial.row,
        "variant": evaluation.variant,
        "seed": trial.seed,
        "status": result.status,
        "algorithm": trial.run or "",
        "problem": result.problem,
        "digest": trial.digest,
        **{key: about.get(key, "") for key in ("version", "commit", "date")},
    }


def own_metrics(frame: pd.DataFrame) -> list[str]:
    """Names of the environment's own metrics that some line has."""
    known = (*FIRST_COLUMNS, *LAST_COLUMNS)
    return [name for name in frame if name not in known and frame[name].notna().any()]


def mean_curve(curves: Sequence[pd.DataFrame], column: str, confidence: float = 0.95) -> pd.DataFrame:
    """A column over seeds by iteration.

    Below five seeds these are means with Student's intervals, else interquartile means with the bootstrap's.

    Args:
        curves: one per seed.
        column: which of their columns.
        confidence: of the intervals.

    Returns:
        Columns ``steps``, ``mean``, ``low`` and ``high``, one line per iteration that some seed has a
        value of; ``low`` and ``high`` are NaN where it is one seed alone.
    """
    everything = pd.concat(
        [curve[["iteration", "steps", column]].assign(seed=seed) for seed, curve in enumerate(curves)]
    ).dropna()
    values = everything.pivot(index="iteration", columns="seed", values=column)
    steps = everything.groupby("iteration")["steps"].mean()
    parts = []
    # Iterations of which the same seeds tell are averaged at once, under the same draws.
    for seeds, part in values.groupby(values.notna().apply(tuple, axis=1)):
        runs = part.to_numpy()[:, np.array(seeds)]
        mean, low, high = _average(runs, confidence)
        columns = {"steps": steps[part.index], "mean": mean, "low": low, "high": high}
        parts.append(pd.DataFrame(columns, index=part.index))
    if not parts:
        return pd.DataFrame(columns=["steps", "mean", "low", "high"], dtype=float)
    return pd.concat(parts).sort_index().reset_index(drop=True)


def _average(runs: NDArray[np.float64], confidence: float) -> tuple[NDArray[np.float64], ...]:
    """Averages and intervals ``[K]`` of ``[K, n]`` values of n seeds."""
    if runs.shape[1] >= FEW_SEEDS:
        return bootstrap_columns([runs.T], confidence, CURVE_RESAMPLES)
    estimates = [t_interval(values, confidence) for values in runs]
    return tuple(np.array([getattr(e, name) for e in estimates]) for name in ("mean", "low", "high"))
