"""Limits, cost estimates and multipliers of every agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.multipliers import EpisodeCost, EpisodeCostEstimator, dual_ascent

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MultiplierSettings:
    """How multipliers move.

    Attributes:
        rule: ``lagrangian`` (dual ascent) or ``none`` (they stay 0).
        step_size: α of dual ascent, reward per squared unit of cost.
        start: λ before the first update, reward per unit of cost.
    """

    rule: str
    step_size: float
    start: float


class Constraints:
    """State of A agents' C constraints; limits are per episode and agent, undiscounted.

    Attributes:
        limits: ``[C]`` what multipliers aim at, ``inf`` where a cost is only watched.
        multipliers: ``[A, C]`` λ, reward per unit of cost.
        estimate: the latest cost per episode, or ``None`` before the first batch.
    """

    def __init__(
        self,
        limits: Array,
        num_agents: int,
        time_limit: int | None,
        settings: MultiplierSettings,
    ) -> None:
        self.limits = limits
        self._settings = settings
        start = settings.start if settings.rule != "none" else 0.0
        held = np.isfinite(limits).astype(float)
        self.multipliers = np.full((num_agents, len(limits)), start) * held
        self._estimator = EpisodeCostEstimator(time_limit)
        self.estimate: EpisodeCost | None = None

    def update(self, cost_sum: Array, steps: float, ended_steps: float, ended: float) -> None:
        """Take in a batch's sums, over all learners, and move the multipliers once."""
        self.estimate = self._estimator.update(cost_sum, steps, ended_steps, ended)
        if self._settings.rule == "lagrangian":
            self.multipliers = dual_ascent(
                self.multipliers, self.estimate.cost, self.limits, self._settings.step_size
            )

    def get_state(self) -> dict[str, Any]:
        """Multipliers and the estimator's memory."""
        return {"multipliers": self.multipliers.copy(), "estimator": self._estimator.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self.multipliers = np.array(state["multipliers"], float)
        self._estimator.set_state(state["estimator"])
