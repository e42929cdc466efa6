"""Rows of a comparison over their seeds: averages with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rllib_safemarl.evaluation.comparison import DONE
from rllib_safemarl.evaluation.statistics import BOOTSTRAP, FEW_SEEDS, Estimate, wilson_interval
from rllib_safemarl.evaluation.statistics_bootstrap import bootstrap_columns, over_seeds

NOTHING_KNOWN = Estimate(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class RowSummary:
    """A row, or a variant of it, in one environment over its seeds.

    Attributes:
        environment: name in the suite.
        row: the row's name.
        variant: of the row; empty for none.
        lines: of the results that are done, one per seed.
        estimates: numeric column → average over seeds with its interval; below five seeds the mean with
            Student's, else the interquartile mean with the bootstrap's.
        constraint: whose cost is shown; empty where there is one only.
        limit: on it; NaN without.
        bound: upper bound of the worst agent's cost, the largest of all seeds.
        peak_multiplier: the largest of all seeds.
        dangerous: share of dangerous episodes, those of all seeds together, with Wilson's interval.
        seeds_held: seeds under the limit by the bound; None without a limit.
        seeds_planned: seeds of the suite.
    """

    environment: str
    row: str
    variant: str
    lines: pd.DataFrame
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    constraint: str = ""
    limit: float = math.nan
    bound: float = math.nan
    peak_multiplier: float = math.nan
    dangerous: Estimate = NOTHING_KNOWN
    seeds_held: int | None = None
    seeds_planned: int = 0

    @property
    def name(self) -> str:
        """The row, with its variant where it is one."""
        return f"{self.row}, {self.variant}" if self.variant else self.row

    @property
    def seeds_done(self) -> int:
        """Seeds over which the estimates are."""
        return len(self.lines)

    def of(self, column: str) -> Estimate:
        """The average of a column; NaN where nothing is known of it."""
        return self.estimates.get(column, NOTHING_KNOWN)

    def knows(self, column: str) -> bool:
        """Whether some seed has a value in a column."""
        return not math.isnan(self.of(column).mean)

    def values(self, column: str) -> list[float]:
        """The column's values, one per seed; none where the column is missing."""
        return self.lines[column].tolist() if column in self.lines else []


def summarise_rows(frame: pd.DataFrame) -> list[RowSummary]:
    """One summary per environment, row and variant.

    Args:
        frame: of :func:`rllib_safemarl.evaluation.comparison.results_frame`, or read from its CSV.
    """
    frame = frame.assign(variant=frame["variant"].fillna("")) if "variant" in frame else frame
    groups = frame.groupby(["environment", "row", "variant"], sort=False)
    return [_summary(str(place), str(row), str(variant), group) for (place, row, variant), group in groups]


def _summary(environment: str, row: str, variant: str, group: pd.DataFrame) -> RowSummary:
    done = group[group["status"] == DONE]
    numeric = done.select_dtypes("number").columns.drop("seed")
    held = done["limit_held"].dropna()
    return RowSummary(
        environment,
        row,
        variant,
        done,
        estimates=_estimates(done[numeric]),
        constraint=str(next(iter(done["constraint"].dropna()), "")),
        limit=float(done["limit"].max()),
        bound=float(done["worst_agent_bound"].max()),
        peak_multiplier=float(done["peak_multiplier"].max()),
        dangerous=_dangerous(done),
        seeds_held=int(held.astype(bool).sum()) if len(held) else None,
        seeds_planned=len(group),
    )


def _estimates(seeds: pd.DataFrame) -> dict[str, Estimate]:
    """Column → average over seeds; columns without gaps under the same draws, all at once."""
    whole = [str(name) for name in seeds if np.isfinite(seeds[name].astype(float)).all()]
    found: dict[str, Estimate] = {}
    if len(seeds) >= FEW_SEEDS and whole:
        ends = zip(*bootstrap_columns([seeds[whole].to_numpy(float)]), strict=True)
        for name, (mean, low, high) in zip(whole, ends, strict=True):
            found[name] = Estimate(float(mean), float(low), float(high), len(seeds), BOOTSTRAP)
    return {str(name): found.get(str(name)) or _estimate(seeds[name].dropna()) for name in seeds}


def _estimate(values: pd.Series) -> Estimate:
    """Limits may be infinite, and then have no interval."""
    if np.isfinite(values).all():
        return over_seeds(values)
    return Estimate(float(values.max()), math.nan, math.nan, len(values))


def _dangerous(done: pd.DataFrame) -> Estimate:
    known = done[done["dangerous_episodes"].notna()]
    dangerous = (known["dangerous_episodes"] * known["episodes"]).sum()
    return wilson_interval(round(dangerous), int(known["episodes"].sum()))
