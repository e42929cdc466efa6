"""Our environments as RLlib's MultiAgentEnv, which stock RLlib can run too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.tune.registry import register_env

from rllib_safemarl.envs.registry import ENVIRONMENTS, make_vector
from rllib_safemarl.envs.vector import Observation, VectorEnv


class VectorMultiAgentEnv(MultiAgentEnv):
    """One copy of a named environment, agent by agent; ``make_vector`` gives many in columns.

    Args:
        name: a key of ``ENVIRONMENTS``.
        settings: ``env_config``.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._name, self._settings = name, dict(settings)
        self._env = make_vector(name, 1, **self._settings)
        kind_of = {i: kind for kind in self._env.kinds for i in kind.agents}
        names = self._env.possible_agents
        self.possible_agents = list(names)
        self.agents = list(names)
        self.observation_spaces = {a: kind_of[i].observation_space for i, a in enumerate(names)}
        self.action_spaces = {a: kind_of[i].action_space for i, a in enumerate(names)}
        self._active = np.ones(len(names), bool)

    def make_vector(self, num_copies: int) -> VectorEnv:
        """The same environment as ``num_copies`` copies in columns."""
        return make_vector(self._name, num_copies, **self._settings)

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Begin an episode."""
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        observation = self._env.reset(seed)
        self._active[:] = True
        self.agents = list(self.possible_agents)
        return self._observations(observation, self._active), {a: {} for a in self.agents}

    def step(self, action_dict: Mapping[Any, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Act jointly; infos bring ``cost`` (a float, or a dict with several costs) and signals."""
        env, acted = self._env, self._active.copy()
        step = env.step(self._actions(action_dict))
        ended = step.ending is not None
        observation = step.ending.observation if step.ending else step.observation
        terminated, truncated = step.terminated[0], bool(step.truncated[0])
        agents = [a for i, a in enumerate(self.possible_agents) if acted[i]]
        index = {a: i for i, a in enumerate(self.possible_agents)}
        rewards = {a: float(step.reward[0, index[a]]) for a in agents}
        costs = {a: self._cost(step.cost[0, index[a]]) for a in agents}
        infos = {a: {"cost": costs[a], **{k: v[0, index[a]] for k, v in step.info.items()}} for a in agents}
        if step.ending is not None:
            metrics = {name: float(v[0]) for name, v in step.ending.metrics.items()}
            for info in infos.values():
                info["episode"] = metrics
        terminateds = {a: bool(terminated[index[a]]) for a in agents}
        truncateds = {a: truncated and not terminateds[a] for a in agents}
        terminateds["__all__"] = ended and not truncated
        truncateds["__all__"] = truncated
        self._active = np.zeros_like(acted) if ended else step.active[0].copy()
        self.agents = [a for i, a in enumerate(self.possible_agents) if self._active[i]]
        observations = self._observations(observation, acted)
        return observations, rewards, terminateds, truncateds, infos

    def _observations(self, observation: Observation, shown: np.ndarray) -> dict[Any, Any]:
        return {
            self.possible_agents[i]: np.array(observation.values[kind.name][0, row])
            for kind in self._env.kinds
            for row, i in enumerate(kind.agents)
            if shown[i]
        }

    def _actions(self, action_dict: Mapping[Any, Any]) -> dict[str, np.ndarray]:
        actions = {}
        for kind in self._env.kinds:
            rows = [
                action_dict.get(self.possible_agents[i], np.zeros(kind.action_space.shape))
                for i in kind.agents
            ]
            actions[kind.name] = np.asarray(rows)[None]
        return actions

    def _cost(self, row: np.ndarray) -> float | dict[str, float]:
        names = self._env.cost_names
        if len(names) == 1:
            return float(row[0])
        return dict(zip(names, row.tolist(), strict=True))

    def close(self) -> None:
        """Release the environment."""
        self._env.close()


def register_environments() -> None:
    """Register every environment of ours with Ray, under its name."""
    for name in ENVIRONMENTS:
        register_env(name, lambda settings, name=name: VectorMultiAgentEnv(name, settings))
