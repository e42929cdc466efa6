"""Measured spatial decay: how fast values of κ-hop views come near to those of the whole team.

Scal-MAPPO-L, Prop. 3.3, bounds the error of a truncated advantage by ``η φ^κ`` with ``φ = e^{-β}``, and names
no β. Here β is read off regressors V_κ of κ-hop views and two independently seeded V_∞ of everything, all of
equal capacity, on episodes that none of them has seen::

    noise = E[(V_∞ - V'_∞)²],   e_κ² = E[(V_κ - V_∞)²] - noise,   log e_κ = a - β̂ κ

by least squares over the κ above the noise: those whose e_κ² is larger than half of it and than two standard
errors, and whose V_κ predicts the unseen returns worse than V_∞ does (else V_κ is only learnt better). It is
a mean over the states that were visited and no supremum, so no certificate. (The difference of two advantage
estimates measures the noise of the fits alone.)

A finite team fools the line: if all agents mattered alike, e_κ² would fall as the number of agents beyond κ
hops does, and reach 0 at the diameter. Decay is therefore only claimed where e_κ falls faster than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIGNIFICANT = 2.0
"""Standard errors by which something must differ before it is said to."""
SHARE_OF_NOISE = 0.5
"""e_κ² must be above this share of the noise, which is itself an estimate."""
_DRAWS = 200


class Verdict(Enum):
    """What a measurement came to."""

    DECAY = "decay"
    NO_DECAY = "no decay"
    TOO_FEW = "gone at once"
    """Fewer than two κ are above the noise, so that no line can be laid; at least κ = 0 is."""
    NOTHING = "nothing beyond the own observation"
    """Not even κ = 0 is above the noise."""


@dataclass(frozen=True)
class Decay:
    """Errors of K values of κ = 0 … K - 1, and the line through their logarithms.

    Attributes:
        squared: ``[K]`` e_κ², squared units of the value; may be negative, as the noise is only estimated.
        deviation: ``[K]`` standard error of e_κ², over episodes and over fits.
        noise: E[(V_∞ - V'_∞)²].
        used: ``[K]`` κ above the noise, which the line is laid through.
        rate: β̂ per hop; NaN where there is no line.
        rate_deviation: its standard error, likewise.
        intercept: a, the logarithm of e_0 on the line.
        r_squared: share of the variance of log e_κ that the line explains; NaN below three κ.
        alike_rate: β̂ that the same κ would give if all agents mattered alike.
        verdict: what it came to.
    """

    squared: Array
    deviation: Array
    noise: float
    used: NDArray[np.bool_]
    rate: float
    rate_deviation: float
    intercept: float
    r_squared: float
    alike_rate: float
    verdict: Verdict

    @property
    def error(self) -> Array:
        """``[K]`` e_κ, 0 where the noise is larger."""
        return np.sqrt(np.maximum(self.squared, 0.0))


def measure_decay(
    differences: Array, noise: Array, gains: Array, rows: Array, unseen: Array, seed: int = 0
) -> Decay:
    """e_κ and β̂ from squared differences of regressors, summed within each of E held-out episodes.

    Args:
        differences: ``[P, E, K]`` sums of ``(V_κ - V_∞)²`` over an episode's rows, for P pairs of fits.
        noise: ``[E]`` sums of ``(V_∞ - V'_∞)²``.
        gains: ``[E, K]`` sums of ``(G - V_κ)² - (G - V_∞)²`` with G the return.
        rows: ``[E]`` rows of each episode.
        unseen: ``[K]`` other agents beyond κ hops, mean over rows.
        seed: of the episodes drawn for standard errors.
    """
    draws = np.random.default_rng(seed).integers(len(rows), size=(_DRAWS, len(rows)))
    level = float(noise.sum() / rows.sum())
    pairs = differences.sum(1) / rows.sum() - level
    squared = pairs.mean(0)
    resampled = (differences.mean(0) - noise[:, None])[draws].sum(1) / rows[draws].sum(1)[:, None]
    deviation = _spread(resampled, pairs)
    above = (squared > SHARE_OF_NOISE * level) & (squared > SIGNIFICANT * deviation)
    above &= (pairs > 0.0).all(0) & (unseen > 0.0) & (gains.sum(0) > 0.0)
    # What rises again after it sank into the noise is noise.
    used = np.logical_and.accumulate(above)
    count = int(used.sum())
    if count < 2:
        verdict = Verdict.TOO_FEW if count else Verdict.NOTHING
        none = float("nan")
        return Decay(squared, deviation, level, used, none, none, none, none, none, verdict)
    rate, intercept, r_squared = log_line(squared[:count])
    positive = resampled[(resampled[:, :count] > 0.0).all(1), :count]
    rates = (np.array([log_line(each[:count])[0] for each in some]) for some in (positive, pairs))
    spread = float(_spread(*rates))
    alike, _, _ = log_line(unseen[:count])
    decays = rate - SIGNIFICANT * spread > max(alike, 0.0)
    verdict = Verdict.DECAY if decays else Verdict.NO_DECAY
    return Decay(squared, deviation, level, used, rate, spread, intercept, r_squared, alike, verdict)


def _spread(resampled: Array, pairs: Array) -> Array:
    """Standard error of a figure from its values for other episodes and for each of P pairs of fits."""
    fits = pairs.var(0, ddof=1) / len(pairs) if len(pairs) > 1 else 0.0
    return np.sqrt(resampled.var(0) + fits)


def log_line(squared: Array) -> tuple[float, float, float]:
    """Least squares of ``½ log squared_κ = a - β κ`` over κ = 0 … K - 1.

    Args:
        squared: ``[K]`` at least two positive numbers.

    Returns:
        β, a, and the share of the variance explained (NaN for two).
    """
    y = 0.5 * np.log(squared)
    kappa = np.arange(len(y), dtype=float)
    centred = kappa - kappa.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    intercept = float(y.mean() - slope * kappa.mean())
    total = float(((y - y.mean()) ** 2).sum())
    if len(y) < 3:
        return -slope, intercept, float("nan")
    rest = float(((y - intercept - slope * kappa) ** 2).sum())
    return -slope, intercept, 1.0 - rest / total if total > 0.0 else 0.0
