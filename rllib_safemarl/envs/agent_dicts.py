"""One copy of a VectorEnv, agent by agent in dicts, as PettingZoo and RLlib have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.costs import COST
from rllib_safemarl.envs.pettingzoo import EPISODE
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.envs.spaces import value_of
from rllib_safemarl.envs.vector import Observation, Step


class AgentDicts:
    """One copy of a named environment.

    Args:
        name: a key of ``ENVIRONMENTS``.
        settings: its ``env_config``.

    Attributes:
        env: the copy.
        possible_agents: names of all agents.
        agents: names of those that act next.
        observation_spaces: agent → space.
        action_spaces: agent → space.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.env = make_vector(name, 1, **settings)
        kind_of = {i: kind for kind in self.env.kinds for i in kind.agents}
        self.possible_agents = list(self.env.possible_agents)
        self.agents: list[Any] = []
        named = list(enumerate(self.possible_agents))
        self.observation_spaces = {a: kind_of[i].observation_space for i, a in named}
        self.action_spaces = {a: kind_of[i].action_space for i, a in named}
        self._active = np.zeros(len(named), bool)
        self._random = np.random.default_rng()

    def reset(self, seed: int | None) -> tuple[dict[Any, Any], dict[Any, dict[str, Any]]]:
        """Begin an episode: that of ``seed``, or with ``None`` a further one after the last seed."""
        if seed is None:
            seed = int(self._random.integers(2**31))
        else:
            self._random = np.random.default_rng(seed)
        observation = self.env.reset(seed)
        self._set_active(self.env.active()[0])
        return self._observations(observation, self._active), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[Any, Any]
    ) -> tuple[dict[Any, Any], dict[Any, float], dict[Any, bool], dict[Any, bool], dict[Any, dict[str, Any]]]:
        """Act jointly; after the end of an episode ``agents`` is empty.

        Returns:
            Observations, rewards, terminated, truncated and infos of the agents that acted or joined. Infos
            bring ``cost`` (a float, or a dict where there are several), the environment's signals and in the
            last step the episode's figures.
        """
        acted = self._active
        step = self.env.step(self._columns(actions))
        ended = step.ending is not None
        observation = step.ending.observation if step.ending is not None else step.observation
        following = np.zeros_like(acted) if ended else step.active[0].copy()
        self._set_active(following)
        rewards, terminated, truncated, infos = {}, {}, {}, {}
        for i in np.flatnonzero(acted | following):
            agent = self.possible_agents[i]
            rewards[agent] = float(step.reward[0, i])
            terminated[agent] = bool(step.terminated[0, i])
            truncated[agent] = bool(not following[i] and not step.terminated[0, i])
            infos[agent] = self._info(step, int(i))
        return self._observations(observation, acted | following), rewards, terminated, truncated, infos

    def _set_active(self, active: NDArray[np.bool_]) -> None:
        self._active = active
        self.agents = [agent for i, agent in enumerate(self.possible_agents) if active[i]]

    def _columns(self, actions: Mapping[Any, Any]) -> dict[str, NDArray]:
        """Kind → ``[1, A_kind, ...]``; agents that do not act get zeros, which nobody reads."""
        columns = {}
        for kind in self.env.kinds:
            # Of the space's type: a float among choices would make floats of all.
            nothing = np.zeros(kind.action_space.shape, kind.action_space.dtype)
            chosen = [actions.get(self.possible_agents[i], nothing) for i in kind.agents]
            columns[kind.name] = np.asarray(chosen)[None]
        return columns

    def _observations(self, observation: Observation, shown: NDArray[np.bool_]) -> dict[Any, Any]:
        return {
            self.possible_agents[i]: value_of(kind.observation_space, observation.values[kind.name][0, row])
            for kind in self.env.kinds
            for row, i in enumerate(kind.agents)
            if shown[i]
        }

    def _info(self, step: Step, i: int) -> dict[str, Any]:
        info: dict[str, Any] = {name: value[0, i] for name, value in step.info.items()}
        names, costs = self.env.cost_names, step.cost[0, i].tolist()
        if names:
            info[COST] = costs[0] if len(names) == 1 else dict(zip(names, costs, strict=True))
        if step.ending is not None and step.ending.metrics:
            info[EPISODE] = {name: float(value[0]) for name, value in step.ending.metrics.items()}
        return info
