"""`safemarl/crossing`: robots that swap places and must not come into danger of one another."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.crossing.config import CrossingConfig
from rllib_safemarl.envs.crossing.danger import margins, nearest_edges
from rllib_safemarl.envs.crossing.layouts import JITTER, TILE_ROBOTS, make_layout
from rllib_safemarl.envs.crossing.neighbour_search import NearPairs, NeighbourSearch
from rllib_safemarl.envs.crossing.walls import stop_at_walls
from rllib_safemarl.envs.futures import Futures
from rllib_safemarl.envs.random import hashed_uniform
from rllib_safemarl.envs.vector import AgentGraph, Dynamics, Ending, Kind, Observation, Step, VectorEnv
from rllib_safemarl.functional.neighbourhoods import hop_distances

KIND = "robot"
STATIC_REACH = 2.0
"""A static graph joins robots whose nominal starts are at most so far apart, metres."""


class CrossingVectorEnv(VectorEnv):
    """N copies of the crossing, in NumPy.

    Robot i observes ``[goal - p, v, p - centre]`` (metres, metres per second): its way to the goal, its
    velocity, and its place relative to the point its path leads through. It acts by an acceleration in
    ``[-1, 1]²``, in units of ``acceleration``. Reward per step and robot: progress along the free way to the
    goal in metres, minus ``time_penalty`` while the goal is not reached.

    Attributes:
        config: the settings.
        layout: nominal places of the robots.
        positions: ``[N, A, 2]`` metres.
        velocities: ``[N, A, 2]`` metres per second.
        goals: ``[N, A, 2]`` metres.
    """

    def __init__(self, num_copies: int = 1, **settings: Any) -> None:
        self.config = config = CrossingConfig.from_dict(settings)
        self.num_copies = num_copies
        self.possible_agents = tuple(f"robot_{i}" for i in range(config.n_agents))
        self.cost_names = tuple(config.costs)
        self.layout = make_layout(config.layout, config.n_agents)
        way = np.linalg.norm(self.layout.goals - self.layout.starts, axis=1).max()
        queue = min(config.n_agents, TILE_ROBOTS) if self.layout.walls else 0
        # Each robot before the door costs half a second and the time to stop or start again.
        waiting = queue * (0.5 + config.top_speed / config.acceleration)
        steps = 20 + (1.5 * way / config.top_speed + waiting) / config.step_seconds
        self.time_limit: int = config.time_limit or math.ceil(steps)
        self.kinds = (self._kind(way),)
        # Beyond the first reach no pair can be in danger, even closing at twice the top speed.
        braking = (2.0 * config.top_speed) ** 2 / (4.0 * config.acceleration)
        self._reach = max(2.0 * config.radius + braking + config.clearance, config.sense_radius)
        self._search = NeighbourSearch(num_copies, config.n_agents, self._reach)
        self._degree = min(config.max_degree, config.n_agents - 1)
        self._graph = self._static_graph() if config.graph == "static" else AgentGraph(degree=self._degree)
        self._seed = 0
        shape = (num_copies, config.n_agents, 2)
        self.positions, self.velocities, self.goals = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._ways = np.zeros(shape[:2])
        self._steps = np.zeros(num_copies, np.int64)
        self._episodes = np.zeros(num_copies, np.int64)
        self._least_margins = np.zeros(num_copies, np.float32)
        self._all_active = np.ones(shape[:2], bool)
        self._never = np.zeros(shape[:2], bool)
        # Recent positions of the copies that somebody looks at.
        self._trails: dict[int, deque[NDArray[np.float64]]] = {}

    def _kind(self, way: float) -> Kind:
        config = self.config
        furthest = way + 2.0 * JITTER + config.top_speed * config.step_seconds * self.time_limit
        offset, speed = [furthest] * 2, [config.top_speed] * 2
        high = np.array([*offset, *speed, *offset], np.float32)
        return Kind(
            KIND,
            tuple(range(config.n_agents)),
            spaces.Box(-high, high, dtype=np.float32),
            spaces.Box(-1.0, 1.0, (2,), np.float32),
        )

    @property
    def position_size(self) -> int:
        """Positions are points of the plane."""
        return 2

    @property
    def clearance(self) -> float:
        """Metres that must remain after braking; one metre where none must."""
        return self.config.clearance or 1.0

    def graph(self) -> AgentGraph:
        """Moving by default, see ``CrossingConfig.graph``."""
        return self._graph

    def reset(self, seed: int) -> Observation:
        """Start every copy's first episode."""
        self._seed = int(seed)
        self._episodes[:] = 0
        self._start(np.arange(self.num_copies))
        return self._observe(self.goals - self.positions, self._search(self.positions))

    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Accelerate, move, and compare with the margin of danger."""
        config = self.config
        self._accelerate(actions[KIND])
        self._move()
        for copy, trail in self._trails.items():
            trail.append(self.positions[copy].copy())
        offset = self.goals - self.positions
        distance = _length(offset)
        ways = self._free_way(self.positions, self.goals, distance)
        reached = distance <= config.goal_radius
        reward = self._ways - ways - config.time_penalty * ~reached
        self._ways = ways
        pairs = self._search(self.positions)
        margin = margins(
            pairs, self.velocities, config.radius, config.acceleration, config.clearance, self._reach
        )
        np.minimum(self._least_margins, margin.min(1), out=self._least_margins)
        observation = self._observe(offset, pairs)
        cost = self._costs(margin)
        self._steps += 1
        truncated = self._steps >= self.time_limit
        ending = None
        if truncated.any():
            copies = np.flatnonzero(truncated)
            ending = self._end(copies, observation, reached)
            self._start(copies)
            observation = self._observe(self.goals - self.positions, self._search(self.positions))
        return Step(
            observation=observation,
            reward=reward.astype(np.float32),
            cost=cost,
            terminated=self._never,
            truncated=truncated,
            active=self._all_active,
            ending=ending,
            info={"margin": margin},
        )

    def _accelerate(self, actions: NDArray) -> None:
        config = self.config
        push = np.clip(actions, -1.0, 1.0).astype(np.float64)
        push *= config.acceleration * config.step_seconds
        velocities = self.velocities + push
        too_fast = config.top_speed / np.maximum(_length(velocities), config.top_speed)
        velocities *= too_fast[..., None]
        self.velocities = velocities

    def _move(self) -> None:
        before, config = self.positions, self.config
        self.positions = before + self.velocities * config.step_seconds
        if self.layout.walls:
            stop_at_walls(before, self.positions, self.velocities, config.radius, self.layout.tiles)

    def _costs(self, margin: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[N, A, C]``: 1 in danger, 1 above the speed limit."""
        if self.cost_names == ("separation",):
            return (margin < 0.0).astype(np.float32)[..., None]
        speed = np.minimum(_length(self.velocities), self.config.top_speed)
        parts = {"separation": margin < 0.0, "speed": speed > self.config.speed_limit}
        return np.stack([parts[name] for name in self.cost_names], -1).astype(np.float32)

    def _start(self, copies: NDArray[np.intp]) -> None:
        """Begin the next episode of the given copies, drawn from (seed, copy, episode)."""
        layout, agents = self.layout, self.num_agents
        drawn = hashed_uniform(self._seed, copies, self._episodes[copies], 4 * agents + 1)
        jitter = JITTER * (2.0 * drawn[:, :-1].reshape(-1, 2, agents, 2) - 1.0)
        starts, goals = layout.starts + jitter[:, 0], layout.goals + jitter[:, 1]
        if layout.turn:
            angle = 2.0 * math.pi * drawn[:, -1]
            c, s = np.cos(angle), np.sin(angle)
            turn = np.stack([c, s, -s, c], -1).reshape(-1, 2, 2)
            starts, goals = starts @ turn, goals @ turn
        self.positions[copies], self.goals[copies] = starts, goals
        self.velocities[copies] = 0.0
        self._steps[copies] = 0
        self._episodes[copies] += 1
        self._least_margins[copies] = np.inf
        self._ways[copies] = self._free_way(starts, goals, _length(goals - starts))
        for copy in self._trails.keys() & copies.tolist():
            self._trails[copy].clear()

    def _end(self, copies: NDArray[np.intp], last: Observation, reached: NDArray[np.bool_]) -> Ending:
        observation = Observation(
            {KIND: last.values[KIND][copies]},
            None if last.positions is None else last.positions[copies],
            None if last.edges is None else last.edges[copies],
        )
        metrics = {
            "goal_reached": reached[copies].mean(1, dtype=np.float32),
            "least_margin": self._least_margins[copies],
        }
        return Ending(copies, observation, metrics)

    def _observe(self, offset: NDArray[np.float64], pairs: NearPairs) -> Observation:
        p, config = self.positions, self.config
        place = p - self.layout.centres
        values = np.empty((*p.shape[:2], 6), np.float32)
        # Component by component: loops over pairs of numbers cost five times as much.
        for k in range(2):
            values[..., k] = offset[..., k]
            values[..., 2 + k] = self.velocities[..., k]
            values[..., 4 + k] = place[..., k]
        edges = None
        if self._graph.moving:
            edges = nearest_edges(pairs, self.num_copies, self.num_agents, config.sense_radius, self._degree)
        return Observation({KIND: values}, p.astype(np.float32), edges)

    def _free_way(self, positions: NDArray, goals: NDArray, straight: NDArray) -> NDArray[np.float64]:
        """Length ``[N, A]`` of the shortest free way to the goal, metres: through the door if need be."""
        if not self.layout.walls:
            return straight
        here, there = positions - self.layout.centres, goals - self.layout.centres
        beyond = here[..., 0] * there[..., 0] < 0.0
        return np.where(beyond, _length(here) + _length(there), straight)

    def _static_graph(self) -> AgentGraph:
        starts = self.layout.starts[None]
        near = NeighbourSearch(1, self.config.n_agents, STATIC_REACH + 1e-9)(starts)
        pairs = near.candidates
        edges = zip(pairs.first[near.near].tolist(), pairs.second[near.near].tolist(), strict=True)
        return AgentGraph(hop_distances(edges, self.config.n_agents))

    def get_state(self) -> dict[str, Any]:
        """Positions, velocities, goals, clocks and the seed."""
        return {name: np.copy(getattr(self, name)) for name in _STATE} | {"_seed": self._seed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`get_state` was taken."""
        for name in _STATE:
            setattr(self, name, np.array(state[name]))
        self._seed = int(state["_seed"])

    def dynamics(self, kind: str) -> Dynamics:
        """A step without walls, in which neighbours keep their velocities."""
        from rllib_safemarl.envs.crossing.dynamics import CrossingDynamics

        return CrossingDynamics(self.config)

    def position_features(self, kind: str) -> tuple[int, ...]:
        """The place relative to the point that a robot's path leads through."""
        return 4, 5

    def render(self, copy: int = 0) -> NDArray[np.uint8]:
        """An RGB picture of one copy, with recent paths from the second on; needs the ``plot`` extra."""
        return self._render(copy, None, 1.0)

    def render_futures(self, futures: Futures, copy: int = 0, scale: float = 1.0) -> NDArray[np.uint8]:
        """The same picture with the robots' plans over it."""
        return self._render(copy, futures, scale)

    def _render(self, copy: int, futures: Futures | None, scale: float) -> NDArray[np.uint8]:
        from rllib_safemarl.envs.crossing.render import TRAIL_STEPS, draw_scene

        trail = self._trails.setdefault(copy, deque(maxlen=TRAIL_STEPS))
        return draw_scene(self, copy, np.stack([*trail, self.positions[copy]]), futures, scale)


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean length ``[N, A]`` of ``[N, A, 2]``."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.sqrt(x * x + y * y)


_STATE = ("positions", "velocities", "goals", "_ways", "_steps", "_episodes", "_least_margins")
