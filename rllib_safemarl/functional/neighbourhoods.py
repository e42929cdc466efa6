"""κ-hop neighbourhoods as index arrays.

The neighbourhood of agent i is ``N_κ^i = {j : d(i, j) ≤ κ}`` with hop distance d (Scal-MAPPO-L, §2).
Here it is data: for every agent a row of *slots*, ordered by (hops, agent index), each slot an agent
index or ``-1`` for an empty one. The agent itself is never in its own slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNREACHABLE: int = np.iinfo(np.int16).max
"""Hop distance between agents that no path joins."""

EMPTY: int = -1
"""Marks a slot without an agent."""


@dataclass(frozen=True)
class Neighbours:
    """Neighbour slots of every agent.

    Attributes:
        index: ``[..., A, K]`` agent indices, ``-1`` where a slot is empty.
        hops: ``[..., A, K]`` hop distances of those agents, 0 where a slot is empty.
    """

    index: NDArray[np.int32]
    hops: NDArray[np.int16]

    @property
    def slots(self) -> int:
        """Number of slots K of each agent."""
        return int(self.index.shape[-1])


def hop_distances(edges: Iterable[tuple[int, int]], num_agents: int) -> NDArray[np.int16]:
    """All-pairs hop distances ``[A, A]`` of an undirected graph, by breadth-first search.

    Args:
        edges: pairs of agent indices; order and repetition do not matter.
        num_agents: A.

    Returns:
        ``[A, A]`` hops, 0 on the diagonal, ``UNREACHABLE`` where no path exists.

    Raises:
        ValueError: an edge names an agent outside ``0 … A-1``.
    """
    adjacency = np.zeros((num_agents, num_agents), bool)
    for i, j in edges:
        if not (0 <= i < num_agents and 0 <= j < num_agents):
            raise ValueError(f"edge ({i}, {j}) names an agent outside 0..{num_agents - 1}")
        adjacency[i, j] = adjacency[j, i] = True
    return _breadth_first(adjacency)


def moving_hops(edges: NDArray[np.int32]) -> NDArray[np.int16]:
    """All-pairs hop distances ``[..., A, A]`` of graphs that change with every step.

    Args:
        edges: ``[..., A, E]`` the 1-hop neighbours of every agent, ``-1`` for none.

    Returns:
        Hops from row to column, 0 on the diagonal, ``UNREACHABLE`` where no path exists.
    """
    num_agents = edges.shape[-2]
    # Empty places go to a column that is cut off again.
    adjacency = np.zeros((*edges.shape[:-1], num_agents + 1), bool)
    np.put_along_axis(adjacency, np.where(edges < 0, num_agents, edges).astype(np.intp), True, -1)
    return _breadth_first(adjacency[..., :num_agents])


def _breadth_first(adjacency: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Hop distances ``[..., A, A]`` along the edges of an adjacency matrix of that shape."""
    num_agents = adjacency.shape[-1]
    own = np.eye(num_agents, dtype=bool)
    hops = np.where(own, 0, np.full(adjacency.shape, UNREACHABLE)).astype(np.int16)
    frontier: NDArray[np.bool_] = np.broadcast_to(own, adjacency.shape)
    steps = adjacency.astype(np.float32)
    for distance in range(1, num_agents):
        frontier = (frontier.astype(np.float32) @ steps > 0) & (hops == UNREACHABLE)
        if not frontier.any():
            break
        hops[frontier] = distance
    return hops


def complete_hops(num_agents: int) -> NDArray[np.int16]:
    """Hop distances ``[A, A]`` of the complete graph: 1 between any two agents."""
    return (1 - np.eye(num_agents)).astype(np.int16)


def static_neighbours(hops: NDArray[np.int16], kappa: float, max_neighbours: int | None = None) -> Neighbours:
    """Slots of the κ-hop neighbourhood on graphs whose distances are known.

    Args:
        hops: ``[..., A, A]`` hop distances.
        kappa: radius in hops; ``inf`` takes every other agent, joined by a path or not.
        max_neighbours: at most so many slots; ignored for ``kappa=inf``.

    Returns:
        Slots ``[..., A, K]``; K is the largest neighbourhood, at most ``max_neighbours``.
    """
    num_agents = hops.shape[-1]
    wide = hops.astype(np.int64)
    inside = np.ones_like(hops, bool) if np.isinf(kappa) else hops <= kappa
    inside &= ~np.eye(num_agents, dtype=bool)
    key = np.where(inside, wide * num_agents + np.arange(num_agents), np.iinfo(np.int64).max)
    slots = int(inside.sum(-1).max(initial=0))
    if max_neighbours is not None and not np.isinf(kappa):
        slots = min(slots, max_neighbours)
    order = np.argsort(key, axis=-1, kind="stable")[..., :slots]
    filled = np.take_along_axis(inside, order, -1)
    return Neighbours(
        index=np.where(filled, order, EMPTY).astype(np.int32),
        hops=np.where(filled, np.take_along_axis(hops, order, -1), 0).astype(np.int16),
    )


