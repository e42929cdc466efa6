"""The condition y = (least barrier of a window, its return): scale, and what can be asked for.

A network asked for what no window of the data has answers with anything; so targets are scaled by the
data's quantiles, and the target of the barrier is held within what the data reach from the present one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QuantileScale:
    """Maps the data's quantiles to -1 and 1, linearly.

    Attributes:
        low: what maps to -1.
        high: what maps to 1, above ``low``.
    """

    low: float
    high: float

    @classmethod
    def of_data(cls, values: ArrayLike, tail: float = 0.02) -> QuantileScale:
        """The scale that leaves a share ``tail`` of the values below -1, and as many above 1."""
        low, high = np.quantile(np.asarray(values, np.float64), [tail, 1.0 - tail])
        # A constant is mapped to 0.
        return cls(float(low), float(high)) if high > low else cls(float(low) - 1.0, float(high) + 1.0)

    def scale(self, values: ArrayLike) -> Array:
        """Values to multiples of the half range."""
        return (2.0 * np.asarray(values, np.float64) - self.high - self.low) / (self.high - self.low)

    def unscale(self, scaled: ArrayLike) -> Array:
        """The inverse of :meth:`scale`."""
        return (np.asarray(scaled, np.float64) * (self.high - self.low) + self.high + self.low) / 2.0


@dataclass(frozen=True)
class Reach:
    """What the data reach from a present barrier: an upper quantile of y given h(x_0).

    Attributes:
        present: ``[N]`` h(x_0), rising; means of bins of equally many windows.
        reached: ``[N]`` the quantile of y in each bin.
    """

    present: Array
    reached: Array

    @classmethod
    def of_data(cls, present: ArrayLike, values: ArrayLike, quantile: float = 0.95, bins: int = 20) -> Reach:
        """Fit to windows.

        Args:
            present: ``[W]`` h(x_0) of the data's windows.
            values: ``[W]`` their y.
            quantile: of y in each bin.
            bins: at most so many, fewer where windows are few.
        """
        x, y = np.asarray(present, np.float64), np.asarray(values, np.float64)
        order = np.argsort(x, kind="stable")
        parts = np.array_split(order, max(1, min(bins, len(x) // 10)))
        return cls(
            np.array([x[part].mean() for part in parts]),
            np.array([np.quantile(y[part], quantile) for part in parts]),
        )

    def clip(self, target: ArrayLike, present: ArrayLike) -> Array:
        """``target``, at most what the data reach from ``present``; shapes broadcast."""
        return np.minimum(target, np.interp(np.asarray(present), self.present, self.reached))
