"""Results of a suite as tidy frames: one line per evaluation, and one per row over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.statistics import t_interval, wilson_interval
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation

DONE, FAILED, UNFINISHED = "done", "failed", "unfinished"
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


def over_seeds_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per environment, row and variant, over the seeds that are done.

    Of every numeric column stand the mean under its name and the half-width of Student's 95 % interval
    under ``<name>_half`` (NaN for one seed); beside them ``constraint``, ``worst_agent_bound_max``,
    ``peak_multiplier_max``, ``seeds_done``, ``seeds_planned`` and ``seeds_held`` (seeds under the limit by
    the worst agent's upper bound; NaN without a limit); ``dangerous_low`` and ``dangerous_high``, Wilson's
    95 % interval of the share of dangerous episodes, those of all seeds together.
    """
    lines = []
    for (environment, row, variant), group in frame.groupby(["environment", "row", "variant"], sort=False):
        done = group[group["status"] == DONE]
        line: dict[str, Any] = {"environment": environment, "row": row, "variant": variant}
        for name in done.select_dtypes("number").columns.drop("seed"):
            values = done[name].dropna()
            # Limits may be infinite, and then have no interval.
            estimate = t_interval(values) if np.isfinite(values).all() else None
            line[name] = estimate.mean if estimate else values.max()
            line[f"{name}_half"] = estimate.mean - estimate.low if estimate else math.nan
        held = done["limit_held"].dropna()
        known = done[done["dangerous_episodes"].notna()]
        dangerous = (known["dangerous_episodes"] * known["episodes"]).sum()
        pooled = wilson_interval(round(dangerous), int(known["episodes"].sum()))
        lines.append(
            line
            | {
                "worst_agent_bound_max": done["worst_agent_bound"].max(),
                "peak_multiplier_max": done["peak_multiplier"].max(),
                "constraint": next(iter(done["constraint"].dropna()), ""),
                "dangerous_low": pooled.low,
                "dangerous_high": pooled.high,
                "seeds_done": len(done),
                "seeds_planned": len(group),
                "seeds_held": float(held.astype(bool).sum()) if len(held) else math.nan,
            }
        )
    return pd.DataFrame(lines)


def mean_curve(curves: list[pd.DataFrame], column: str, confidence: float = 0.95) -> pd.DataFrame:
    """Mean over seeds by iteration.

    Args:
        curves: one per seed.
        column: which of their columns.
        confidence: of Student's interval.

    Returns:
        Columns ``steps``, ``mean``, ``low`` and ``high``, one line per iteration that some seed has a
        value of; ``low`` and ``high`` are NaN where it is one seed alone.
    """
    everything = pd.concat([curve[["iteration", "steps", column]] for curve in curves]).dropna()
    lines = []
    for _, group in everything.groupby("iteration"):
        estimate = t_interval(group[column], confidence)
        lines.append((group["steps"].mean(), estimate.mean, estimate.low, estimate.high))
    return pd.DataFrame(lines, columns=["steps", "mean", "low", "high"])
