"""An environment as somebody else might have written it: mixed spaces, early leavers, two costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv

OBSERVATIONS = {
    "scout": spaces.Dict({"place": spaces.Box(-10, 10, (2,), np.float32), "mode": spaces.Discrete(3)}),
    "carrier": spaces.Box(-np.inf, np.inf, (2, 2), np.float64),
    "drone": spaces.Box(0.0, 255.0, (3,), np.float32),
    "twin": spaces.Box(0.0, 255.0, (3,), np.float32),
}
ACTIONS = {
    "scout": spaces.Discrete(3, start=1),
    "carrier": spaces.MultiDiscrete([2, 3]),
    "drone": spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 0.1]), dtype=np.float64),
    "twin": spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 0.1]), dtype=np.float64),
}


class HarvestEnv(ParallelEnv):
    """Four agents; the carrier terminates after 3 steps, the scout is truncated alone after 5.

    Args:
        max_cycles: steps until everybody left is truncated.
        faults: function of (agent, step, info) that may spoil an info.
    """

    def __init__(self, max_cycles: int = 7, faults: Any = None) -> None:
        self.metadata = {"name": "harvest_v0"}
        self.max_cycles = max_cycles
        self.possible_agents = list(OBSERVATIONS)
        self.agents: list[str] = []
        self._faults = faults
        self._random = np.random.default_rng()

    def observation_space(self, agent):
        return OBSERVATIONS[agent]

    def action_space(self, agent):
        return ACTIONS[agent]

    def reset(self, seed=None, options=None):
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.t = 0
        self.total = 0.0
        self.x = self._random.normal(size=2)
        return self._observations(self.agents), {agent: {} for agent in self.agents}

    def _observations(self, agents):
        x = self.x
        all_of_them = {
            "scout": {"place": x.astype(np.float32), "mode": self.t % 3},
            "carrier": np.array([x, [self.t, 0.0]]),
            "drone": np.array([self.t, 1.0, 2.0], np.float32),
            "twin": np.array([self.t, 3.0, 4.0], np.float32),
        }
        return {agent: all_of_them[agent] for agent in agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        for agent, action in actions.items():
            space = ACTIONS[agent]
            assert space.contains(action), (agent, action)
            assert type(action) is int if isinstance(space, spaces.Discrete) else action.dtype == space.dtype
        self.t += 1
        push = sum(float(np.sum(action)) for action in actions.values())
        self.total += push
        self.x = self.x + 0.1 * push
        acted = list(self.agents)
        terminated = {a: a == "carrier" and self.t == 3 for a in acted}
        truncated = {a: self.t == self.max_cycles or (a == "scout" and self.t == 5) for a in acted}
        rewards = {a: push + k for k, a in enumerate(acted)}
        infos = {
            a: {"cost": {"heat": abs(float(np.sum(actions[a]))), "noise": float(k)}, "t": self.t}
            for k, a in enumerate(acted)
        }
        self.agents = [a for a in acted if not (terminated[a] or truncated[a])]
        if not self.agents:
            for agent in acted:
                infos[agent]["episode"] = {"push": self.total, "name": "harvest"}
        if self._faults is not None:
            for agent in acted:
                infos[agent] = self._faults(agent, self.t, infos[agent])
        return self._observations(acted), rewards, terminated, truncated, infos


class HarvestVectorEnv(ParallelVectorEnv):
    """The same as one of our own names would have it."""

    def __init__(self, num_copies=1, **settings):
        super().__init__(lambda: HarvestEnv(**settings), num_copies)


def random_actions(env, rng):
    """Kind → random actions ``[N, A_kind, ...]`` for the adapted environment."""
    actions = {}
    for kind in env.kinds:
        rows = [[draw(kind.action_space, rng) for _ in kind.agents] for _ in range(env.num_copies)]
        actions[kind.name] = np.array(rows)
    return actions


def draw(space, rng):
    if isinstance(space, spaces.Discrete):
        return int(rng.integers(space.n)) + int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(space.nvec)
    return rng.uniform(space.low, space.high)
