"""What agents plan, as places in the environment's own frame, for pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Futures:
    """Sampled plans of the A agents of one copy, at one moment.

    Attributes:
        positions: ``[A, M, H + 1, P]`` where each agent would be along each of its M plans; NaN for agents
            that do not plan, and where an agent has fewer plans than others.
        barrier: ``[A, M, H + 1]`` h̃ along them, calibrated: negative where a plan is not accepted as safe.
        chosen: ``[A]`` the plan that is followed, ``-1`` for none.
    """

    positions: NDArray[np.float64]
    barrier: NDArray[np.float64]
    chosen: NDArray[np.intp]
