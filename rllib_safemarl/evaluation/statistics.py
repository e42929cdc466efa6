"""Averages with intervals over seeds and episodes, by scipy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FEW_SEEDS = 5
"""Below so many seeds a bootstrap covers too little (3 seeds: 73 % instead of 95 %): t-intervals."""
ROUNDING = 1e-9
"""Values that differ by no more than this share of them are equal."""
STUDENT, BOOTSTRAP, WILSON = "student", "bootstrap", "wilson"


@dataclass(frozen=True)
class Estimate:
    """An average with its interval.

    Attributes:
        mean: the average, of bootstrap intervals the interquartile mean.
        low: lower end of the interval.
        high: upper end.
        count: values it is over.
        method: whose interval it is: ``student``, ``bootstrap`` or ``wilson``.
    """

    mean: float
    low: float
    high: float
    count: int
    method: str = STUDENT

    def __str__(self) -> str:
        if self.count < 2 or not math.isfinite(self.low):
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean and Student's t-interval; NaN ends for fewer than two values."""
    x = np.asarray(values, float).ravel()
    mean = float(x.mean()) if len(x) else math.nan
    if len(x) < 2:
        return Estimate(mean, math.nan, math.nan, len(x))
    if np.allclose(x, x[0], rtol=ROUNDING, atol=0.0):
        return Estimate(mean, mean, mean, len(x))
    half = float(stats.t.ppf(0.5 + confidence / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Estimate(mean, mean - half, mean + half, len(x))


def upper_bound(values: ArrayLike, confidence: float = 0.95) -> float:
    """One-sided upper bound of the mean by Student's t; the value itself where all are equal."""
    x = np.asarray(values, float).ravel()
    if len(x) < 2:
        return math.inf
    spread = float(x.std(ddof=1))
    return float(x.mean() + stats.t.ppf(confidence, len(x) - 1) * spread / math.sqrt(len(x)))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    """A rate with Wilson's interval, which holds at 0 and 1 too."""
    if trials == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, WILSON)
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high), trials, WILSON)
