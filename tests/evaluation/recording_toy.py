"""A PettingZoo environment with choices, agents that leave early, and margins in its infos."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Leaving(ParallelEnv):
    """Agent ``a`` terminates at step 2, ``b`` is truncated at step 3, ``c`` goes on until ``length``.

    Agent i observes [i, steps so far, what was drawn at the start]; its reward is its choice, its cost 1 for
    choice 2, its margin 1 minus its choice.
    """

    cost_names = ("choice",)
    dt = 0.5

    def __init__(self, length: int = 4, terminal: bool = True, bad: str = "") -> None:
        self.metadata = {"name": "leaving"}
        self.possible_agents = ["a", "b", "c"]
        self.length, self.terminal, self.bad = length, terminal, bad
        self.agents: list[str] = []

    def observation_space(self, agent):
        return spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(3)

    def reset(self, seed=None, options=None):
        self.agents, self.steps = list(self.possible_agents), 0
        self.drawn = float(np.random.default_rng(seed).random())
        return self._observe(self.agents), {agent: {} for agent in self.agents}

    def _observe(self, agents):
        index = self.possible_agents.index
        return {a: np.array([index(a), self.steps, self.drawn], np.float32) for a in agents}

    def step(self, actions):
        if self.bad == "raises":
            raise RuntimeError("the robot fell over")
        self.steps += 1
        acted = list(self.agents)
        terminated = {a: (a == "a" and self.steps == 2) for a in acted}
        truncated = {a: (a == "b" and self.steps == 3) for a in acted}
        if self.steps == self.length:
            terminated["c"], truncated["c"] = self.terminal, not self.terminal
        self.agents = [a for a in acted if not (terminated[a] or truncated[a])]
        rewards = {a: float("nan") if self.bad == "nan" else float(actions[a]) for a in acted}
        infos = {a: {"cost": float(actions[a] == 2), "margin": 1.0 - actions[a]} for a in acted}
        return self._observe(acted), rewards, terminated, truncated, infos


def make(**settings):
    return Leaving(**settings)
