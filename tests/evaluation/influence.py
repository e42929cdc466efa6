"""Environments in which it is known how much of an agent's value is due to agents how far away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from rllib_safemarl.envs.vector import AgentGraph, Ending, Kind, Observation, Step, VectorEnv
from rllib_safemarl.functional.neighbourhoods import hop_distances


class InfluenceVectorEnv(VectorEnv):
    """Agents on a ring, each with a state x that nobody changes, and rewards that depend on the others'.

    ``x' = memory · x + sqrt(1 - memory²) · N(0, 1)`` and ``r_i = Σ_j w(d(i, j)) x_j + noise · N(0, 1)``, so
    that for any discount V_i is a multiple of ``Σ_j w(d(i, j)) x_j``, and ``e_κ² ∝ Σ_{d > κ} n_d w(d)²`` with
    n_d agents at distance d.

    Args:
        num_copies: N.
        weights: w(0), w(1), …, up to half the ring.
        noise: deviation of rewards from what states say.
        memory: of the states.
        time_limit: steps.
    """

    def __init__(
        self,
        num_copies: int,
        weights: Sequence[float],
        noise: float = 0.5,
        memory: float = 0.5,
        time_limit: int = 10,
    ):
        agents = 2 * len(weights) - 2
        self.num_copies, self.time_limit, self.cost_names = num_copies, time_limit, ()
        self.possible_agents = tuple(f"agent_{i}" for i in range(agents))
        box = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.kinds = (Kind("agent", tuple(range(agents)), box, spaces.Discrete(2)),)
        self._hops = hop_distances([(i, (i + 1) % agents) for i in range(agents)], agents)
        self._weights = np.asarray(weights)[self._hops]
        self._noise, self._memory = noise, memory

    def graph(self) -> AgentGraph:
        return AgentGraph(self._hops)

    def reset(self, seed: int) -> Observation:
        self._random = np.random.default_rng(seed)
        self._t = 0
        self._x = self._random.normal(size=(self.num_copies, self.num_agents))
        return self._observe()

    def _observe(self) -> Observation:
        return Observation({"agent": self._x[..., None].astype(np.float32)})

    def step(self, actions) -> Step:
        drawn = self._random.normal(size=(2, *self._x.shape))
        reward = self._x @ self._weights.T + self._noise * drawn[0]
        self._x = self._memory * self._x + np.sqrt(1.0 - self._memory**2) * drawn[1]
        self._t += 1
        over, final = self._t == self.time_limit, self._observe()
        if over:
            self._t, self._x = 0, self._random.normal(size=self._x.shape)
        return Step(
            observation=self._observe(),
            reward=reward.astype(np.float32),
            cost=np.zeros((*reward.shape, 0), np.float32),
            terminated=np.zeros(reward.shape, bool),
            truncated=np.full(self.num_copies, over),
            active=np.ones(reward.shape, bool),
            ending=Ending(np.arange(self.num_copies), final) if over else None,
        )


def decaying(rate: float, diameter: int) -> list[float]:
    """Weights for which ``e_κ = e^{-rate · κ}`` up to a factor for all κ below the diameter, exactly."""
    squares = np.exp(-2.0 * rate * np.arange(diameter + 1))
    squares[-1] = 0.0
    agents = [2.0] * (diameter - 1) + [1.0]
    return [1.0, *np.sqrt(-np.diff(squares) / agents)]
