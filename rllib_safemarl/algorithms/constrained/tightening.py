"""Theorem 3.7 in an iteration: who has moved how far, and what that leaves to those who come after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.multipliers import EpisodeCost
from rllib_safemarl.functional.tightening import NuEstimator, radius_left, theorem_nu, tightened_limits

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Allowance:
    """What the G agents of one policy may do in their update.

    Attributes:
        radius: δ, KL(old ‖ new) in nats; 0 forbids to move, ``inf`` is no bound.
        limits: ``[G, m]`` tightened, cost per episode.
        slack: ``[m]`` by how much their mean surrogate cost may rise, cost per step, never negative.
        spent: ``[G]`` nats they are charged for.
    """

    radius: float
    limits: Array
    slack: Array
    spent: Array


class Ledger:
    """The books of one iteration over A agents and m held costs.

    Args:
        limits: ``[m]`` c, cost per episode.
        cost: ``[A, m]`` Ĵ before the iteration, cost per episode.
        length: T̄, steps per episode.
        nu: ``[A, m]`` tightening · ν̂, cost per episode per nat.
        near: ``[A, A]`` share of rows in which agents are within each other's range, 0 on the diagonal.
        last_kl: ``[A]`` nats that each agent moved in the iteration before.
    """

    def __init__(
        self, limits: Array, cost: Array, length: float, nu: Array, near: Array, last_kl: Array
    ) -> None:
        self.limits, self.cost, self.length, self.nu = limits, cost, length, nu
        self._near, self._last_kl = near, last_kl
        self.kl = np.zeros(len(cost))
        self.change = np.zeros_like(cost)

    def allow(self, groups: Sequence[Group], radii: Sequence[float]) -> list[Allowance]:
        """What groups that are updated together may do.

        An agent whose own constraint is broken has no δ: standing still would not mend it, and where two
        are broken neither could ever move. It keeps to ``target_kl`` and to its limits.

        Args:
            groups: the groups.
            radii: ``target_kl`` of each, ``inf`` for none.
        """
        moving = np.concatenate([group.agents for group in groups])
        others = np.ones(len(self.kl), bool)
        others[moving] = False
        slack, spent = self.limits - self.cost, self.kl.sum() - self.kl
        free = radius_left(slack[others], self.change[others], self.nu[others], spent[others], len(moving))
        kept = [
            radius if (slack[group.agents].mean(0) < 0.0).any() else min(radius, free)
            for group, radius in zip(groups, radii, strict=True)
        ]
        # Those that move at the same time are charged for what they may do, as nothing is known yet.
        expected = np.zeros(len(self.kl))
        for group, radius in zip(groups, kept, strict=True):
            expected[group.agents] = radius if np.isfinite(radius) else self._last_kl[group.agents]
        return [
            self._allowance(group.agents, radius, spent[group.agents] + self._near[group.agents] @ expected)
            for group, radius in zip(groups, kept, strict=True)
        ]

    def _allowance(self, agents: NDArray[np.intp], radius: float, spent: Array) -> Allowance:
        limits = tightened_limits(self.limits, self.nu[agents], spent)
        above = (self.cost[agents] - limits).mean(0) / self.length
        return Allowance(radius, limits, np.maximum(-above, 0.0), spent)

    def record(self, group: Group, kl: Array, change: Array) -> None:
        """Enter what a group did.

        Args:
            group: its agents.
            kl: ``[G]`` mean KL(old ‖ new), nats.
            change: ``[m, G]`` L, change of the surrogate costs, cost per step.
        """
        self.kl[group.agents] = kl
        self.change[group.agents] = self.length * change.T


class Tightening:
    """What is remembered from iteration to iteration.

    Args:
        share: of ν that limits are tightened by, ``tightening``.
        rule: ``measured`` or ``theorem``.
        gamma: discount, for the theorem's ν.
        shape: (A, m).
    """

    def __init__(self, share: float, rule: str, gamma: float, shape: tuple[int, int]) -> None:
        self.share, self.rule, self._gamma = share, rule, gamma
        self._estimator = NuEstimator()
        self._cost, self._foreseen = np.zeros(shape), np.zeros(shape)
        self._last_kl = np.zeros(shape[0])

    def observe(self, cost: Array) -> None:
        """Measure ν̂ by Ĵ ``[A, m]`` after the iteration before."""
        moved = self._last_kl.sum() - self._last_kl
        self._estimator.update(cost - self._cost, self._foreseen, moved)

    def open(
        self, limits: Array, estimate: EpisodeCost, held: NDArray[np.intp], near: Array, largest: Array
    ) -> Ledger:
        """The books of a new iteration.

        Args:
            limits: ``[m]`` of the held costs.
            estimate: of all costs, before the iteration.
            held: ``[m]`` indices of the held costs.
            near: as in :class:`Ledger`.
            largest: ``[A, m]`` largest absolute cost advantages, for the theorem's ν alone.
        """
        cost = estimate.cost[:, held]
        measured = self._estimator.value(cost.shape)
        nu = theorem_nu(largest, self._gamma) if self.rule == "theorem" else measured
        return Ledger(limits, cost, estimate.length, self.share * nu, near, self._last_kl)

    def close(self, ledger: Ledger) -> None:
        """Remember an iteration's outcome."""
        self._cost, self._foreseen, self._last_kl = ledger.cost, ledger.change, ledger.kl

    def get_state(self) -> dict[str, Any]:
        """What :meth:`set_state` needs."""
        return {
            "nu": self._estimator.get_state(),
            "cost": self._cost.copy(),
            "foreseen": self._foreseen.copy(),
            "kl": self._last_kl.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self._estimator.set_state(state["nu"])
        self._cost, self._foreseen, self._last_kl = (
            np.array(state[key], float) for key in ("cost", "foreseen", "kl")
        )
