"""How rows compare as whole distributions of runs: performance profiles and chances of being better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rllib_safemarl.evaluation.statistics import BOOTSTRAP, Estimate
from rllib_safemarl.evaluation.statistics_bootstrap import RESAMPLES, Float, counts, enough, redraw, tails


@dataclass(frozen=True)
class Profile:
    """Shares of runs that reach thresholds.

    Attributes:
        thresholds: ``[K]``.
        share: ``[K]`` of the runs, the mean over tasks.
        low: ``[K]`` lower ends of the intervals; NaN where there are too few runs.
        high: ``[K]`` upper ends.
    """

    thresholds: Float
    share: Float
    low: Float
    high: Float


def performance_profile(
    tasks: Sequence[ArrayLike],
    thresholds: ArrayLike,
    at_most: bool = False,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> Profile:
    """Share of the runs above each threshold (Agarwal et al. 2021, "run-score distributions").

    Args:
        tasks: one array of scores per task, comparable over tasks.
        thresholds: ``[K]``.
        at_most: share of the runs *at or below* instead, as for costs, where less is better.
        confidence: of the pointwise intervals by the stratified bootstrap.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    limits = np.asarray(thresholds, float)
    reached = [_reached(np.asarray(task, float).ravel(), limits, at_most) for task in tasks]
    share = np.mean([each.mean(0) for each in reached], axis=0)
    sizes = [len(each) for each in reached]
    if not enough(sizes):
        return Profile(limits, share, np.full_like(share, np.nan), np.full_like(share, np.nan))
    drawn = redraw(sizes, resamples, seed)
    shares = np.mean(
        [counts(d, len(each)) @ each / len(each) for each, d in zip(reached, drawn, strict=True)],
        axis=0,
    )
    low, high = np.percentile(shares, tails(sizes, confidence), axis=0)
    return Profile(limits, share, low, high)


def _reached(scores: Float, thresholds: Float, at_most: bool) -> Float:
    """``[n, K]``: 1 where a run reaches a threshold."""
    below = scores[:, None] <= thresholds[None]
    return (below if at_most else ~below).astype(float)


def probability_of_improvement(
    tasks: Sequence[ArrayLike],
    others: Sequence[ArrayLike],
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Chance that a run of one row beats a run of another on the same task, the mean over tasks.

    ``P(X > Y) + P(X = Y) / 2``, over all pairs of runs: the Mann–Whitney statistic over its maximum.

    Args:
        tasks: scores of the runs of one row, one array per task.
        others: those of the other row on the same tasks.
        confidence: of the interval by the stratified bootstrap; NaN ends where there are too few
            runs, see :func:`rllib_safemarl.evaluation.statistics_bootstrap.enough`.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    wins = [_wins(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(tasks, others, strict=True)]
    mean, count = float(np.mean([w.mean() for w in wins])), sum(len(w) for w in wins)
    sizes, theirs = [w.shape[0] for w in wins], [w.shape[1] for w in wins]
    if not (enough(sizes) and enough(theirs)):
        return Estimate(mean, math.nan, math.nan, count, BOOTSTRAP)
    rows, columns = redraw(sizes, resamples, seed), redraw(theirs, resamples, seed + 1)
    draws = np.mean(
        [
            np.einsum("ri,ij,rj->r", counts(r, w.shape[0]), w, counts(c, w.shape[1])) / w.size
            for w, r, c in zip(wins, rows, columns, strict=True)
        ],
        axis=0,
    )
    low, high = np.percentile(draws, tails([min(n) for n in zip(sizes, theirs, strict=True)], confidence))
    return Estimate(mean, float(low), float(high), count, BOOTSTRAP)


def _wins(ours: Float, theirs: Float) -> Float:
    """``[n, m]``: 1 where our run is better, 1/2 where both are alike."""
    difference = ours.ravel()[:, None] - theirs.ravel()[None]
    return (difference > 0) + 0.5 * (difference == 0)
