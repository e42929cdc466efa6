"""Limits per episode as cost critics see them, and back.

A critic's value is a discounted sum, a limit an undiscounted one per episode; between them stands the *unit
value*, what critics say on average of an episode that costs 1: ``limit · unit value`` is the limit of values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.window_returns import discounted_returns


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


def even_unit_value(steps: float, gamma: float, bootstrapped: bool) -> float:
    """The unit value where costs are spread evenly over episodes, as published.

    ``1 / (T (1 - γ))`` where time limits bootstrap, as if the episode went on alike, and
    ``(1 - γ^T) / (T (1 - γ))`` where they end it; public code takes the second with values of the first.

    Args:
        steps: T, of an episode.
        gamma: discount per step.
        bootstrapped: see :func:`discounted_length`.
    """
    return discounted_length(steps, gamma, bootstrapped) / steps


def measured_unit_values(
    costs: NDArray[np.floating], offsets: NDArray[np.int64], gamma: float, otherwise: float
) -> NDArray[np.float64]:
    """The unit value of each cost where it falls as in the data.

    The mean over the data's steps of the discounted cost from there to the end, over the mean cost per
    episode. Costs that fall early in episodes are seen by few of their steps; what follows the end, by none.

    Args:
        costs: ``[R, A, C]`` per step, episodes one after another.
        offsets: ``[E + 1]`` first row of each episode, and R.
        gamma: discount per step.
        otherwise: of a cost that the data do not have.

    Returns:
        ``[C]``.
    """
    cut = np.zeros(len(costs), bool)
    cut[offsets[1:] - 1] = True
    per_step = discounted_returns(costs, cut, gamma).mean((0, 1))
    per_episode = np.asarray(costs, np.float64).sum(0).mean(0) / (len(offsets) - 1)
    return np.where(per_episode > 0.0, per_step / np.where(per_episode > 0.0, per_episode, 1.0), otherwise)
