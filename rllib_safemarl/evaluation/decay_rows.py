"""Rows that values of κ-hop views are learnt from: what agents saw, how far others were, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.team import AGENTS_WITH_OWN_POLICY, Team, make_views
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.neighbourhoods import UNREACHABLE, moving_hops, static_neighbours
from rllib_safemarl.functional.window_returns import discounted_returns
from rllib_safemarl.rollout.columns import ColumnBatch

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Moments:
    """R moments of E whole episodes, one episode after another.

    Attributes:
        values: kind → ``[R, A_kind, D_kind]`` own observations.
        alive: ``[R, A]`` agents that acted.
        positions: ``[R, A, P]`` or ``None``.
        edges: ``[R, A, E]`` of a moving graph, or ``None``.
        returns: ``[R, A, S]`` discounted sums of every signal to the episode's end.
        episode: ``[R]`` 0 … E - 1.
        age: ``[R]`` steps since the episode began.
    """

    values: dict[str, Float]
    alive: NDArray[np.bool_]
    positions: Float | None
    edges: NDArray[np.int32] | None
    returns: NDArray[np.float64]
    episode: NDArray[np.intp]
    age: NDArray[np.intp]

    def __getitem__(self, rows: NDArray[np.intp]) -> Moments:
        """Some of the moments."""
        return Moments(
            {kind: values[rows] for kind, values in self.values.items()},
            self.alive[rows],
            None if self.positions is None else self.positions[rows],
            None if self.edges is None else self.edges[rows],
            self.returns[rows],
            self.episode[rows],
            self.age[rows],
        )


def moments_of(
    batches: Sequence[ColumnBatch], signals: Sequence[Float], quota: NDArray[np.int64], gamma: float
) -> Moments:
    """The moments of every copy's first episodes.

    Args:
        batches: consecutive blocks, the first of which begins with new episodes.
        signals: of each block ``[T, N, A, S]``, per step.
        quota: ``[N]`` episodes of each copy that count; all have ended in the blocks.
        gamma: discount per step.
    """
    ended = np.concatenate([batch.ended for batch in batches])
    number = np.cumsum(ended, 0) - ended
    copy, step = np.nonzero((number < quota).T)
    first = np.concatenate([[0], np.cumsum(quota)[:-1]])
    episode = (first + number)[step, copy]
    starts = np.flatnonzero(np.diff(episode, prepend=-1))

    def rows(arrays: Sequence[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)[step, copy]

    seen = [batch.observations[:-1] for batch in batches]
    return Moments(
        {kind: rows([each.values[kind] for each in seen]) for kind in seen[0].values},
        rows([each.alive for each in seen]),
        rows([each.positions for each in seen]),
        rows([each.edges for each in seen]),
        discounted_returns(rows(signals), ended[step, copy], gamma),
        episode,
        np.arange(len(episode)) - starts[episode],
    )


@dataclass(frozen=True)
class Rows:
    """B rows of one kind's agents: a moment each, seen by one of them.

    Attributes:
        own: ``[B, O]`` own observation, time since the episode's beginning, and which agent it is.
        slots: ``[B, K, F]`` all other agents by (hops, index); zero where one is absent.
        hops: ``[B, K]`` hop distances of those.
        present: ``[B, K]`` slots that hold somebody.
        returns: ``[B, S]``.
        episode: ``[B]``.
    """

    own: Float
    slots: Float
    hops: NDArray[np.int16]
    present: NDArray[np.bool_]
    returns: Float
    episode: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.episode)

    def diameter(self) -> int:
        """Largest hop distance of two agents that a path joins."""
        return int(self.hops[self.present & (self.hops < UNREACHABLE)].max(initial=0))

    def unseen(self, radii: Sequence[float]) -> NDArray[np.float64]:
        """Sums over rows ``[len(radii)]`` of the agents beyond each radius."""
        return np.array([float((self.present & (self.hops > radius)).sum()) for radius in radii])


def rows_of(team: Team, moments: Moments) -> list[Rows]:
    """The rows of every kind.

    Raises:
        SafeMARLError: the team has no graph, or one agent.
    """
    if team.graph is None:
        raise SafeMARLError(
            "decay over hops needs an agent graph, and this environment has none: give one by --set "
            "agent_graph=chain, complete, or [[i, j], …]."
        )
    if len(team.agents) < 2:
        raise SafeMARLError("decay over hops needs several agents, and this environment has one.")
    hops = team.graph.hops
    if hops is None:
        assert moments.edges is not None
        hops = moving_hops(moments.edges)
    near = static_neighbours(hops, inf)
    # Slots of everyone, whatever the policies see.
    views = make_views(replace(team, slots=None), inf, 0)
    seen = views(moments.values, moments.alive, moments.positions, None, near)
    index = np.broadcast_to(near.index, (len(moments.episode), *near.index.shape[-2:]))
    distance = np.broadcast_to(near.hops, index.shape)
    there = np.take_along_axis(moments.alive[:, None, :], index, -1)
    found = []
    for kind in team.kinds:
        agents, size = list(kind.agents), kind.observation_size
        row, member = np.nonzero(moments.alive[:, agents])
        agent = np.array(agents)[member]
        view = seen[kind.name][row, member]
        found.append(
            Rows(
                np.concatenate([view[:, :size], _extras(moments.age[row], member, len(agents))], 1),
                view[:, size:].reshape(len(row), near.slots, -1),
                distance[row, agent],
                there[row, agent],
                moments.returns[row, agent].astype(np.float32),
                moments.episode[row],
            )
        )
    return found


def _extras(age: NDArray[np.intp], member: NDArray[np.intp], agents: int) -> Float:
    """What every radius sees beside its view.

    The time, since far agents would seem to matter where they only tell it; and which agent it is, as far as
    agents have policies of their own.
    """
    one_hot = np.eye(agents, dtype=np.float32)[member]
    parts = [age[:, None].astype(np.float32)]
    return np.concatenate([*parts, one_hot] if 1 < agents <= AGENTS_WITH_OWN_POLICY else parts, 1)
