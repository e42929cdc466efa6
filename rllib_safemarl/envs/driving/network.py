"""A road network as tables: which lanes lie side by side, which follow, and how far it is along the roads."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from rllib_safemarl.envs.driving.lanes import Array, Index, Lanes

NONE = -1
"""No lane, no road."""


class Network:
    """A compiled road. A *road* joins two nodes by lanes side by side, numbered from the left.

    Args:
        road: highway-env's, see :func:`~rllib_safemarl.envs.driving.assets.stock_road`.

    Attributes:
        lanes: geometry of the L lanes.
        road_of: ``[L]`` road of each lane.
        number: ``[L]`` a lane's number on its road.
        first: ``[R]`` lane number 0 of each road.
        count: ``[R]`` lanes of each road.
        speed_limit: ``[L]`` metres per second, infinite where there is none.
        forbidden: ``[L]`` whether nobody may change to the lane.
        priority: ``[L]`` who has the right of way.
        connected: ``[L, C]`` the lane itself, then those that follow it and that it follows; ``-1`` for none.
        connected_offset: ``[L, C]`` what to add to their ``s`` to count along the lane itself, metres.
        successor: ``[L, R + 1]`` the lane that continues a lane on each road; last where no route says which.
        apart: ``[L, L]`` how far before a successor's beginning a lane ends, along the lane, metres. Mostly
            0, but some of highway-env's lanes do not quite meet, or overlap, as on its racetrack.
        between: ``[K, K]`` least distance between nodes along the roads, in whichever direction, metres.
        ends: ``[R, 2]`` first and last node of each road.
        obstacles: ``[O, 2]`` things that stand on the road, metres.
        blocked: ``[L]`` whether one stands on the lane.
    """

    def __init__(self, road: Any) -> None:
        graph: dict[str, dict[str, list[Any]]] = road.network.graph
        pairs = [(begin, end) for begin, ends in graph.items() for end in ends]
        self._roads = {pair: r for r, pair in enumerate(pairs)}
        self._names = pairs
        groups = [graph[begin][end] for begin, end in pairs]
        stock = [lane for group in groups for lane in group]
        self.lanes = Lanes(stock)
        self.count = np.array([len(group) for group in groups])
        self.first = np.cumsum(self.count) - self.count
        self.road_of = np.repeat(np.arange(len(pairs)), self.count)
        self.number = np.arange(len(stock)) - self.first[self.road_of]
        limits = [lane.speed_limit for lane in stock]
        self.speed_limit = np.array([np.inf if limit is None else float(limit) for limit in limits])
        self.forbidden = np.array([bool(lane.forbidden) for lane in stock])
        self.priority = np.array([int(lane.priority) for lane in stock])
        self.obstacles = np.array([item.position for item in road.objects], float).reshape(-1, 2)
        s, r = self.lanes.coordinates(*self.obstacles.T)
        self.blocked = np.any(self.lanes.holds(s, r), axis=1)
        self._nexts = [[self._roads[end, after] for after in graph.get(end, {})] for _, end in pairs]
        self.connected, self.connected_offset = self._connections()
        self._after, self._after_road = self._continuations()
        self.successor = self._successors()
        self.apart = self._distances_to_successors()
        self.ends, self.between = self._distances()

    def road(self, begin: str, end: str) -> int:
        """Index of the road between two named nodes."""
        return self._roads[begin, end]

    def lane(self, begin: str, end: str, number: int = 0) -> int:
        """Index of a lane of the road between two named nodes."""
        return int(self.first[self._roads[begin, end]]) + number

    def has(self, begin: str, end: str) -> bool:
        """Whether there is such a road."""
        return (begin, end) in self._roads

    def route(self, lane: int, destination: str) -> tuple[int, ...]:
        """The fewest roads from a lane to a node; the lane's own alone where none lead there."""
        here = self._names[self.road_of[lane]][1]
        queue: deque[tuple[str, tuple[int, ...]]] = deque([(here, (int(self.road_of[lane]),))])
        seen = {here}
        while queue:
            node, way = queue.popleft()
            for after in sorted(end for begin, end in self._names if begin == node):
                longer = (*way, self._roads[node, after])
                if after == destination:
                    return longer
                if after not in seen:
                    seen.add(after)
                    queue.append((after, longer))
        return (int(self.road_of[lane]),)

    def road_length(self, road: int) -> float:
        """Length of a road's first lane, metres."""
        return float(self.lanes.length[self.first[road]])

    def beside(self, lane: Index, step: int) -> Index:
        """The lanes ``step`` to the right on the same road; ``-1`` beyond its edges."""
        road, number = self.road_of[lane], self.number[lane] + step
        inside = (number >= 0) & (number < self.count[road])
        return np.where(inside, self.first[road] + number, NONE)

    def clipped_beside(self, lane: Index, step: Index) -> Index:
        """The lanes ``step`` to the right on the same road, or its edge's."""
        road = self.road_of[lane]
        return self.first[road] + np.clip(self.number[lane] + step, 0, self.count[road] - 1)

    def next_lane(self, lane: Index, road: Index, x: Array, y: Array) -> Index:
        """The lane ``[M]`` that follows a finished one.

        With as many lanes on the next road the number stays; else the lane nearest to the point is taken.

        Args:
            lane: ``[M]`` the finished lanes.
            road: ``[M]`` the next road of a route; ``-1`` takes whichever lane is nearest.
            x: ``[M]`` metres.
            y: ``[M]`` metres.
        """
        lanes = self.lanes
        s, _ = lanes.local(lane, x, y)
        x, y = lanes.position(lane, s)
        after = self._after[lane]
        possible = (after >= 0) & ((road[:, None] < 0) | (self._after_road[lane] == road[:, None]))
        s, r = lanes.local(np.maximum(after, 0), x[:, None], y[:, None])
        length = lanes.length[np.maximum(after, 0)]
        away = np.abs(r) + np.maximum(s - length, 0.0) + np.maximum(0.0 - s, 0.0)
        best = np.where(possible, away, np.inf).argmin(1)
        return np.where(possible.any(1), after[np.arange(len(lane)), best], lane)

    # Tables.

    def _connections(self) -> tuple[Index, Array]:
        rows: list[list[tuple[int, float]]] = []
        for lane, (road, number) in enumerate(zip(self.road_of, self.number, strict=True)):
            own = [(lane, 0.0)]
            length = float(self.lanes.length[lane])
            own += [(self._like(after, number), length) for after in self._nexts[road]]
            end = self._names[road][0]
            for before, (_, to) in enumerate(self._names):
                if to == end:
                    previous = self._like(before, number)
                    own.append((previous, -float(self.lanes.length[previous])))
            rows.append(own)
        most = max(map(len, rows))
        lanes = np.array([[lane for lane, _ in row] + [NONE] * (most - len(row)) for row in rows])
        offsets = np.array([[offset for _, offset in row] + [0.0] * (most - len(row)) for row in rows])
        return lanes, offsets

    def _like(self, road: int, number: int) -> int:
        """The road's lane of a number, or its first."""
        return int(self.first[road] + (number if number < self.count[road] else 0))

    def _continuations(self) -> tuple[Index, Index]:
        """``[L, Q]`` lanes that may follow each, and their roads."""
        rows: list[list[int]] = []
        for road, number in zip(self.road_of, self.number, strict=True):
            row: list[int] = []
            for after in self._nexts[road]:
                every = range(int(self.first[after]), int(self.first[after] + self.count[after]))
                row += [every[number]] if self.count[after] == self.count[road] else every
            rows.append(row)
        most = max(1, *map(len, rows))
        after_lanes = np.array([row + [NONE] * (most - len(row)) for row in rows])
        return after_lanes, np.where(after_lanes < 0, NONE, self.road_of[after_lanes])

    def _successors(self) -> Index:
        count, roads = len(self.lanes), len(self._names)
        table = np.full((count, roads + 1), NONE)
        every = np.arange(count)
        x, y = self.lanes.position(every, self.lanes.length)
        for lane, road in enumerate(self.road_of):
            for wanted in (*self._nexts[road], NONE):
                found = self.next_lane(every[[lane]], np.array([wanted]), x[[lane]], y[[lane]])[0]
                table[lane, wanted] = NONE if found == lane else found
        return table

    def _distances_to_successors(self) -> Array:
        apart = np.zeros((len(self.lanes), len(self.lanes)))
        lane, road = np.nonzero(self.successor >= 0)
        after = self.successor[lane, road]
        s, _ = self.lanes.local(lane, *self.lanes.position(after, np.zeros(len(after))))
        apart[lane, after] = s - self.lanes.length[lane]
        return apart

    def _distances(self) -> tuple[Index, Array]:
        nodes = {name: k for k, name in enumerate(dict.fromkeys(n for pair in self._names for n in pair))}
        ends = np.array([[nodes[begin], nodes[end]] for begin, end in self._names])
        between = np.full((len(nodes), len(nodes)), np.inf)
        np.fill_diagonal(between, 0.0)
        for road, (begin, end) in enumerate(ends):
            length = min(self.road_length(road), between[begin, end])
            between[begin, end] = between[end, begin] = length
        for middle in range(len(nodes)):
            between = np.minimum(between, between[:, [middle]] + between[[middle]])
        return ends, between
