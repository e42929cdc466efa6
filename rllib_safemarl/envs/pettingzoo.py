"""Any PettingZoo ParallelEnv as a VectorEnv."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from rllib_safemarl.envs.costs import check_cost_names, read_cost, reported_cost_names
from rllib_safemarl.envs.declarations import (
    agents_of,
    declared,
    declared_kinds,
    declared_time_limit,
    keeps_state,
    needs_argument,
)
from rllib_safemarl.envs.graphs import graph_hops
from rllib_safemarl.envs.spaces import flatten_value
from rllib_safemarl.envs.vector import AgentGraph, Bool, Ending, Float, Kind, Observation, Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import random_actions

EPISODE = "episode"
"""Key of an agent's last info under which figures of the episode stand, logged as metrics."""
_STATE = ("_active", "_gone", "_steps", "_episodes")


class ParallelVectorEnv(VectorEnv):
    """N copies of a PettingZoo ParallelEnv, stepped one after another.

    The environment may declare, as attributes: ``cost_names`` (a list; otherwise found by a first step with
    random actions), ``agent_graph`` (``complete``, ``chain`` or pairs of agents), a time limit
    (``time_limit``, ``max_cycles`` or ``max_steps``), and ``get_state()`` with ``set_state(state)``, without
    which a restored run starts its episodes anew.

    An agent that leaves is inactive from then on, its row keeps its last observation; whether it
    terminated or was truncated decides if values bootstrap there. An agent may join late, or again if it
    was neither. A copy's episode ends when nobody is left.

    Args:
        make: creates one copy; called with the copy's number if it takes an argument that has no default.
        num_copies: N.

    Attributes:
        envs: the N environments.
    """

    def __init__(self, make: Callable[..., ParallelEnv], num_copies: int = 1) -> None:
        numbered = needs_argument(make)
        self.num_copies = num_copies
        self.envs: list[ParallelEnv] = [make(n) if numbered else make() for n in range(num_copies)]
        first = self.envs[0]
        self.possible_agents = agents_of(first)
        for n, env in enumerate(self.envs):
            if agents_of(env) != self.possible_agents:
                raise SafeMARLError(
                    f"copy {n} of the environment has the agents {list(agents_of(env))}, copy 0 has "
                    f"{list(self.possible_agents)}; all copies must have the same possible_agents."
                )
        self.kinds = declared_kinds(first, self.possible_agents)
        self.time_limit = declared_time_limit(first)
        hops = graph_hops(declared(first, "agent_graph"), self.possible_agents)
        self._graph = None if hops is None else AgentGraph(hops)
        self._places: list[tuple[Any, Kind, int]] = [
            (agent, kind, kind.agents.index(i))
            for i, agent in enumerate(self.possible_agents)
            for kind in self.kinds
            if i in kind.agents
        ]
        self._index = {agent: i for i, agent in enumerate(self.possible_agents)}
        self._rows = {
            kind.name: np.zeros((num_copies, len(kind.agents), kind.observation_size), np.float32)
            for kind in self.kinds
        }
        self._active = np.zeros((num_copies, self.num_agents), bool)
        self._gone = np.zeros((num_copies, self.num_agents), bool)
        self._steps = np.zeros(num_copies, np.int64)
        self._episodes = np.zeros(num_copies, np.int64)
        self._seed = 0
        self.cost_names = self._find_cost_names()

    # What the environment is.

    def _find_cost_names(self) -> tuple[str, ...]:
        """The declared names, or those that a first step with random actions reports."""
        env = self.envs[0]
        names = declared(env, "cost_names")
        if names is not None:
            return check_cost_names(names)
        self._begin(0)
        generator = np.random.default_rng(0)
        drawn = {
            kind.name: random_actions(kind.action_space, (1, len(kind.agents)), generator)
            for kind in self.kinds
        }
        joint = self._joint(0, self._own_actions(drawn))
        infos = env.step(joint)[-1]
        return reported_cost_names({agent: infos[agent] for agent in joint if agent in infos})

    def graph(self) -> AgentGraph | None:
        """The graph that the environment declares."""
        return self._graph

    def active(self) -> Bool:
        """``[N, A]`` agents that act next."""
        return self._active.copy()

    # Episodes.

    def reset(self, seed: int) -> Observation:
        """Start a first episode in every copy."""
        self._seed = int(seed)
        self._episodes[:] = 0
        for n in range(self.num_copies):
            self._begin(n)
        return self._observe()

    def _begin(self, n: int) -> None:
        """Start the next episode of copy n, from (seed, copy, episode)."""
        env = self.envs[n]
        key = (self._seed % 2**64, n, int(self._episodes[n]))
        observations, _ = env.reset(seed=int(np.random.SeedSequence(key).generate_state(1)[0] >> 1))
        self._episodes[n] += 1
        self._steps[n] = 0
        for rows in self._rows.values():
            rows[n] = 0.0
        self._active[n] = self._gone[n] = False
        for agent in env.agents:
            self._active[n, self._place(agent)] = True
            self._write(n, agent, observations, required=True)
        if not env.agents:
            raise SafeMARLError(f"{env} has no agents after reset(); a ParallelEnv names them in env.agents.")

    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Act in all copies, one after another."""
        copies, agents = self._active.shape
        reward, terminated = np.zeros((copies, agents), np.float32), np.zeros((copies, agents), bool)
        cost = np.zeros((copies, agents, len(self.cost_names)), np.float32)
        truncated = np.zeros(copies, bool)
        chosen = self._own_actions(actions)
        infos, ended, finals = [], [], []
        for n in range(copies):
            truncated[n], info = self._step_copy(n, chosen, reward[n], cost[n], terminated[n])
            infos.append(info)
            if not self._active[n].any():
                ended.append(n)
                finals.append({name: rows[n].copy() for name, rows in self._rows.items()})
                self._begin(n)
        return Step(
            observation=self._observe(),
            reward=reward,
            cost=cost,
            terminated=terminated,
            truncated=truncated,
            active=self._active.copy(),
            ending=_ending(ended, finals, [infos[n] for n in ended]) if ended else None,
            infos=infos,
        )

    def _own_actions(self, actions: Mapping[str, NDArray]) -> dict[str, Any]:
        """Actions of every kind in the environment's own type: ints, or arrays of the space's dtype."""
        return {
            kind.name: actions[kind.name].tolist()
            if isinstance(kind.action_space, spaces.Discrete)
            else np.array(actions[kind.name], dtype=kind.action_space.dtype)
            for kind in self.kinds
        }

    def _joint(self, n: int, chosen: Mapping[str, Any]) -> dict[Any, Any]:
        """Actions of the active agents of copy n."""
        acting = [place for place, active in zip(self._places, self._active[n], strict=True) if active]
        return {agent: chosen[kind.name][n][row] for agent, kind, row in acting}

    def _step_copy(
        self,
        n: int,
        chosen: Mapping[str, Any],
        reward: Float,
        cost: Float,
        terminated: Bool,
    ) -> tuple[bool, Mapping[Any, Any]]:
        """Act in copy n; fills its rows ``[A]``, and tells whether the time limit ended it, and its infos."""
        env = self.envs[n]
        acting = np.flatnonzero(self._active[n]).tolist()
        joint = self._joint(n, chosen)
        observations, rewards, terminations, truncations, infos = env.step(joint)
        self._steps[n] += 1
        where = f"step {self._steps[n]} of an episode (copy {n})"
        staying = set(env.agents)
        cut = False
        for i in acting:
            agent = self.possible_agents[i]
            if agent not in rewards:
                raise SafeMARLError(f"agent {agent!r} acted but got no reward in {where}.")
            reward[i] = rewards[agent]
            cost[i] = read_cost(infos.get(agent), self.cost_names, agent, where)
            ended = bool(terminations.get(agent, False))
            stopped = not ended and bool(truncations.get(agent, False))
            stays = agent in staying and not ended and not stopped
            if not stays:
                terminated[i], self._gone[n, i], self._active[n, i] = ended, ended or stopped, False
                cut |= stopped
            self._write(n, agent, observations, required=stays)
        for agent in staying.difference(joint):
            i = self._place(agent)
            if not self._gone[n, i]:
                self._active[n, i] = True
                self._write(n, agent, observations, required=True)
        return cut and not self._active[n].any(), infos

    def _place(self, agent: Any) -> int:
        if agent not in self._index:
            raise SafeMARLError(
                f"agent {agent!r} appeared, but possible_agents is {list(self.possible_agents)}; it must "
                "name every agent that may ever act."
            )
        return self._index[agent]

    def _write(self, n: int, agent: Any, observations: Mapping[Any, Any], required: bool) -> None:
        """Enter an agent's observation; one that leaves may go without."""
        if agent not in observations:
            if required:
                raise SafeMARLError(f"agent {agent!r} is to act but got no observation (copy {n}).")
            return
        _, kind, row = self._places[self._index[agent]]
        space = kind.observation_space
        try:
            self._rows[kind.name][n, row] = flatten_value(space, observations[agent])
        except (TypeError, ValueError) as error:
            raise SafeMARLError(
                f"agent {agent!r} got an observation that does not fit its space {space}: {error}."
            ) from error

    def _observe(self) -> Observation:
        return Observation({name: rows.copy() for name, rows in self._rows.items()})

    # State.

    def get_state(self) -> dict[str, Any] | None:
        """Where every copy stands, if the environment has ``get_state()`` and ``set_state(state)``."""
        if not all(keeps_state(env) for env in self.envs):
            return None
        states = [copying.deepcopy(env.get_state()) for env in self.envs]
        arrays = {name: getattr(self, name).copy() for name in _STATE}
        rows = {name: rows.copy() for name, rows in self._rows.items()}
        return {"envs": states, "rows": rows, "seed": self._seed, **arrays}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        for env, each in zip(self.envs, state["envs"], strict=True):
            env.set_state(copying.deepcopy(each))
        for name in _STATE:
            setattr(self, name, np.array(state[name]))
        self._rows = {name: np.array(rows) for name, rows in state["rows"].items()}
        self._seed = int(state["seed"])

    def render(self, copy: int = 0) -> NDArray[np.uint8] | None:
        """The copy's own picture, if it was made with ``render_mode="rgb_array"``."""
        env = self.envs[copy]
        return env.render() if declared(env, "render_mode") == "rgb_array" else None

    def close(self) -> None:
        """Close every copy."""
        for env in self.envs:
            env.close()


def _ending(copies: list[int], finals: list[dict[str, Float]], infos: Sequence[Mapping[Any, Any]]) -> Ending:
    figures = [_figures(each) for each in infos]
    names = dict.fromkeys(name for each in figures for name in each)
    return Ending(
        np.array(copies, np.intp),
        Observation({kind: np.stack([final[kind] for final in finals]) for kind in finals[0]}),
        {name: np.array([each.get(name, np.nan) for each in figures], np.float32) for name in names},
    )


def _figures(infos: Mapping[Any, Any]) -> dict[str, float]:
    """Numbers under ``episode`` in the last infos, as the mean over the agents that bring them."""
    found: dict[str, list[float]] = {}
    for info in infos.values():
        episode = info.get(EPISODE) if isinstance(info, Mapping) else None
        for name, value in episode.items() if isinstance(episode, Mapping) else ():
            if np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number):
                found.setdefault(str(name), []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}
