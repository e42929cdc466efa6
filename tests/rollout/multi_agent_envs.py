"""MultiAgentEnvs as RLlib's users write them."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv


class PursuitEnv(MultiAgentEnv):
    """A hare (continuous) and two hounds (discrete); a hound that catches the hare terminates.

    Args:
        config: ``length`` of an episode; ``caught`` step in which hound_0 terminates; ``cost`` whether infos
            bring one.
    """

    def __init__(self, config=None):
        super().__init__()
        config = config or {}
        self.config = config
        self.max_steps = config.get("length", 6)
        self._caught = config.get("caught", 3)
        self.agents = self.possible_agents = ["hare", "hound_0", "hound_1"]
        hound = spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(3)
        self.observation_spaces = {"hare": spaces.Box(-np.inf, np.inf, (3,), np.float32)}
        self.action_spaces = {"hare": spaces.Box(-1.0, 1.0, (1,), np.float32)}
        for name in ("hound_0", "hound_1"):
            self.observation_spaces[name], self.action_spaces[name] = hound

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, float(self.np_random.normal())
        self.live = list(self.possible_agents)
        return self._observe(), {}

    def _observe(self):
        shown = {"hare": np.array([self.x, self.t, 1.0], np.float32)}
        shown |= {f"hound_{k}": np.array([self.x, k], np.float32) for k in range(2)}
        return {agent: shown[agent] for agent in self.live}

    def step(self, action_dict):
        assert set(action_dict) == set(self.live)
        self.t += 1
        self.x += float(action_dict["hare"][0])
        acted = list(self.live)
        shown = self._observe()
        terminated = {agent: agent == "hound_0" and self.t == self._caught for agent in acted}
        self.live = [agent for agent in acted if not terminated[agent]]
        over = self.t == self.max_steps
        infos = {agent: {"cost": float(k)} for k, agent in enumerate(acted)}
        if not self.config.get("cost", True):
            infos = {}
        rewards = {agent: self.x + k for k, agent in enumerate(acted) if agent != "hound_1"}
        return shown, rewards, {**terminated, "__all__": False}, {"__all__": over}, infos


class TurnsEnv(MultiAgentEnv):
    """Two agents take turns."""

    def __init__(self, config=None):
        super().__init__()
        self.agents = self.possible_agents = ["white", "black"]
        self.observation_spaces = {a: spaces.Discrete(2) for a in self.agents}
        self.action_spaces = {a: spaces.Discrete(2) for a in self.agents}

    def reset(self, *, seed=None, options=None):
        self.turn = 0
        return {"white": 0}, {}

    def step(self, action_dict):
        self.turn += 1
        agent = self.agents[self.turn % 2]
        return {agent: 0}, {agent: 0.0}, {"__all__": False}, {"__all__": False}, {}


class OldStyleEnv(MultiAgentEnv):
    """Agents only in ``_agent_ids``, one space for all, both hares die in the last step."""

    def __init__(self, config=None):
        self._agent_ids = {"z", "a", "m"}
        self.agents = self.possible_agents = []
        super().__init__()
        self.agents = self.possible_agents = []
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return {agent: np.zeros(2, np.float32) for agent in self._agent_ids}, {}

    def step(self, action_dict):
        self.t += 1
        shown = {agent: np.zeros(2, np.float32) for agent in action_dict}
        rewards = dict.fromkeys(action_dict, 1.0)
        return shown, rewards, {"__all__": self.t == 2}, {"__all__": False}, {}
