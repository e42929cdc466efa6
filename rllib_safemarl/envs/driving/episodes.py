"""Where N copies' episodes stand, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import Fleet
from rllib_safemarl.envs.driving.lanes import Array

Bool = NDArray[np.bool_]
NOBODY = -1


class Episodes:
    """Counters and sums of the running episodes.

    Attributes:
        number: ``[N]`` of episodes begun in each copy.
        steps: ``[N]`` of the running episodes.
        active: ``[N, A]`` agents on the road.
        driven: ``[N, A]`` way along the lanes since the beginning, metres.
        arrived: ``[N, A]`` who has arrived.
        first: ``[N]`` who arrived first; ``-1`` for nobody yet.
    """

    def __init__(self, copies: int, agents: int) -> None:
        self.number, self.steps = np.zeros((2, copies), np.int64)
        self.active, self.arrived = np.zeros((2, copies, agents), bool)
        self.driven = np.zeros((copies, agents))
        self.first = np.full(copies, NOBODY, np.int64)
        self._crashed = np.zeros(copies, bool)
        self._speeds, self._counts, self._least_margins = np.zeros((3, copies))

    def begin(self, copies: NDArray[np.intp]) -> None:
        """Start the next episode of the given copies."""
        self.number[copies] += 1
        self.active[copies] = True
        self.arrived[copies] = self._crashed[copies] = False
        self.first[copies] = NOBODY
        for sums in (self.steps, self.driven, self._speeds, self._counts):
            sums[copies] = 0
        self._least_margins[copies] = np.inf

    def advance(self, fleet: Fleet, seconds: float) -> None:
        """Add the way along the lanes of the step that has just been driven."""
        lane = fleet.lane[:, : fleet.agents]
        s, _ = fleet.on_lane(lane)
        turned = fleet.heading[:, : fleet.agents] - fleet.network.lanes.heading_at(lane, s)
        self.driven += seconds * fleet.speed[:, : fleet.agents] * np.cos(turned)

    def arrive(self, arrived: Bool, left: Array) -> Bool:
        """Note arrivals ``[N, A]``; of several at once the furthest was first.

        Returns:
            ``[N, A]`` who arrived before all others in this step.
        """
        winner = np.where(arrived, left, np.inf).argmin(1)
        decided = arrived.any(1) & (self.first == NOBODY)
        self.first = np.where(decided, winner, self.first)
        self.arrived |= arrived
        first = np.zeros_like(arrived)
        first[decided, winner[decided]] = True
        return first

    def add(self, active: Bool, speed: Array, margin: Array, crash: Bool) -> None:
        """Add a step's figures of agents that acted in it."""
        self._speeds += np.where(active, speed, 0.0).sum(1)
        self._counts += active.sum(1)
        least = np.where(active, margin, np.inf).min(1)
        np.minimum(self._least_margins, least, out=self._least_margins)
        self._crashed |= crash

    def metrics(self, copies: NDArray[np.intp], agents: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Figures of episodes that end: exactly one of ``crash``, ``slow`` and ``…_first`` is 1."""
        crash, every = self._crashed[copies], self.arrived[copies].all(1)
        through = every & ~crash
        figures = {
            "crash": crash,
            "slow": ~crash & ~every,
            **{f"{agent}_first": through & (self.first[copies] == i) for i, agent in enumerate(agents)},
            "arrived": self.arrived[copies].mean(1),
            "mean_speed": self._speeds[copies] / np.maximum(self._counts[copies], 1.0),
            "least_margin": self._least_margins[copies],
        }
        return {name: np.asarray(value, np.float32) for name, value in figures.items()}

    def get_state(self) -> dict[str, Any]:
        """Copies of everything."""
        return {name: value.copy() for name, value in vars(self).items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        for name, value in state.items():
            setattr(self, name, np.array(value))
