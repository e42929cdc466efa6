"""Limits, cost estimates and multipliers of every agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.multipliers import (
    EpisodeCost,
    EpisodeCostEstimator,
    PIDGains,
    PIDState,
    dual_ascent,
    pid_control,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MultiplierSettings:
    """How multipliers move.

    Attributes:
        rule: ``lagrangian`` (dual ascent), ``pid``, or any other (they stay 0).
        start: λ before the first update, and the integral of PID; reward per unit of cost.
        gains: of PID; the integral gain is the step size of dual ascent.
    """

    rule: str
    start: float
    gains: PIDGains


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
        start = settings.start if settings.rule in ("lagrangian", "pid") else 0.0
        held = np.isfinite(limits).astype(float)
        self.multipliers = np.full((num_agents, len(limits)), start) * held
        self._pid = PIDState.start(self.multipliers)
        self._before = self.multipliers, self._pid
        self._estimator = EpisodeCostEstimator(time_limit)
        self.estimate: EpisodeCost | None = None

    def update(self, cost_sum: Array, steps: float, ended_steps: float, ended: float) -> None:
        """Take in a batch's sums, over all learners, and move the multipliers once."""
        self.estimate = self._estimator.update(cost_sum, steps, ended_steps, ended)
        self._before = self.multipliers, self._pid
        cost, gains = self.estimate.cost, self._settings.gains
        if self._settings.rule == "lagrangian":
            self.multipliers = dual_ascent(self.multipliers, cost, self.limits, gains.integral)
        elif self._settings.rule == "pid":
            self.multipliers, self._pid = pid_control(self._pid, cost, self.limits, gains)

    def aim(self, agents: NDArray[np.intp], limits: Array) -> None:
        """Take the latest move of some agents' multipliers again, towards other limits.

        Args:
            agents: ``[G]`` which.
            limits: ``[G, C]`` what they aim at instead, in this iteration alone.
        """
        assert self.estimate is not None
        cost, gains = self.estimate.cost[agents], self._settings.gains
        multipliers, pid = self._before
        if self._settings.rule == "lagrangian":
            self.multipliers[agents] = dual_ascent(multipliers[agents], cost, limits, gains.integral)
        elif self._settings.rule == "pid":
            before = PIDState(pid.integral[agents], pid.cost[agents])
            self.multipliers[agents], after = pid_control(before, cost, limits, gains)
            self._pid.integral[agents], self._pid.cost[agents] = after.integral, after.cost

    def get_state(self) -> dict[str, Any]:
        """Multipliers, the controller's and the estimator's memory."""
        return {
            "multipliers": self.multipliers.copy(),
            "integral": self._pid.integral.copy(),
            "smoothed_cost": self._pid.cost.copy(),
            "estimator": self._estimator.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self.multipliers = np.array(state["multipliers"], float)
        self._pid = PIDState(np.array(state["integral"], float), np.array(state["smoothed_cost"], float))
        self._estimator.set_state(state["estimator"])
