"""`VectorEnv`: N copies of a multi-agent environment, stepped together in columns.

All agents of a copy act at once, so one step of N copies is a handful of arrays. Agents with equal spaces
form a *kind*; observations come per kind, everything else per agent in the order of ``possible_agents``.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.futures import Futures

if TYPE_CHECKING:
    from torch import Tensor

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

MARGIN = "margin"
"""Signal of a step: signed distance to danger after it, per agent; negative in danger."""


@dataclass(frozen=True)
class Kind:
    """Agents with equal spaces.

    Attributes:
        name: unique in the environment.
        agents: indices into ``possible_agents``, rising.
        observation_space: one agent's own observation space.
        action_space: one agent's own action space.
    """

    name: str
    agents: tuple[int, ...]
    observation_space: spaces.Space
    action_space: spaces.Space

    @property
    def observation_size(self) -> int:
        """Length of the flat observation."""
        return int(spaces.flatdim(self.observation_space))


@dataclass(frozen=True)
class AgentGraph:
    """Who is near whom.

    Attributes:
        hops: ``[A, A]`` hop distances of a static graph; ``None`` where edges move, in which case
            every :class:`Observation` brings its ``edges``.
        degree: E, the length of the edge lists of a moving graph.
    """

    hops: NDArray[np.int16] | None = None
    degree: int = 0

    @property
    def moving(self) -> bool:
        """Whether the edges change from step to step."""
        return self.hops is None


@dataclass(frozen=True)
class Observation:
    """What N copies show at one moment.

    Attributes:
        values: kind → ``[N, A_kind, D_kind]`` flat float32 observations.
        positions: ``[N, A, P]`` positions in a frame common to all agents of a copy, or ``None``.
        edges: ``[N, A, E]`` int32 1-hop neighbours in rising order, ``-1`` for none; ``None`` on a
            static graph.
    """

    values: Mapping[str, Float]
    positions: Float | None = None
    edges: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Ending:
    """Copies whose episode ended in a step.

    Attributes:
        copies: ``[M]`` their indices, rising.
        observation: their *final* observations, with M in the place of N.
        metrics: name → ``[M]`` figures of the finished episodes, logged as ``<name>_mean``.
    """

    copies: NDArray[np.intp]
    observation: Observation
    metrics: Mapping[str, Float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The outcome of one joint action in N copies. Arrays are valid until the next step.

    Attributes:
        observation: after the step; of the next episode where a copy ended (same-step autoreset).
        reward: ``[N, A]`` per step; 0 for agents that did not act.
        cost: ``[N, A, C]`` per step, never negative; 0 for agents that did not act.
        terminated: ``[N, A]`` the agent reached a terminal state in this step.
        truncated: ``[N]`` the copy's episode ran into its time limit.
        active: ``[N, A]`` agents that act next, in the next episode where a copy ended.
        ending: the copies that ended, or ``None``.
        info: name → ``[N, A, ...]`` further signals of this step, for recording (such as ``margin``).
        infos: N dicts agent → info of wrapped environments, as they gave them, or ``None``.
    """

    observation: Observation
    reward: Float
    cost: Float
    terminated: Bool
    truncated: Bool
    active: Bool
    ending: Ending | None = None
    info: Mapping[str, NDArray] = field(default_factory=dict)
    infos: Sequence[Mapping[Any, Mapping[str, Any]]] | None = None


class Dynamics(Protocol):
    """One step of the environment as one agent sees it, differentiable in its action."""

    def __call__(self, views: Tensor, actions: Tensor) -> Tensor:
        """Views ``[..., V]`` after actions ``[..., D]`` in [-1, 1], which stand for their bounds."""
        ...


class VectorEnv(abc.ABC):
    """N copies of one multi-agent environment.

    Attributes:
        num_copies: N.
        possible_agents: names of the A agents, fixed; an agent that dies is masked, never re-indexed.
        kinds: agents grouped by equal spaces, in order of their first agent.
        cost_names: names of the C costs, possibly none.
        time_limit: steps after which an episode is truncated, or ``None``.
    """

    num_copies: int
    possible_agents: tuple[Any, ...]
    kinds: tuple[Kind, ...]
    cost_names: tuple[str, ...]
    time_limit: int | None

    @abc.abstractmethod
    def reset(self, seed: int) -> Observation:
        """Start a first episode in every copy; later ones derive from (seed, copy, episode)."""

    @abc.abstractmethod
    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Act in all copies: kind → ``[N, A_kind, ...]``; rows of inactive agents are ignored."""

    def active(self) -> Bool:
        """``[N, A]`` agents that act next; asked after a reset, later each step tells."""
        return np.ones((self.num_copies, self.num_agents), bool)

    @property
    def num_agents(self) -> int:
        """A."""
        return len(self.possible_agents)

    def graph(self) -> AgentGraph | None:
        """The agent graph, or ``None`` where the environment has none."""
        return None

    @property
    def position_size(self) -> int:
        """P, the length of a position; 0 where observations bring none."""
        return 0

    @property
    def clearance(self) -> float:
        """κ_s, the margin that a safe state should have; how deep in danger an agent is counts in it."""
        return 1.0

    def get_state(self) -> dict[str, Any] | None:
        """Everything needed to go on exactly here, or ``None`` where that cannot be told."""
        return None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        raise NotImplementedError(f"{type(self).__name__} cannot restore a state")

    def render(self, copy: int = 0) -> NDArray[np.uint8] | None:
        """An RGB picture ``[H, W, 3]`` of one copy, or ``None``."""
        return None

    def dynamics(self, kind: str) -> Dynamics | None:
        """What an agent of a kind sees a step later if the others go on as they do; ``None`` if not offered.

        Args:
            kind: name of the agent's kind.
        """
        return None

    def position_features(self, kind: str) -> tuple[int, ...]:
        """Which of an agent's own flat observation change by as much as its position; none where none do.

        From these P features of planned observations follow planned positions, whatever their origin is.

        Args:
            kind: name of the agent's kind.
        """
        return ()

    def render_futures(self, futures: Futures, copy: int = 0, scale: float = 1.0) -> NDArray[np.uint8] | None:
        """A picture as of :meth:`render`, with what the agents plan over the scene, coloured by the barrier.

        Args:
            futures: the plans of this moment.
            copy: whose scene.
            scale: pixels per pixel of :meth:`render`.

        Returns:
            ``[H, W, 3]``, or ``None`` where plans are not drawn.
        """
        return None

    def close(self) -> None:  # noqa: B027 - most environments have nothing to release
        """Release what the environment holds."""


def kinds_of(
    agents: Sequence[Any],
    observation_spaces: Mapping[Any, spaces.Space],
    action_spaces: Mapping[Any, spaces.Space],
) -> tuple[Kind, ...]:
    """Group agents by equal spaces, in order of their first agent."""
    found: list[tuple[spaces.Space, spaces.Space, list[int]]] = []
    for i, agent in enumerate(agents):
        pair = observation_spaces[agent], action_spaces[agent]
        for observation_space, action_space, members in found:
            if (observation_space, action_space) == pair:
                members.append(i)
                break
        else:
            found.append((*pair, [i]))
    return tuple(
        Kind(f"kind_{k}", tuple(members), observation_space, action_space)
        for k, (observation_space, action_space, members) in enumerate(found)
    )
