"""How far a learnt barrier has to be lowered, h̃ = h - δ, for a required probability β of safety.

Both modes take the *episode* as the unit, the maximum over its steps and agents: states of one episode
are no independent witnesses. Both hold for the behaviour that the held-out data come from, not for the
closed loop that δ then changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

Float = NDArray[np.floating]
Bool = NDArray[np.bool_]
Index = NDArray[np.integer]


def episode_maxima(h: Float, counted: Bool, offsets: Index) -> Float:
    """Largest h over the counted states of each episode, all agents together.

    Args:
        h: ``[R, ...]`` episodes one after another.
        counted: ``[R, ...]``.
        offsets: ``[E + 1]`` first row of each episode, and R; no episode is empty.

    Returns:
        ``[E]``, ``-inf`` for episodes without a counted state.
    """
    values = np.where(counted, h, -np.inf).astype(h.dtype).reshape(len(h), -1).max(1)
    return np.maximum.reduceat(values, offsets[:-1])


def miss_offset(scores: Float, beta: float) -> float:
    """δ(β) that bounds the miss rate: the ⌈(E + 1) β⌉-th smallest score, +∞ where there are too few.

    The score of a dangerous episode is the largest h of its pre-danger states (in no danger yet, but
    within the horizon). Then ``P(h - δ ≥ 0 at some pre-danger state of a new dangerous episode) ≤ 1 - β`` if
    episodes are exchangeable (split conformal prediction).

    δ is the next number of h's own precision above that score, so that states with h equal to it are
    not accepted; a bounded h has such ties.

    Args:
        scores: ``[E']`` of :func:`episode_maxima` over pre-danger states; episodes without any
            (``-inf``) are not dangerous, or without warning, and are left out.
        beta: β, 0 … 1.

    Raises:
        SafeMARLError: β is not between 0 and 1, or a score is NaN.
    """
    _check_probability("beta", beta)
    if np.isnan(scores).any():
        raise SafeMARLError("the barrier is NaN on held-out data; lower its learning rate.")
    dangerous = np.sort(scores[scores > -np.inf])
    # Rounding must not push an exact product such as 20 · 0.95 to the next rank.
    rank = max(math.ceil((len(dangerous) + 1) * beta - 1e-9), 1)
    if rank > len(dangerous):
        return math.inf
    score = dangerous[rank - 1]
    return float(np.nextafter(score, np.array(np.inf, score.dtype)))


def check_dangerous_episodes(beta: float, episodes: int) -> None:
    """Refuse a β for which :func:`miss_offset` is +∞, so that nothing would ever count as safe.

    Args:
        beta: β, 0 … 1.
        episodes: dangerous ones, of the calibration split.

    Raises:
        SafeMARLError: there are too few; one line with how many there should be, and what these can tell.
    """
    needed = math.ceil(beta / (1.0 - beta) - 1e-9)
    if episodes >= needed:
        return
    largest = math.floor(1000.0 * episodes / (episodes + 1)) / 1000.0
    mend = f"set beta to {largest:g} or less, or record more" if episodes else "record some"
    raise SafeMARLError(
        f"beta={beta:g} needs {needed} dangerous episodes in the calibration split, which has {episodes}: "
        f"{mend}."
    )


@dataclass(frozen=True)
class PrecisionTest:
    """One threshold of the precision mode.

    Attributes:
        offset: δ.
        episodes: held-out episodes with a state of h ≥ δ.
        failures: of these, episodes in which danger followed such a state.
        lower_bound: on the probability of no failure, at the stated confidence.
    """

    offset: float
    episodes: int
    failures: int
    lower_bound: float


@dataclass(frozen=True)
class PrecisionCalibration:
    """Outcome of the precision mode.

    Attributes:
        offset: the smallest δ that passed with all before it; +∞ where the first failed.
        tests: the thresholds tested, in order.
    """

    offset: float
    tests: tuple[PrecisionTest, ...]


def precision_offset(
    safe_scores: Float,
    unsafe_scores: Float,
    thresholds: Sequence[float],
    beta: float,
    confidence: float = 0.95,
) -> PrecisionCalibration:
    """δ with ``P(no danger follows a state of h ≥ δ | the episode has one) ≥ β`` at a stated confidence.

    Thresholds are tested from the largest down, each with an exact (Clopper–Pearson) binomial bound over
    episodes, until one fails. With a fixed sequence every test may use the whole error probability.

    The event is the whole episode's, so it also bounds the precision of one state drawn from an episode.

    Args:
        safe_scores: ``[E]`` of :func:`episode_maxima` over states followed by no danger.
        unsafe_scores: ``[E]`` over states in danger or followed by it within the horizon.
        thresholds: δ to test, chosen *without* the calibration episodes, for instance quantiles of
            ``max(safe_scores, unsafe_scores)`` on the selection split. The largest should be met by enough
            episodes: β = 0.95 at 95 % confidence takes 59 without a failure.
        beta: β, 0 … 1.
        confidence: probability over calibration sets that the statement holds.

    Raises:
        SafeMARLError: β or the confidence is not between 0 and 1.
    """
    _check_probability("beta", beta)
    _check_probability("confidence", confidence)
    offset, tests = math.inf, []
    for threshold in sorted(thresholds, reverse=True):
        failed = unsafe_scores >= threshold
        episodes = int((failed | (safe_scores >= threshold)).sum())
        bound = binomial_lower_bound(episodes - int(failed.sum()), episodes, confidence)
        tests.append(PrecisionTest(float(threshold), episodes, int(failed.sum()), bound))
        if bound < beta:
            break
        offset = float(threshold)
    return PrecisionCalibration(offset, tuple(tests))


def binomial_lower_bound(successes: int, trials: int, confidence: float) -> float:
    """Clopper–Pearson: at most the true probability of success, with the stated confidence."""
    if successes == 0:
        return 0.0
    # Imported here, as it is slow to import and no env runner needs it.
    from scipy.special import betaincinv

    return float(betaincinv(successes, trials - successes + 1, 1.0 - confidence))


def precision_thresholds(
    safe_scores: Float, unsafe_scores: Float, beta: float, confidence: float, number: int = 25
) -> NDArray[np.float64]:
    """Thresholds for :func:`precision_offset`, from episodes that are not used to calibrate.

    From where enough episodes have such a state for the test to pass at all (twice as many as it takes
    without a failure) down to the smallest score.

    Args:
        safe_scores: ``[E]`` of the selection split, whose size should be that of the calibration split.
        unsafe_scores: ``[E]`` likewise.
        beta: β.
        confidence: of the test.
        number: of thresholds.
    """
    scores = np.maximum(safe_scores, unsafe_scores)
    scores = np.sort(scores[np.isfinite(scores)])[::-1].astype(np.float64)
    needed = 2 * math.ceil(math.log(1.0 - confidence) / math.log(beta)) if 0.0 < beta < 1.0 else 1
    if not len(scores):
        return np.zeros(0)
    first = min(needed, len(scores)) - 1
    return scores[np.unique(np.linspace(first, len(scores) - 1, number).round().astype(int))]


def _check_probability(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise SafeMARLError(f"{name} must lie between 0 and 1, not {value}.")
