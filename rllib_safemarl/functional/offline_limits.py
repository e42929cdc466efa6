"""Limits per episode as cost critics see them, and back.

A critic's value is a discounted sum, a limit an undiscounted one per episode. With costs spread evenly over
T steps, an episode that costs c has the value ``c / T · Σ_t γ^t``: over all t where time limits bootstrap, as
if the episode went on alike, and over T steps where they end it. Public code takes the second with values of
the first.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def discounted_length(steps: float, gamma: float, bootstrapped: bool) -> float:
    """``Σ_t γ^t``: ``1 / (1 - γ)``, or ``(1 - γ^T) / (1 - γ)`` where time limits end episodes.

    Args:
        steps: T.
        gamma: discount per step, below 1 where ``bootstrapped``.
        bootstrapped: whether the critic's targets bootstrap at time limits.
    """
    if bootstrapped:
        return 1.0 / (1.0 - gamma)
    return steps if gamma == 1.0 else (1.0 - gamma**steps) / (1.0 - gamma)


def discounted_limit(limit: Number, steps: float, gamma: float, bootstrapped: bool) -> Number:
    """What a cost critic's value may be: ``limit / T · Σ_t γ^t``.

    Args:
        limit: cost per episode and agent, undiscounted.
        steps: T, of an episode.
        gamma: discount per step.
        bootstrapped: see :func:`discounted_length`.
    """
    return limit * (discounted_length(steps, gamma, bootstrapped) / steps)


def episode_cost(value: Number, steps: float, gamma: float, bootstrapped: bool) -> Number:
    """The inverse of :func:`discounted_limit`: cost per episode, undiscounted, of a critic's value."""
    return value * (steps / discounted_length(steps, gamma, bootstrapped))
