"""What an agent sees: its own observation and its κ-hop neighbours' in padded slots.

A view is a flat vector ``[own observation | slot 1 | … | slot K]``. A slot holds the neighbour's own
observation (padded to the largest own observation), its position relative to the viewer where the
environment has positions, a presence flag, its hop distance d as ``d / (1 + d)``, and its kind as a
one-hot where there are several. Slots of absent agents are zero throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.neighbourhoods import (
    Neighbours,
    complete_hops,
    moving_neighbours,
    nearest_edges,
    static_neighbours,
)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ViewLayout:
    """Sizes of the parts of one view, in numbers.

    Attributes:
        own_size: length of the agent's own flat observation.
        slots: number of neighbour slots K.
        observation_size: length to which every slot's observation is padded.
        position_size: length of a position; 0 where the environment has none.
        num_kinds: kinds of agents in the environment.
    """

    own_size: int
    slots: int
    observation_size: int
    position_size: int = 0
    num_kinds: int = 1

    @property
    def slot_size(self) -> int:
        """Length of one slot."""
        kind = self.num_kinds if self.num_kinds > 1 else 0
        return self.observation_size + self.position_size + 2 + kind

    @property
    def size(self) -> int:
        """Length of the whole view."""
        return self.own_size + self.slots * self.slot_size


class ViewBuilder:
    """Views of all agents of an environment for one neighbourhood radius.

    Args:
        kinds: kind → (``[A_kind]`` agent indices, length of their own observation).
        kappa: radius in hops; 0 is the own observation alone, ``inf`` every other agent.
        max_neighbours: at most so many slots; ignored for ``kappa=inf``.
        hops: ``[A, A]`` hop distances of a static graph, or ``None`` where edges move.
        degree: E of a moving graph's edges ``[..., A, E]``.
        position_size: length of a position, 0 for none.
        slots: K, where it is not to follow from the graph. Too few for a moving graph's edges, they hold the
            nearest by position; too few for a static graph's, the first by (hops, agent index).
    """

    def __init__(
        self,
        kinds: Mapping[str, tuple[NDArray[np.intp], int]],
        kappa: float,
        max_neighbours: int,
        hops: NDArray[np.int16] | None = None,
        degree: int = 0,
        position_size: int = 0,
        slots: int | None = None,
    ) -> None:
        num_agents = sum(len(agents) for agents, _ in kinds.values())
        self.kappa = kappa
        self._agents = {name: np.asarray(agents) for name, (agents, _) in kinds.items()}
        self._joint_size = max(size for _, size in kinds.values())
        self._kind_of = np.zeros(num_agents, np.intp)
        for k, agents in enumerate(self._agents.values()):
            self._kind_of[agents] = k
        self._table = self._static_table(num_agents, max_neighbours, hops)
        if self._table is not None:
            self.slots = self._table.slots
        else:
            reach = degree if kappa == 1 else num_agents - 1
            self.slots = min(max_neighbours, reach)
        needed, self.slots = self.slots, self.slots if slots is None else slots
        self._choose_nearest = (
            self._table is None and kappa == 1 and position_size > 0 and self.slots < needed
        )
        if self._table is not None and self.slots < needed:
            self._table = Neighbours(self._table.index[:, : self.slots], self._table.hops[:, : self.slots])
        self.layouts = {
            name: ViewLayout(size, self.slots, self._joint_size, position_size, len(kinds))
            for name, (_, size) in kinds.items()
        }

    def _static_table(
        self, num_agents: int, max_neighbours: int, hops: NDArray[np.int16] | None
    ) -> Neighbours | None:
        if np.isinf(self.kappa) or self.kappa < 1:
            hops = complete_hops(num_agents) if hops is None else hops
        return None if hops is None else static_neighbours(hops, self.kappa, max_neighbours)

    def neighbours(self, edges: NDArray[np.int32] | None) -> Neighbours:
        """Slots of all agents: ``[A, K]`` on a static graph, ``[..., A, K]`` on a moving one."""
        if self._table is not None:
            return self._table
        if edges is None:
            raise ValueError("a moving graph's views need its edges")
        return moving_neighbours(edges, self.kappa, self.slots)

    def shown(self, edges: NDArray[np.int32] | None, positions: Array | None) -> Neighbours:
        """The slots that views show: the nearest where a moving graph has more edges than there are slots."""
        if self._choose_nearest and edges is not None and positions is not None:
            edges = nearest_edges(edges, positions, self.slots)
        return self.neighbours(edges)

    def __call__(
        self,
        values: Mapping[str, Array],
        alive: NDArray[np.bool_],
        positions: Array | None = None,
        edges: NDArray[np.int32] | None = None,
        near: Neighbours | None = None,
    ) -> dict[str, Array]:
        """Views kind → ``[..., A_kind, layout.size]`` from columns with any leading axes.

        ``near`` goes before the neighbours of ``edges``, for views that follow the same agents over time.
        """
        if self.slots == 0:
            return dict(values)
        near = self.shown(edges, positions) if near is None else near
        joint = self._joint(values)
        kinds = self._kind_of if len(self._agents) > 1 else None
        return {
            name: gather_views(
                self.layouts[name],
                values[name],
                joint,
                agents,
                near.index[..., agents, :],
                near.hops[..., agents, :],
                alive,
                positions,
                kinds,
            )
            for name, agents in self._agents.items()
        }

    def _joint(self, values: Mapping[str, Array]) -> Array:
        """Own observations of all agents in agent order, padded: ``[..., A, joint size]``."""
        if len(values) == 1:
            return next(iter(values.values()))
        lead = next(iter(values.values())).shape[:-2]
        joint = np.zeros((*lead, len(self._kind_of), self._joint_size), np.float32)
        for name, agents in self._agents.items():
            joint[..., agents, : values[name].shape[-1]] = values[name]
        return joint


def gather_views(
    layout: ViewLayout,
    own: Array,
    joint: Array,
    members: NDArray[np.intp],
    index: NDArray[np.int32],
    hops: NDArray[np.int16],
    alive: NDArray[np.bool_],
    positions: Array | None = None,
    kinds: NDArray[np.intp] | None = None,
) -> Array:
    """Build the views of G agents.

    Args:
        layout: the sizes.
        own: ``[..., G, own_size]`` own observations of the viewers.
        joint: ``[..., A, observation_size]`` padded observations of all agents.
        members: ``[G]`` agent indices of the viewers.
        index: ``[..., G, K']`` or ``[G, K']`` agents in the first K' slots, ``-1`` for none.
        hops: hop distances, as ``index``.
        alive: ``[..., A]`` agents that take part; the others' slots are empty.
        positions: ``[..., A, position_size]``.
        kinds: ``[A]`` kind of every agent, needed with several kinds.

    Returns:
        ``[..., G, layout.size]`` float32.
    """
    *lead, viewers, own_size = own.shape
    views = np.empty((*lead, viewers, layout.size), np.float32)
    views[..., :own_size] = own
    if layout.slots == 0:
        return views
    slots = views[..., own_size:].reshape(*lead, viewers, layout.slots, layout.slot_size)
    given = index.shape[-1]
    if given < layout.slots:
        slots[..., given:, :] = 0.0
        slots = slots[..., :given, :]
    agent = np.maximum(index, 0)
    fixed = index.ndim == 2
    present = (index >= 0) & _pick(alive[..., None], agent, fixed)[..., 0]
    seen = present.astype(np.float32)[..., None]
    at = layout.observation_size
    np.multiply(_pick(joint, agent, fixed), seen, out=slots[..., :at])
    if positions is not None and layout.position_size:
        relative = _pick(positions, agent, fixed) - positions[..., members, None, :]
        np.multiply(relative, seen, out=slots[..., at : at + layout.position_size])
        at += layout.position_size
    slots[..., at] = present
    distance = hops.astype(np.float32)
    slots[..., at + 1] = distance / (1.0 + distance) * present
    if layout.num_kinds > 1:
        assert kinds is not None
        one_hot = np.eye(layout.num_kinds, dtype=np.float32)[kinds[agent]]
        np.multiply(one_hot, seen, out=slots[..., at + 2 :])
    return views


def _pick(values: NDArray, agent: NDArray[np.int32], fixed: bool) -> NDArray:
    """Rows of ``values [..., A, D]`` at ``agent [..., G, K]`` (``[G, K]`` when fixed)."""
    if fixed:
        return values[..., agent, :]
    *lead, num_agents, size = values.shape
    offset = np.arange(0, int(np.prod(lead)) * num_agents, num_agents).reshape(*lead, 1, 1)
    return values.reshape(-1, size)[agent + offset]
