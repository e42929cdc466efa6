"""`safemarl/crossing`: robots that swap places and must not come into danger of one another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.crossing.danger import close_pairs, margins, nearest_edges
from rllib_safemarl.envs.crossing.layouts import (
    DOOR_HALF_WIDTH,
    JITTER,
    LAYOUTS,
    TILE_SPACING,
    make_layout,
)
from rllib_safemarl.envs.vector import AgentGraph, Ending, Kind, Observation, Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.neighbourhoods import hop_distances

KIND = "robot"
COSTS = ("separation", "speed")
GRAPHS = ("moving", "static")


@dataclass(frozen=True)
class CrossingConfig:
    """Settings of the crossing environment (``env_config``).

    Attributes:
        n_agents: robots, 2 to 1000.
        layout: ``open`` (fours cross in the open), ``doorway`` (fours swap sides through a door) or
            ``ring`` (all cross through the centre of one ring).
        costs: which costs to report: ``separation`` (1 per step in danger of another robot) and
            ``speed`` (1 per step faster than ``speed_limit``).
        graph: ``moving`` joins the nearest robots within ``sense_radius`` at every step; ``static``
            joins robots whose nominal starts lie within 2 m.
        sense_radius: metres, centre to centre.
        max_degree: at most so many robots are joined to one, the nearest.
        time_limit: steps per episode; ``None`` takes 20 more than 1.5 times the straight way needs.
        step_seconds: duration of one step, seconds.
        top_speed: metres per second.
        acceleration: greatest acceleration and braking, metres per second squared.
        radius: of a robot, metres.
        clearance: κ_s, distance that must remain after braking, metres.
        goal_radius: within it a robot has reached its goal, metres.
        time_penalty: reward lost per step away from the goal; makes the safe way cost something.
        speed_limit: metres per second, for the ``speed`` cost.
    """

    n_agents: int = 4
    layout: str = "open"
    costs: Sequence[str] = ("separation",)
    graph: str = "moving"
    sense_radius: float = 1.5
    max_degree: int = 8
    time_limit: int | None = None
    step_seconds: float = 0.1
    top_speed: float = 1.0
    acceleration: float = 2.0
    radius: float = 0.1
    clearance: float = 0.05
    goal_radius: float = 0.15
    time_penalty: float = 0.02
    speed_limit: float = 0.7

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CrossingConfig:
        """Read ``env_config``, refusing unknown names and values that do not fit."""
        names = [f.name for f in fields(cls)]
        for name in settings:
            if name not in names:
                raise SafeMARLError(
                    f"safemarl/crossing has no env_config key {name!r}."
                    f"{nearest_name(name, names)} It knows: {', '.join(names)}."
                )
        config = cls(**settings)
        config._check()
        return config

    def _check(self) -> None:
        for key, value, known in (
            ("layout", self.layout, LAYOUTS),
            ("graph", self.graph, GRAPHS),
            *(("costs", cost, COSTS) for cost in self.costs),
        ):
            if value not in known:
                raise SafeMARLError(
                    f"safemarl/crossing: {key}={value!r} is not one of {', '.join(known)}."
                    f"{nearest_name(value, known)}"
                )
        if isinstance(self.costs, str) or not self.costs:
            raise SafeMARLError("safemarl/crossing: costs must be a list, such as [separation].")
        if not (isinstance(self.n_agents, int) and 2 <= self.n_agents <= 1000):
            raise SafeMARLError(
                f"safemarl/crossing: n_agents={self.n_agents!r} must be a whole number, 2 to 1000."
            )


class CrossingVectorEnv(VectorEnv):
    """N copies of the crossing, in NumPy.

    Robot i observes ``[goal - p, v, p - centre]`` (metres, metres per second): its way to the goal, its
    velocity, and its place relative to the point its path leads through. It acts by an acceleration in
    ``[-1, 1]²``, in units of ``acceleration``. Reward per step and robot: progress along the free way to the
    goal in metres, minus ``time_penalty`` while the goal is not reached.
    """

    def __init__(self, num_copies: int = 1, **settings: Any) -> None:
        self.config = config = CrossingConfig.from_dict(settings)
        self.num_copies = num_copies
        self.possible_agents = tuple(f"robot_{i}" for i in range(config.n_agents))
        self.cost_names = tuple(config.costs)
        self.layout = make_layout(config.layout, config.n_agents)
        way = np.linalg.norm(self.layout.goals - self.layout.starts, axis=1).max()
        straight = way / (config.top_speed * config.step_seconds)
        self.time_limit: int = config.time_limit or math.ceil(20 + 1.5 * straight)
        span = way + 2.0 * TILE_SPACING
        high = np.array([span, span, config.top_speed, config.top_speed, span, span], np.float32)
        self.kinds = (
            Kind(
                KIND,
                tuple(range(config.n_agents)),
                spaces.Box(-high, high, dtype=np.float32),
                spaces.Box(-1.0, 1.0, (2,), np.float32),
            ),
        )
        self._degree = min(config.max_degree, config.n_agents - 1)
        # Beyond this reach no pair can be in danger, even closing at twice the top speed.
        braking = (2.0 * config.top_speed) ** 2 / (4.0 * config.acceleration)
        self._danger_reach = 2.0 * config.radius + braking + config.clearance
        self._graph = self._static_graph() if config.graph == "static" else AgentGraph(degree=self._degree)
        self._seed = 0
        shape = (num_copies, config.n_agents, 2)
        self.positions, self.velocities = np.zeros(shape), np.zeros(shape)
        self.goals, self.centres = np.zeros(shape), np.zeros(shape)
        self._ways = np.zeros(shape[:2])
        self._steps = np.zeros(num_copies, np.int64)
        self._episodes = np.zeros(num_copies, np.int64)
        self._least_margins = np.zeros(num_copies, np.float32)
        self._all_active = np.ones(shape[:2], bool)
        self._never = np.zeros(shape[:2], bool)

    @property
    def position_size(self) -> int:
        """Positions are points of the plane."""
        return 2

    def graph(self) -> AgentGraph:
        """Moving by default, see ``CrossingConfig.graph``."""
        return self._graph

    def reset(self, seed: int) -> Observation:
        """Start every copy's first episode."""
        self._seed = int(seed)
        self._episodes[:] = 0
        self._start(np.arange(self.num_copies))
        return self._observe(slice(None))

    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Accelerate, move, and compare with the margin of danger."""
        config = self.config
        push = np.clip(np.asarray(actions[KIND], float), -1.0, 1.0) * config.acceleration
        self.velocities += push * config.step_seconds
        speed = np.linalg.norm(self.velocities, axis=-1, keepdims=True)
        self.velocities *= np.minimum(1.0, config.top_speed / np.maximum(speed, 1e-9))
        self._move()
        ways = self._free_way(self.positions, slice(None))
        reached = self._reached(slice(None))
        reward = self._ways - ways - config.time_penalty * ~reached
        self._ways = ways
        margin, edges = self._surroundings()
        np.minimum(self._least_margins, margin.min(1), out=self._least_margins)
        self._steps += 1
        truncated = self._steps >= self.time_limit
        ending = None
        observation = self._observe(slice(None), edges)
        if truncated.any():
            copies = np.flatnonzero(truncated)
            ending = self._end(copies, observation, reached)
            self._start(copies)
            observation = self._observe(slice(None))
        return Step(
            observation=observation,
            reward=reward.astype(np.float32),
            cost=self._costs(margin, np.minimum(speed[..., 0], config.top_speed)),
            terminated=self._never,
            truncated=truncated,
            active=self._all_active,
            ending=ending,
            info={"margin": margin},
        )

    def _costs(self, margin: NDArray, speed: NDArray) -> NDArray[np.float32]:
        parts = {"separation": margin < 0.0, "speed": speed > self.config.speed_limit}
        return np.stack([parts[name] for name in self.cost_names], -1).astype(np.float32)

    def _start(self, copies: NDArray[np.intp]) -> None:
        """Begin the next episode of the given copies, drawn from (seed, copy, episode)."""
        for n in copies:
            rng = np.random.default_rng((self._seed, int(n), int(self._episodes[n])))
            jitter = rng.uniform(-JITTER, JITTER, (2, self.num_agents, 2))
            turn = np.eye(2)
            if self.layout.turn:
                c, s = math.cos(angle := rng.uniform(0.0, 2.0 * math.pi)), math.sin(angle)
                turn = np.array([[c, s], [-s, c]])
            self.positions[n] = (self.layout.starts + jitter[0]) @ turn
            self.goals[n] = (self.layout.goals + jitter[1]) @ turn
        self.centres[copies] = self.layout.centres
        self.velocities[copies] = 0.0
        self._steps[copies] = 0
        self._episodes[copies] += 1
        self._least_margins[copies] = np.inf
        self._ways[copies] = self._free_way(self.positions[copies], copies)

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

    def _observe(self, which: slice, edges: NDArray[np.int32] | None = None) -> Observation:
        p = self.positions[which]
        values = np.concatenate(
            [self.goals[which] - p, self.velocities[which], p - self.centres[which]], -1
        ).astype(np.float32)
        if edges is None and self._graph.moving:
            edges = self._surroundings()[1]
        return Observation({KIND: values}, p.astype(np.float32), edges)

    def _surroundings(self) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
        """Margin ``[N, A]`` of every robot and, where the graph moves, its edges."""
        config = self.config
        moving = self._graph.moving
        reach = max(self._danger_reach, config.sense_radius) if moving else self._danger_reach
        pairs = close_pairs(self.positions, reach)
        margin = margins(pairs, self.velocities, config.radius, config.acceleration, config.clearance, reach)
        if not moving:
            return margin, None
        sensed = pairs.within(config.sense_radius)
        return margin, nearest_edges(sensed, self.num_copies, self.num_agents, self._degree)

    def _move(self) -> None:
        """Advance by one step; a wall stops the robot that runs into it beside its door."""
        moved = self.positions + self.velocities * self.config.step_seconds
        if self.layout.walls:
            before, after = self.positions - self.centres, moved - self.centres
            side = np.where(before[..., 0] < 0.0, -1.0, 1.0)
            radius = self.config.radius
            beside = np.abs(after[..., 1]) > DOOR_HALF_WIDTH - radius
            blocked = beside & (side * after[..., 0] < radius) & (side * before[..., 0] >= radius)
            moved[..., 0] = np.where(blocked, self.centres[..., 0] + side * radius, moved[..., 0])
            inside = np.abs(before[..., 0]) < radius
            limit = DOOR_HALF_WIDTH - radius
            squeezed = inside & beside
            moved[..., 1] = np.where(
                squeezed,
                self.centres[..., 1] + np.clip(after[..., 1], -limit, limit),
                moved[..., 1],
            )
            self.velocities[..., 0][blocked] = 0.0
            self.velocities[..., 1][squeezed] = 0.0
        self.positions = moved

    def _free_way(self, positions: NDArray, which: Any) -> NDArray:
        """Length ``[N, A]`` of the shortest free way to the goal, metres: through the door if need be."""
        goals, centres = self.goals[which], self.centres[which]
        straight = np.linalg.norm(goals - positions, axis=-1)
        if not self.layout.walls:
            return straight
        beyond = (positions - centres)[..., 0] * (goals - centres)[..., 0] < 0.0
        door = np.linalg.norm(centres - positions, axis=-1) + np.linalg.norm(goals - centres, axis=-1)
        return np.where(beyond, door, straight)

    def _reached(self, which: slice) -> NDArray[np.bool_]:
        offset = self.goals[which] - self.positions[which]
        return np.linalg.norm(offset, axis=-1) <= self.config.goal_radius

    def _static_graph(self) -> AgentGraph:
        starts = self.layout.starts[None]
        pairs = close_pairs(starts, 2.0 + 1e-9)
        edges = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        return AgentGraph(hop_distances(edges, self.config.n_agents))

    def get_state(self) -> dict[str, Any]:
        """Positions, velocities, goals, clocks and the seed."""
        return {name: np.copy(getattr(self, name)) for name in _STATE} | {"_seed": self._seed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`get_state` was taken."""
        for name in _STATE:
            setattr(self, name, np.array(state[name]))
        self._seed = int(state["_seed"])

    def render(self, copy: int = 0) -> NDArray[np.uint8]:
        """An RGB picture of one copy; needs the ``plot`` extra."""
        from rllib_safemarl.envs.crossing.render import draw_scene

        return draw_scene(self, copy)


_STATE = (
    "positions",
    "velocities",
    "goals",
    "centres",
    "_ways",
    "_steps",
    "_episodes",
    "_least_margins",
)
