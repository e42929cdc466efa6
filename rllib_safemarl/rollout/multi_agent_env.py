"""Our environments as RLlib's MultiAgentEnv, which stock RLlib can run too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.tune.registry import register_env

from rllib_safemarl.envs.agent_dicts import AgentDicts
from rllib_safemarl.envs.registry import ENVIRONMENTS, make_vector
from rllib_safemarl.envs.vector import VectorEnv


class VectorMultiAgentEnv(MultiAgentEnv):
    """One copy of a named environment, agent by agent; ``make_vector`` gives many in columns.

    Args:
        name: a key of ``ENVIRONMENTS``.
        settings: ``env_config``.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._name, self._settings = name, dict(settings)
        self._copy = AgentDicts(name, self._settings)
        self.possible_agents = self._copy.possible_agents
        self.agents = list(self.possible_agents)
        self.observation_spaces = self._copy.observation_spaces
        self.action_spaces = self._copy.action_spaces

    def make_vector(self, num_copies: int) -> VectorEnv:
        """The same environment as ``num_copies`` copies in columns."""
        return make_vector(self._name, num_copies, **self._settings)

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Begin an episode."""
        observations, infos = self._copy.reset(seed)
        self.agents = self._copy.agents
        return observations, infos

    def step(self, action_dict: Mapping[Any, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Act jointly; infos bring ``cost`` (a float, or a dict with several costs) and signals."""
        observations, rewards, terminated, truncated, infos = self._copy.step(action_dict)
        self.agents = self._copy.agents
        ended, cut = not self.agents, any(truncated.values())
        terminated["__all__"] = ended and not cut
        truncated["__all__"] = ended and cut
        return observations, rewards, terminated, truncated, infos

    def close(self) -> None:
        """Release the environment."""
        self._copy.env.close()


def register_environments() -> None:
    """Register every environment of ours with Ray, under its name."""
    for name in ENVIRONMENTS:
        register_env(name, lambda settings, name=name: VectorMultiAgentEnv(name, settings))
