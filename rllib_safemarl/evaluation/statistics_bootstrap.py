"""Interquartile means with intervals by the stratified bootstrap: runs are redrawn within their task."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from rllib_safemarl.evaluation.statistics import BOOTSTRAP, FEW_SEEDS, Estimate, t_interval

Float = NDArray[np.float64]
RESAMPLES = 10_000
FEWEST_OF_A_TASK = 3
"""Seeds of each of several tasks from which on they are redrawn together (3 tasks of 3 seeds: 92 %)."""
TRIM = 0.25
"""Share of the runs that an interquartile mean leaves out at either end."""


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half (Agarwal et al. 2021)."""
    return float(stats.trim_mean(np.asarray(values, float).ravel(), TRIM))


def enough(sizes: Sequence[int]) -> bool:
    """Whether tasks of so many runs can be bootstrapped: five runs in all, and three of every task."""
    return sum(sizes) >= FEW_SEEDS and min(sizes) >= FEWEST_OF_A_TASK


def redraw(sizes: Sequence[int], resamples: int = RESAMPLES, seed: int = 0) -> list[NDArray[np.intp]]:
    """Runs of every task drawn anew with replacement.

    Args:
        sizes: runs of each task.
        resamples: R.
        seed: of the draws.

    Returns:
        ``[R, n]`` numbers of runs, one array per task of n runs.
    """
    rng = np.random.default_rng(seed)
    return [rng.integers(n, size=(resamples, n)) for n in sizes]


def tails(sizes: Sequence[int], confidence: float = 0.95) -> tuple[float, float]:
    """Percentiles between which the interval lies.

    Those of few runs are too narrow by ``√((n-1)/n)`` and by taking a normal for Student's distribution.
    With ``df = Σ (n_k - 1)`` and n the fewest runs of a task, the lower is ``100 Φ(-√(n/(n-1)) t_df)``, and
    the upper mirrors it (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3, there
    for one task).
    """
    fewest = min(sizes)
    if fewest < 2:
        return math.nan, math.nan
    student = stats.t.ppf(0.5 + confidence / 2, sum(sizes) - len(sizes))
    low = 100.0 * float(stats.norm.cdf(-math.sqrt(fewest / (fewest - 1)) * student))
    return low, 100.0 - low


def bootstrap_interval(
    tasks: Sequence[ArrayLike], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Interquartile mean over all runs of all tasks with its stratified bootstrap interval.

    Args:
        tasks: one array of runs (seeds) per task; runs are redrawn within their task.
        confidence: of the interval, see :func:`tails`.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    columns = [np.asarray(task, float).reshape(-1, 1) for task in tasks]
    mean, low, high = (float(x[0]) for x in bootstrap_columns(columns, confidence, resamples, seed))
    return Estimate(mean, low, high, sum(map(len, columns)), BOOTSTRAP)


def bootstrap_columns(
    tasks: Sequence[Float], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Float, Float, Float]:
    """The same for K columns at once, all under the same draws, such as moments of learning curves.

    Args:
        tasks: ``[n, K]`` runs of each task.
        confidence: of the intervals.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        Interquartile means, lower and upper ends, ``[K]`` each; the ends are NaN for tasks of one run.
    """
    everything = np.concatenate(tasks)
    sizes = [len(task) for task in tasks]
    middle = stats.trim_mean(everything, TRIM, axis=0)
    if min(sizes) < 2:
        return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    if len(tasks) == 1:
        means = _middle_weights(sizes[0], resamples, seed) @ np.sort(everything, axis=0)
    else:
        drawn = redraw(sizes, resamples, seed)
        parts = [task[d] for task, d in zip(tasks, drawn, strict=True)]
        means = stats.trim_mean(np.concatenate(parts, axis=1), TRIM, axis=1)
    low, high = np.percentile(means, tails(sizes, confidence), axis=0)
    return middle, low, high


@functools.lru_cache(maxsize=16)
def _middle_weights(n: int, resamples: int, seed: int) -> Float:
    """``[R, n]`` shares of n sorted runs in the interquartile mean of every redrawn sample.

    A sample of sorted runs is sorted where its numbers are, so that its middle half is known once for all
    values that such runs can have.
    """
    (drawn,) = redraw([n], resamples, seed)
    cut = int(TRIM * n)
    middle = np.sort(drawn, axis=1)[:, cut : n - cut]
    return counts(middle, n) / middle.shape[1]


def counts(drawn: NDArray[np.intp], n: int) -> Float:
    """``[R, n]`` how often every one of n runs is in ``[R, …]`` drawn ones."""
    resamples = len(drawn)
    flat = drawn + n * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)


def over_seeds(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The honest interval over seeds: Student's t below five of them, else the bootstrap."""
    x = np.asarray(values, float).ravel()
    return t_interval(x, confidence) if len(x) < FEW_SEEDS else bootstrap_interval([x], confidence)
