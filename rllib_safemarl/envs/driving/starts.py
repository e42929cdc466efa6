"""Who begins an episode where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import NOWHERE, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.network import NONE, Network
from rllib_safemarl.envs.driving.pilots import Pilots
from rllib_safemarl.envs.driving.scenarios import Start
from rllib_safemarl.envs.driving.traffic import Driver
from rllib_safemarl.envs.random import hashed_uniform
from rllib_safemarl.errors import SafeMARLError

CLEAR = 18.0
"""No vehicle of the traffic begins so near to the nominal place of an agent, metres."""
EXPONENTS = (3.5, 4.5)
"""Range of δ of the traffic."""
_DRAWS = 5
"""Numbers drawn for a vehicle: place, speed, destination, exponent, order."""
_ENTERING_SPACE = 15.0
"""Nobody enters with somebody so near, metres."""
_STEPS = 1 << 32
"""Streams of single steps are numbered from here, those of whole episodes below."""


class Places:
    """Starts as arrays.

    Args:
        network: the road.
        starts: the places.
    """

    def __init__(self, network: Network, starts: Sequence[Start]) -> None:
        self.network = network
        self.lane = np.array([start.lane for start in starts], np.intp)
        self.s = np.array([start.s for start in starts])
        self.spread = np.array([start.spread for start in starts])
        self.speed = np.array([start.speed for start in starts])
        self.speed_spread = np.array([start.speed_spread for start in starts])
        routes = [[network.route(start.lane, node) for node in start.destinations] for start in starts]
        self.ways = np.array([len(each) for each in routes], np.intp)
        longest = max((len(route) for each in routes for route in each), default=1)
        self.routes = np.full((len(starts), max(1, self.ways.max(initial=0)), longest), NONE, np.intp)
        for row, each in enumerate(routes):
            for way, route in enumerate(each):
                self.routes[row, way, : len(route)] = route

    def __len__(self) -> int:
        return len(self.lane)

    def pick(self, chosen: NDArray) -> Places:
        """Some of them."""
        part = object.__new__(Places)
        part.network = self.network
        for name in ("lane", "s", "spread", "speed", "speed_spread", "ways", "routes"):
            setattr(part, name, getattr(self, name)[chosen])
        return part


class Starts:
    """Sets out the vehicles of a scenario.

    Args:
        network: the road.
        agents: where agents begin.
        traffic: where traffic may begin.
        count: vehicles of the traffic.
        driver: how they drive.

    Raises:
        SafeMARLError: there is no room for so much traffic.
    """

    def __init__(
        self, network: Network, agents: Sequence[Start], traffic: Sequence[Start], count: int, driver: Driver
    ) -> None:
        self.network, self.count, self.driver = network, count, driver
        self.agents, every = Places(network, agents), Places(network, traffic)
        self.entries = every.pick(self._foremost(every))
        self.traffic = every.pick(self._clear(every))
        if count > len(self.traffic):
            raise SafeMARLError(
                f"safemarl/driving: traffic={count} is more than there is room for; at most "
                f"{len(self.traffic)} here."
            )
        self.route_length = max(self.agents.routes.shape[2], self.traffic.routes.shape[2])

    def _clear(self, places: Places) -> NDArray[np.bool_]:
        """Places away from those of agents."""
        lanes = self.network.lanes
        x, y = lanes.position(places.lane, places.s)
        ax, ay = lanes.position(self.agents.lane, self.agents.s)
        return np.all(np.hypot(x[:, None] - ax, y[:, None] - ay) >= CLEAR, axis=1)

    def _foremost(self, places: Places) -> NDArray[np.bool_]:
        """The first place of every lane, where vehicles enter."""
        first = np.zeros(len(places), bool)
        for lane in np.unique(places.lane):
            mine = np.flatnonzero(places.lane == lane)
            first[mine[places.s[mine].argmin()]] = True
        return first

    def begin(self, fleet: Fleet, pilots: Pilots, seed: int, copies: Index, episodes: Index) -> None:
        """Set out everyone in the given copies, drawn from (seed, copy, episode)."""
        agents, vehicles = fleet.agents, fleet.shape[1]
        room = len(self.traffic)
        drawn = hashed_uniform(seed, copies, episodes, (agents + room) * _DRAWS)
        drawn = drawn.reshape(len(copies), agents + room, _DRAWS)
        fleet.present[copies] = False
        fleet.x[copies] = fleet.y[copies] = NOWHERE
        for name in ("crashed", "pushed", "yields"):
            getattr(fleet, name)[copies] = False
        for name in ("heading", "speed", "steering", "acceleration", "target_speed", "timer"):
            getattr(fleet, name)[copies] = 0.0
        fleet.clock[copies] = 0
        rows = np.broadcast_to(np.arange(agents), (len(copies), agents))
        self._place(fleet, self.agents, copies, np.arange(agents), rows, drawn[:, :agents])
        # The places of least last numbers: any so many of them, evenly.
        chosen = drawn[:, agents:, -1].argsort(1, kind="stable")[:, : self.count]
        drawn = np.take_along_axis(drawn[:, agents:], chosen[..., None], 1)
        slots = np.arange(agents, min(agents + self.count, vehicles))
        self._place(fleet, self.traffic, copies, slots, chosen, drawn)
        fleet.locate()
        self._settle(fleet, copies)
        for_agents = fleet.speed[copies, :agents]
        fleet.target_speed[copies, :agents] = pilots.start_speed(for_agents)

    def _place(
        self, fleet: Fleet, places: Places, copies: Index, slots: Index, rows: Index, drawn: Array
    ) -> None:
        """Fill ``slots`` of ``copies`` from places ``rows [M, K]`` by numbers ``[M, K, 5]``."""
        if not len(slots):
            return
        lanes, lane = self.network.lanes, places.lane[rows]
        s = places.s[rows] + places.spread[rows] * (2.0 * drawn[..., 0] - 1.0)
        where = np.ix_(copies, slots)
        fleet.x[where], fleet.y[where] = lanes.position(lane, s)
        fleet.heading[where] = lanes.heading_at(lane, s)
        fleet.speed[where] = places.speed[rows] + places.speed_spread[rows] * (2.0 * drawn[..., 1] - 1.0)
        fleet.exponent[where] = EXPONENTS[0] + (EXPONENTS[1] - EXPONENTS[0]) * drawn[..., 3]
        ways = places.ways[rows]
        way = (drawn[..., 2] * ways).astype(np.intp)
        route = np.full((*rows.shape, fleet.route.shape[2]), NONE, np.intp)
        route[..., : places.routes.shape[2]] = places.routes[rows, way]
        fleet.route[where], fleet.route_at[where] = route, 0
        # A plan holds its first lane, as highway-env's does.
        fleet.planned_number[where] = np.where(ways > 0, self.network.number[lane], NONE)
        fleet.present[where] = True

    def _settle(self, fleet: Fleet, copies: Index, slots: Index | slice = slice(None)) -> None:
        """What follows from positions and speeds."""
        fleet.target[copies, slots] = fleet.lane[copies, slots]
        fleet.timer[copies, slots] = np.mod((fleet.x + fleet.y)[copies, slots] * np.pi, self.driver.delay)
        # Faster drivers also want to be faster.
        speed = fleet.speed[copies, slots] * (1.0 + self.driver.haste)
        fleet.target_speed[copies, slots] = speed

    def enter(self, fleet: Fleet, seed: int, episodes: Index, steps: Index, chance: float) -> None:
        """Let a further vehicle of the traffic in, where there is a free slot and room, with a probability.

        Args:
            fleet: the vehicles.
            seed: of the environment.
            episodes: ``[N]``.
            steps: ``[N]`` of the episodes.
            chance: per copy.
        """
        copies = np.arange(fleet.shape[0])
        drawn = hashed_uniform(seed, copies, (episodes + 1) * _STEPS + steps, _DRAWS + 1)
        free = ~fleet.present[:, fleet.agents :]
        rows = (drawn[:, -1] * len(self.entries)).astype(np.intp)
        lane, s = self.entries.lane[rows], self.entries.s[rows]
        x, y = self.network.lanes.position(lane, s)
        clear = (np.hypot(fleet.x - x[:, None], fleet.y - y[:, None]) >= _ENTERING_SPACE).all(1)
        enters = np.flatnonzero((drawn[:, 4] < chance) & free.any(1) & clear)
        if not len(enters):
            return
        slots = fleet.agents + free.argmax(1)[enters]
        for copy, slot in zip(enters, slots, strict=True):
            one, where = np.array([copy]), np.array([slot])
            for name in ("crashed", "pushed", "yields"):
                getattr(fleet, name)[copy, slot] = False
            self._place(fleet, self.entries, one, where, rows[one][:, None], drawn[one, None, :_DRAWS])
        fleet.locate()
        self._settle(fleet, enters, slots)
