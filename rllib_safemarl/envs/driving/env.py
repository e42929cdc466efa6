"""`safemarl/driving`: vehicles that must get through, and must not crash or come too close."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.config import DrivingConfig
from rllib_safemarl.envs.driving.danger import DangerRule
from rllib_safemarl.envs.driving.episodes import Episodes
from rllib_safemarl.envs.driving.fleet import LENGTH, Fleet
from rllib_safemarl.envs.driving.network import Network
from rllib_safemarl.envs.driving.observing import Observer
from rllib_safemarl.envs.driving.paths import Meetings
from rllib_safemarl.envs.driving.pilots import Pilots
from rllib_safemarl.envs.driving.rewards import Rewards, on_road
from rllib_safemarl.envs.driving.scenarios import SCENARIOS
from rllib_safemarl.envs.driving.scene import Moment, moment_of, nearest_edges, road_distances
from rllib_safemarl.envs.driving.simulator import Simulator
from rllib_safemarl.envs.driving.starts import Starts
from rllib_safemarl.envs.driving.traffic import Traffic
from rllib_safemarl.envs.vector import AgentGraph, Ending, Kind, Observation, Step, VectorEnv

KIND, LEADER, FOLLOWER = "vehicle", "leader", "follower"
SPARE_SLOTS = 3
"""Free places for traffic that enters during episodes."""
LEAVING = 4.0 * LENGTH
"""Traffic leaves so far before the end of its route, metres."""


class DrivingVectorEnv(VectorEnv):
    """N copies of a scenario, in NumPy, on roads and by the rules of highway-env.

    An agent that arrives leaves. A crash of an agent ends the episode for all.

    Attributes:
        config: the settings, completed by the scenario's.
        scenario: who starts where and is paid for what.
        network: the roads.
        fleet: all vehicles; agents come first.
        pilots: drive the agents.
        meetings: where lanes meet.
        moment: what was measured last.
    """

    def __init__(self, num_copies: int = 1, **settings: Any) -> None:
        self.config = config = DrivingConfig.from_dict(settings)
        self.scenario = scenario = SCENARIOS[config.scenario]
        self.num_copies = num_copies
        self.possible_agents = tuple(f"agent_{i}" for i in range(config.n_agents))
        self.cost_names = tuple(config.costs)
        self.time_limit: int = _known(config.time_limit)
        self.network = network = Network(scenario.layouts[_known(config.layout)]())
        braking, traffic = float(_known(config.braking)), int(_known(config.traffic))
        driver = scenario.driver.bolder(float(_known(config.aggressiveness)))
        self._starts = Starts(
            network,
            scenario.agents(network, config.n_agents),
            scenario.traffic_starts(network),
            traffic,
            driver,
        )
        self._chance = scenario.spawn * traffic * config.step_seconds
        slots = config.n_agents + traffic + (SPARE_SLOTS if self._chance else 0)
        self.fleet = Fleet(network, num_copies, slots, config.n_agents, self._starts.route_length)
        self.pilots = Pilots(self.fleet, _known(config.actions), scenario.speeds, scenario.lateral, braking)
        seconds = config.step_seconds / config.frames_per_step
        self._simulator = Simulator(
            self.fleet, self.pilots, Traffic(self.fleet, driver, braking), seconds, scenario.regulated
        )
        self.meetings = Meetings(network)
        self._rule = DangerRule(self.meetings, braking, float(_known(config.clearance)))
        self._rewards = Rewards(scenario, {**scenario.weights, **config.rewards}, config.step_seconds)
        self._observer = Observer(
            scenario.ranges, config.observed, config.order, scenario.speeds[-1], _known(config.meetings)
        )
        self.kinds = self._make_kinds()
        self._degree = min(config.max_degree, config.n_agents - 1)
        self._seed = 0
        self._episodes = Episodes(num_copies, config.n_agents)
        self._announced = self.pilots.idle.copy()
        self.moment: Moment
        # Recent positions of the copies that somebody looks at.
        self._trails: dict[int, deque[NDArray[np.float64]]] = {}

    def _make_kinds(self) -> tuple[Kind, ...]:
        size, space = self._observer.size, self.pilots.space
        agents = tuple(range(self.config.n_agents))

        def box(length: int) -> spaces.Box:
            return spaces.Box(-np.inf, np.inf, (length,), np.float32)

        if not self.config.leader_follower:
            return (Kind(KIND, agents, box(size), space),)
        told = int(spaces.flatdim(space))
        return Kind(LEADER, agents[:1], box(size), space), Kind(FOLLOWER, agents[1:], box(size + told), space)

    @property
    def position_size(self) -> int:
        """Positions are points of the plane."""
        return 2

    @property
    def clearance(self) -> float:
        """Metres that must remain after braking; one metre where none must."""
        return self.config.clearance or 1.0

    def graph(self) -> AgentGraph:
        """Moving: the nearest along the roads."""
        return AgentGraph(degree=self._degree)

    @property
    def steps(self) -> NDArray[np.int64]:
        """``[N]`` of the running episodes."""
        return self._episodes.steps

    def active(self) -> NDArray[np.bool_]:
        """Agents that are on the road."""
        return self._episodes.active.copy()

    # Episodes.

    def reset(self, seed: int) -> Observation:
        """Start every copy's first episode."""
        self._seed = int(seed)
        self._episodes.number[:] = 0
        self._start(np.arange(self.num_copies))
        return self._observe()

    def _start(self, copies: NDArray[np.intp]) -> None:
        episodes = self._episodes
        self._starts.begin(self.fleet, self.pilots, self._seed, copies, episodes.number[copies])
        self._announced[copies] = self.pilots.idle[copies]
        episodes.begin(copies)
        for copy in self._trails.keys() & copies.tolist():
            self._trails[copy].clear()

    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Drive for one step."""
        joint = self._joint(actions)
        active = self._episodes.active
        self.pilots.decide(joint)
        for _ in range(self.config.frames_per_step):
            self._simulator.frame()
        self._episodes.advance(self.fleet, self.config.step_seconds)
        moment = self._measure()
        collided = active & self._collided()
        crash = np.any(collided, axis=1)
        arrived = active & (moment.left <= 0.0) & ~crash[:, None]
        first = self._episodes.arrive(arrived, moment.left)
        changes = self.pilots.changes_lane(joint)
        parts = self._rewards.parts(self.fleet, joint, changes, arrived, first)
        parts["collision_reward"] = collided.astype(np.float64)
        terminated = active & (arrived | crash[:, None])
        following = active & ~terminated
        self._episodes.steps += 1
        truncated = (self._episodes.steps >= self.time_limit) & following.any(1)
        danger = active & (moment.danger.margin < 0.0)
        self._episodes.add(active, self.fleet.speed[:, : self.num_agents], moment.danger.margin, crash)
        info = self._info(active, moment, parts, collided, danger)
        reward = np.where(active, self._rewards.total(parts), 0.0).astype(np.float32)
        cost = self._costs(collided, danger)
        observation = self._observe(moment)
        self._episodes.active = following
        self._clear(arrived)
        for copy, trail in self._trails.items():
            trail.append(self._places(copy))
        ended, ending = truncated | ~following.any(1), None
        if ended.any():
            copies = np.flatnonzero(ended)
            ending = self._end(copies, observation)
            self._start(copies)
            observation = _renewed(observation, self._observe(), ended)
        return Step(
            observation=observation,
            reward=reward,
            cost=cost,
            terminated=terminated,
            truncated=truncated,
            active=self._episodes.active.copy(),
            ending=ending,
            info=info,
        )

    def _joint(self, actions: Mapping[str, NDArray]) -> NDArray:
        """``[N, A, ...]`` what agents do now; a leader does what it announced."""
        joint = np.concatenate([np.asarray(actions[kind.name]) for kind in self.kinds], 1)
        if self.config.leader_follower:
            joint, announced = joint.copy(), joint[:, 0].copy()
            joint[:, 0] = self._announced[:, 0]
            self._announced[:, 0] = announced
        return joint

    def _collided(self) -> NDArray[np.bool_]:
        """Agents that hit something; freely steered ones also if they left the road."""
        crashed = self.fleet.crashed[:, : self.num_agents]
        return crashed | ~on_road(self.fleet) if self.pilots.actions == "continuous" else crashed.copy()

    def _costs(self, collided: NDArray[np.bool_], danger: NDArray[np.bool_]) -> NDArray[np.float32]:
        parts = {
            "collision": collided.astype(np.float32),
            "headway": danger.astype(np.float32),
            "total": (self.config.crash_cost * collided + danger).astype(np.float32),
        }
        return np.stack([parts[name] for name in self.cost_names], -1)

    def _info(
        self,
        active: NDArray[np.bool_],
        moment: Moment,
        parts: Mapping[str, NDArray],
        collided: NDArray[np.bool_],
        danger: NDArray[np.bool_],
    ) -> dict[str, NDArray]:
        columns = {
            "margin": moment.danger.margin,
            "gap": moment.danger.gap,
            "speed": self.fleet.speed[:, : self.num_agents],
            "cost_collision": collided,
            "cost_headway": danger,
            **parts,
        }
        return {name: np.where(active, column, 0.0).astype(np.float32) for name, column in columns.items()}

    def _clear(self, arrived: NDArray[np.bool_]) -> None:
        """Take away who has arrived and traffic at the end of its way; let new traffic in."""
        fleet, agents = self.fleet, self.num_agents
        gone = np.zeros(fleet.shape, bool)
        gone[:, :agents] = arrived
        if self._chance:
            gone[:, agents:] = self._leaving()
        if gone.any():
            fleet.remove(gone)
            fleet.locate()
        if self._chance:
            episodes = self._episodes
            self._starts.enter(fleet, self._seed, episodes.number, episodes.steps, self._chance)

    def _leaving(self) -> NDArray[np.bool_]:
        fleet, rows = self.fleet, slice(self.num_agents, None)
        lane, route = fleet.lane[:, rows], fleet.route[:, rows]
        last = np.take_along_axis(route, (route >= 0).sum(-1, keepdims=True) - 1, -1)[..., 0]
        s = fleet.on_lane(fleet.lane)[0][:, rows]
        ends = s >= self.network.lanes.length[lane] - LEAVING
        return fleet.present[:, rows] & ends & (self.network.road_of[lane] == last)

    def _end(self, copies: NDArray[np.intp], last: Observation) -> Ending:
        assert last.positions is not None and last.edges is not None
        observation = Observation(
            {name: value[copies] for name, value in last.values.items()},
            last.positions[copies],
            last.edges[copies],
        )
        return Ending(copies, observation, self._episodes.metrics(copies, self.possible_agents))

    # What is seen.

    def _measure(self) -> Moment:
        finish = self.scenario.finish
        left = finish - self._episodes.driven if finish else None
        self.moment = moment_of(self.fleet, self._rule, self.scenario.past_exit, left)
        return self.moment

    def _observe(self, moment: Moment | None = None) -> Observation:
        moment = moment or self._measure()
        fleet, agents, active = self.fleet, self.num_agents, self._episodes.active[..., None]
        values = self._observer(fleet, self.pilots, moment.paths, moment.danger, moment.left)
        values = np.where(active, values, np.float32(0.0))
        if self.config.leader_follower:
            told = np.broadcast_to(self._told(), (self.num_copies, agents - 1, self._told().shape[-1]))
            follower = np.concatenate([values[:, 1:], np.where(active[:, 1:], told, 0.0)], -1)
            columns = {LEADER: values[:, :1], FOLLOWER: follower.astype(np.float32)}
        else:
            columns = {KIND: values}
        place = np.stack([fleet.x[:, :agents], fleet.y[:, :agents]], -1)
        positions = np.where(active, place, 0.0).astype(np.float32)
        edges = nearest_edges(road_distances(fleet), self.config.sense_radius, self._degree)
        return Observation(columns, positions, edges)

    def _told(self) -> NDArray[np.float32]:
        """``[N, 1, D]`` what the leader is about to do: a one-hot, or numbers."""
        announced = self._announced[:, :1]
        if isinstance(self.pilots.space, spaces.Discrete):
            return np.eye(int(self.pilots.space.n), dtype=np.float32)[announced]
        return announced.astype(np.float32)

    # State and pictures.

    def get_state(self) -> dict[str, Any]:
        """All vehicles, clocks, figures of the running episodes and the seed."""
        return {
            "fleet": self.fleet.get_state(),
            "episodes": self._episodes.get_state(),
            "announced": self._announced.copy(),
            "seed": self._seed,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`get_state` was taken."""
        self.fleet.set_state(state["fleet"])
        self._episodes.set_state(state["episodes"])
        self._announced = np.array(state["announced"])
        self._seed = int(state["seed"])
        self._measure()

    def render(self, copy: int = 0) -> NDArray[np.uint8]:
        """An RGB picture of one copy, with recent paths from the second on; needs the ``plot`` extra."""
        from rllib_safemarl.envs.driving.render import TRAIL_STEPS, draw_scene

        trail = self._trails.setdefault(copy, deque(maxlen=TRAIL_STEPS))
        return draw_scene(self, copy, [*trail, self._places(copy)])

    def _places(self, copy: int) -> NDArray[np.float64]:
        """``[A, 2]`` where agents are, NaN for those that have left."""
        place = np.stack([self.fleet.x[copy], self.fleet.y[copy]], -1)[: self.num_agents]
        return np.where(self._episodes.active[copy][:, None], place, np.nan)


def _known(value: Any) -> Any:
    """A setting that the scenario has completed."""
    assert value is not None
    return value


def _renewed(last: Observation, fresh: Observation, ended: NDArray[np.bool_]) -> Observation:
    """The last observation, and a fresh one where copies ended."""
    assert last.positions is not None and fresh.positions is not None
    assert last.edges is not None and fresh.edges is not None
    here = ended[:, None, None]
    return Observation(
        {name: np.where(here, fresh.values[name], value) for name, value in last.values.items()},
        np.where(here, fresh.positions, last.positions),
        np.where(here, fresh.edges, last.edges),
    )
