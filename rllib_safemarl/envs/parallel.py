"""Our environments as PettingZoo's ParallelEnv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from rllib_safemarl.envs.agent_dicts import AgentDicts
from rllib_safemarl.errors import SafeMARLError

RENDER_MODES = ("rgb_array",)


class VectorParallelEnv(ParallelEnv):
    """One copy of a named environment under PettingZoo's parallel API.

    Args:
        name: a key of ``ENVIRONMENTS``.
        settings: its ``env_config``.
        render_mode: ``rgb_array`` or ``None``.

    Attributes:
        cost_names: names of the costs in ``infos[agent]["cost"]``.
        time_limit: steps per episode at most, or ``None``.
        agent_graph: pairs of agents that a static graph joins; ``None`` without one.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise SafeMARLError(f"render_mode={render_mode!r} must be None or one of {list(RENDER_MODES)}.")
        self._copy = AgentDicts(name, settings)
        self.metadata = {"name": name, "render_modes": list(RENDER_MODES), "is_parallelizable": True}
        self.render_mode = render_mode
        self.possible_agents = self._copy.possible_agents
        self.observation_spaces = self._copy.observation_spaces
        self.action_spaces = self._copy.action_spaces
        self.cost_names = self._copy.env.cost_names
        self.time_limit = self._copy.env.time_limit
        graph = self._copy.env.graph()
        self.agent_graph: list[tuple[Any, Any]] | None = None
        if graph is not None and graph.hops is not None:
            joined = np.argwhere(np.triu(graph.hops == 1))
            self.agent_graph = [(self.possible_agents[i], self.possible_agents[j]) for i, j in joined]

    @property
    def agents(self) -> list[Any]:  # type: ignore[override]
        """Agents that act next."""
        return self._copy.agents

    def observation_space(self, agent: Any) -> gym.Space:
        """One agent's."""
        return self.observation_spaces[agent]

    def action_space(self, agent: Any) -> gym.Space:
        """One agent's."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Begin an episode; without a seed a further one after the last seed."""
        return self._copy.reset(seed)

    def step(self, actions: dict[Any, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Act jointly; infos bring ``cost`` and the environment's signals."""
        return self._copy.step(actions)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """An RGB picture ``[H, W, 3]``; needs the ``plot`` extra."""
        return self._copy.env.render() if self.render_mode else None

    def close(self) -> None:
        """Release the environment."""
        self._copy.env.close()


def parallel_env(name: str, render_mode: str | None = None, **settings: Any) -> VectorParallelEnv:
    """One of our environments as a PettingZoo ParallelEnv, such as ``parallel_env("safemarl/crossing")``.

    Args:
        name: a key of ``ENVIRONMENTS``.
        render_mode: ``rgb_array`` or ``None``.
        settings: the environment's own ``env_config``.

    Raises:
        SafeMARLError: the name is unknown, or a setting does not fit.
    """
    return VectorParallelEnv(name, settings, render_mode)
