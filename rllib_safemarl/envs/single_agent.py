"""A Gymnasium environment of one agent, as a team of one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from pettingzoo import ParallelEnv

AGENT = "agent_0"


class SingleAgentParallelEnv(ParallelEnv):
    """A Gymnasium environment as a ParallelEnv whose one agent is ``agent_0``."""

    def __init__(self, env: gym.Env) -> None:
        self.env = env
        self.metadata = {"name": str(env)}
        self.possible_agents = [AGENT]
        self.agents: list[str] = []
        self.render_mode = env.render_mode
        self.max_episode_steps = env.spec.max_episode_steps if env.spec else None

    @property
    def unwrapped(self) -> Any:
        """The innermost environment."""
        return self.env.unwrapped

    def observation_space(self, agent: str) -> gym.Space:
        """The environment's."""
        return self.env.observation_space

    def action_space(self, agent: str) -> gym.Space:
        """The environment's."""
        return self.env.action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.agents = [AGENT]
        return {AGENT: observation}, {AGENT: info}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Act; the agent leaves when its episode ends."""
        observation, reward, terminated, truncated, info = self.env.step(actions[AGENT])
        if terminated or truncated:
            self.agents = []
        parts = (observation, reward, terminated, truncated, info)
        return tuple({AGENT: part} for part in parts)  # type: ignore[return-value]

    def render(self) -> Any:
        """The environment's picture."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        self.env.close()
