"""Any simultaneous-move MultiAgentEnv of RLlib, ready for :class:`ParallelVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
from pettingzoo import ParallelEnv
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from rllib_safemarl.errors import SafeMARLError

ALL = "__all__"


class MultiAgentParallelEnv(ParallelEnv):
    """RLlib's conventions in PettingZoo's: who observes acts next, ``__all__`` ends the episode.

    Raises:
        SafeMARLError: the environment names no agents or spaces, or lets agents wait for their turn.
    """

    def __init__(self, env: MultiAgentEnv) -> None:
        self.env = env
        self.metadata = {"name": type(env).__name__}
        self.render_mode = getattr(env, "render_mode", None)
        self.possible_agents = _possible_agents(env)
        self.agents: list[Any] = []

    @property
    def unwrapped(self) -> Any:
        """RLlib's environment."""
        return self.env

    def __str__(self) -> str:
        return type(self.env).__name__

    def observation_space(self, agent: Any) -> gym.Space:
        """One agent's."""
        return self._space(self.env.get_observation_space, agent, "observation")

    def action_space(self, agent: Any) -> gym.Space:
        """One agent's."""
        return self._space(self.env.get_action_space, agent, "action")

    def _space(self, get: Callable[[Any], Any], agent: Any, what: str) -> gym.Space:
        try:
            space = get(agent)
        except KeyError:
            space = None
        if space is None:
            raise SafeMARLError(
                f"{self} has no {what} space for agent {agent!r}; list all in its {what}_spaces."
            )
        return space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Begin an episode with the agents that observe."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(observations)
        return observations, infos

    def step(self, actions: dict[Any, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Act jointly."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended, cut = terminated.get(ALL, False), truncated.get(ALL, False)
        done = {a for flags in (terminated, truncated) for a, flag in flags.items() if flag}
        self.agents = [] if ended or cut else [a for a in observations if a not in done]
        terminated = {a: terminated.get(a, False) or (ended and not truncated.get(a, False)) for a in actions}
        truncated = {a: truncated.get(a, False) or cut for a in actions}
        for agent in actions:
            if agent not in observations and not (terminated[agent] or truncated[agent]):
                raise SafeMARLError(
                    f"agent {agent!r} of {self} lives but got no observation to act on: turn-based "
                    "environments are not supported; let all live agents act at every step."
                )
        rewards = {agent: rewards.get(agent, 0.0) for agent in actions}
        return observations, rewards, terminated, truncated, infos

    def render(self) -> Any:
        """RLlib's environment's picture."""
        return self.env.render()

    def close(self) -> None:
        """Close RLlib's environment."""
        self.env.close()


def _possible_agents(env: MultiAgentEnv) -> list[Any]:
    """All agents in an order that is the same in every process."""
    # RLlib's wrapper lists a set, whose order changes from process to process.
    inner = getattr(env, "par_env", env)
    named = getattr(inner, "possible_agents", None) or sorted(env.get_agent_ids(), key=str)
    if not named:
        raise SafeMARLError(
            f"{type(env).__name__} has no possible_agents; list there every agent that may ever act."
        )
    return list(named)