def moving_neighbours(edges: NDArray[np.int32], kappa: float, max_neighbours: int) -> Neighbours:
    """Slots of the κ-hop neighbourhood on a graph that changes with every step.

    Args:
        edges: ``[..., A, E]`` the 1-hop neighbours of every agent in rising order, ``-1`` for none.
        kappa: radius in hops, finite.
        max_neighbours: number of slots K.

    Returns:
        Slots ``[..., A, K]``.
    """
    if kappa < 1:
        empty = np.full((*edges.shape[:-1], 0), EMPTY, np.int32)
        return Neighbours(empty, empty.astype(np.int16))
    if kappa == 1:
        index = edges[..., :max_neighbours]
        return Neighbours(index, (index >= 0).astype(np.int16))
    return _expand(edges, int(kappa), max_neighbours)


def nearest_edges(edges: NDArray[np.int32], positions: NDArray[np.floating], count: int) -> NDArray[np.int32]:
    """The nearest of every agent's 1-hop neighbours, still in rising order.

    Args:
        edges: ``[..., A, E]`` neighbours in rising order, ``-1`` for none.
        positions: ``[..., A, P]`` of all agents.
        count: how many to keep, at most E.

    Returns:
        ``[..., A, count]``, ``-1`` for none; of equally near ones the first.
    """
    pairs = np.maximum(edges, 0)[..., None]
    ends = np.take_along_axis(positions[..., None, :, :], pairs, -2)
    squared = np.square(ends - positions[..., :, None, :]).sum(-1)
    squared[edges < 0] = np.inf
    nearest = np.sort(np.argsort(squared, -1, kind="stable")[..., :count], -1)
    kept = np.take_along_axis(edges, nearest, -1)
    # Empty places may lie between those that are kept.
    order = np.argsort(kept < 0, -1, kind="stable")
    return np.asarray(np.take_along_axis(kept, order, -1))


def _expand(edges: NDArray[np.int32], kappa: int, max_neighbours: int) -> Neighbours:
    """Neighbours of neighbours, κ times; at each hop every agent keeps its first K."""
    *batch, num_agents, _ = edges.shape
    flat = edges.reshape(-1, num_agents, edges.shape[-1])
    copies = np.arange(len(flat))[:, None, None]
    index, hops = flat, (flat >= 0).astype(np.int16)
    frontier = flat
    for distance in range(2, kappa + 1):
        further = flat[copies, np.maximum(frontier, 0)]
        further = np.where(frontier[..., None] >= 0, further, EMPTY)
        further = further.reshape(*flat.shape[:2], frontier.shape[-1] * flat.shape[-1])
        index = np.concatenate([index, further], -1)
        hops = np.concatenate([hops, np.full(further.shape, distance, np.int16)], -1)
        index, hops = _first_of_each(index, hops, num_agents)
        frontier = np.where(hops == distance, index, EMPTY)
    index, hops = index[..., :max_neighbours], hops[..., :max_neighbours]
    shape = (*batch, num_agents, index.shape[-1])
    return Neighbours(index.reshape(shape), hops.reshape(shape))


def _first_of_each(
    index: NDArray[np.int32], hops: NDArray[np.int16], num_agents: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Drop the agent itself and later mentions of an agent; order by (hops, index)."""
    none = np.iinfo(np.int64).max
    own = np.arange(num_agents)[:, None]
    span = int(hops.max(initial=0)) + 1
    by_index = np.where((index >= 0) & (index != own), index.astype(np.int64) * span + hops, none)
    by_index.sort(-1)
    agent = by_index // span
    repeated = np.zeros(by_index.shape, bool)
    repeated[..., 1:] = agent[..., 1:] == agent[..., :-1]
    empty = repeated | (by_index == none)
    by_hops = np.where(empty, none, (by_index % span) * num_agents + agent)
    by_hops.sort(-1)
    by_hops = by_hops[..., : int((by_hops != none).sum(-1).max(initial=0))]
    filled = by_hops != none
    return (
        np.where(filled, by_hops % num_agents, EMPTY).astype(np.int32),
        np.where(filled, by_hops // num_agents, 0).astype(np.int16),
    )
