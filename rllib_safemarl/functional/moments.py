"""Running mean and variance that forget, for value targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RunningMoments:
    """Exponentially forgetting mean and deviation of M series.

    Every update weighs the new batch by its number of values against what is remembered; the memory is
    capped at ``horizon`` values, so the estimate follows a target that drifts while a policy learns.

    Attributes:
        mean: ``[M]``.
        variance: ``[M]``.
        count: ``[M]`` values remembered, at most ``horizon``.
    """

    def __init__(self, size: int, horizon: float = 1e5) -> None:
        self.mean = np.zeros(size)
        self.variance = np.ones(size)
        self.count = np.zeros(size)
        self.horizon = horizon

    def update(self, total: Array, squares: Array, count: Array) -> None:
        """Take in sums ``[M]`` of values, of their squares, and their numbers.

        Sums, not samples, so that several learners can add theirs before the update.
        """
        some = count > 0
        n = np.where(some, count, 1.0)
        mean = np.where(some, total / n, self.mean)
        variance = np.where(some, np.maximum(squares / n - mean**2, 0.0), self.variance)
        share = np.where(some, count / (self.count + n), 0.0)
        shift = mean - self.mean
        self.variance = (1 - share) * self.variance + share * variance + share * (1 - share) * shift**2
        self.mean = self.mean + share * shift
        self.count = np.minimum(self.count + np.where(some, count, 0.0), self.horizon)

    @property
    def deviation(self) -> Array:
        """``[M]`` standard deviation, at least 1e-4."""
        return np.maximum(np.sqrt(self.variance), 1e-4)

    def get_state(self) -> dict[str, Array]:
        """Arrays from which :meth:`set_state` rebuilds this object exactly."""
        return {
            "mean": self.mean.copy(),
            "variance": self.variance.copy(),
            "count": self.count.copy(),
        }

    def set_state(self, state: dict[str, Array]) -> None:
        """Take over a state from :meth:`get_state`."""
        self.mean = np.array(state["mean"], float)
        self.variance = np.array(state["variance"], float)
        self.count = np.array(state["count"], float)
