"""The scenarios: roads of highway-env, and who starts where, wants what and is paid for what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rllib_safemarl.envs.driving.assets import stock_road
from rllib_safemarl.envs.driving.network import Network
from rllib_safemarl.envs.driving.traffic import Driver


@dataclass(frozen=True)
class Start:
    """A place where a vehicle may begin.

    Attributes:
        lane: of the network.
        s: along it, metres.
        spread: drawn evenly within ± this of ``s``, metres.
        speed: metres per second.
        speed_spread: drawn evenly within ± this of ``speed``, metres per second.
        destinations: nodes to drive to, of which one is drawn; none where the road leads by itself.
    """

    lane: int
    s: float
    spread: float
    speed: float
    speed_spread: float
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        layouts: name → a function that builds the road; the first is the default.
        agents: from the network and the number of agents to where each starts.
        traffic_starts: from the network to where traffic may start.
        speeds: that agents choose from, metres per second.
        speed_range: for which ``high_speed_reward`` goes from 0 to 1, metres per second.
        ranges: of x, y and velocities in observations, which become ±1: metres, metres, metres per second.
        weights: part of the reward → its weight: per second of a rate, at once of an event.
        traffic: vehicles of the traffic, by default.
        seconds: time limit.
        finish: metres that must be driven to arrive, where no route leads to a destination.
        past_exit: metres along the last road of a route at which an agent has arrived.
        actions: the default, see ``DrivingConfig.actions``.
        lateral: whether agents may change lanes.
        clearance: κ_s, the default, metres.
        driver: how careful traffic drives.
        spawn: vehicles that enter per second, of which each vehicle of the traffic adds so many.
        regulated: whether there is a right of way.
        meetings: places observed where ways meet, by default.
        clip_speed: whether ``high_speed_reward`` is kept within 0 and 1.
        view: half of what pictures show, metres: around the origin if square, else along the road with the
            agents; ``None`` shows all of it.
    """

    layouts: Mapping[str, Callable[[], Any]]
    agents: Callable[[Network, int], list[Start]]
    traffic_starts: Callable[[Network], list[Start]]
    speeds: tuple[float, ...]
    speed_range: tuple[float, float]
    ranges: tuple[float, float, float]
    weights: Mapping[str, float]
    traffic: int
    seconds: float = 20.0
    finish: float = 0.0
    past_exit: float = 0.0
    actions: str = "discrete"
    lateral: bool = True
    clearance: float = 2.0
    driver: Driver = field(default_factory=Driver)
    spawn: float = 0.0
    regulated: bool = False
    meetings: int = 0
    clip_speed: bool = True
    view: tuple[float, float] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of the reward."""
        return tuple(self.weights)


# Merge: half of the agents on the right lane of the motorway, half on the ramp beside it.


def _merge_agents(network: Network, count: int) -> list[Start]:
    right = int(network.count[network.road("a", "b")]) - 1
    lanes = network.lane("a", "b", right), network.lane("j", "k")
    return [Start(lanes[i % 2], 90.0 - 30.0 * (i // 2), 7.0, 25.0, 2.5, ("d",)) for i in range(count)]


def _merge_traffic(network: Network) -> list[Start]:
    road = network.road("a", "b")
    lanes = range(int(network.first[road]), int(network.first[road] + network.count[road]))
    places = [(lane, 10.0 + 25.0 * k) for lane in lanes for k in range(9)]
    return [Start(lane, s, 4.0, 22.0, 2.0) for lane, s in [*places, (network.lane("j", "k"), 130.0)]]


# Roundabout: agents enter from all sides and leave opposite.

_ENTRIES = (
    ("ser", "ses", "se", "nxr"),
    ("wer", "wes", "we", "exr"),
    ("ner", "nes", "ne", "sxr"),
    ("eer", "ees", "ee", "wxr"),
)
"""Nodes of the four ways in: far off, before the circle, on it, and where agents leave."""
_ROUND = ("se", "ex", "ee", "nx", "ne", "wx", "we", "sx")
_EXITS = ("exr", "sxr", "nxr", "wxr")


def _roundabout_agents(network: Network, count: int) -> list[Start]:
    """Every second one is already on the circle, and comes by as the one before it enters."""
    found = []
    for i in range(count):
        far, gate, ring, leave = _ENTRIES[i % 4]
        straight = network.lane(far, gate)
        length = float(network.lanes.length[straight])
        if i in (1, 3):
            road = network.road(ring, _ROUND[(_ROUND.index(ring) + 1) % len(_ROUND)])
            outer = int(network.first[road] + network.count[road]) - 1
            found.append(Start(outer, 6.0, 5.0, 9.0, 2.0, (_ENTRIES[i - 1][3],)))
        else:
            found.append(Start(straight, length - 12.0 - 22.0 * (i // 4), 6.0, 9.0, 2.0, (leave,)))
    return found


def _roundabout_traffic(network: Network) -> list[Start]:
    found = []
    for begin, end in zip(_ROUND, (*_ROUND[1:], _ROUND[0]), strict=True):
        road = network.road(begin, end)
        for number in range(int(network.count[road])):
            lane = network.lane(begin, end, number)
            middle = 0.5 * float(network.lanes.length[lane])
            found.append(Start(lane, middle, 3.0, 12.0, 2.0, _EXITS))
    for far, gate, _, _ in _ENTRIES:
        lane = network.lane(far, gate)
        length = float(network.lanes.length[lane])
        found += [Start(lane, length - back, 4.0, 14.0, 2.0, _EXITS) for back in (45.0, 70.0)]
    return found


# Intersection: agents come from all arms and go wherever they are drawn to.


def _arms(network: Network) -> list[int]:
    return [arm for arm in range(4) if network.has(f"o{arm}", f"ir{arm}")]


def _others(network: Network, arm: int) -> tuple[str, ...]:
    return tuple(f"o{other}" for other in _arms(network) if other != arm)


def _intersection_agents(network: Network, count: int) -> list[Start]:
    arms = _arms(network)
    found = []
    for i in range(count):
        arm, row = arms[i % len(arms)], i // len(arms)
        lane = network.lane(f"o{arm}", f"ir{arm}")
        found.append(Start(lane, 65.0 - 20.0 * row, 5.0, 8.0, 1.0, _others(network, arm)))
    return found


def _intersection_traffic(network: Network) -> list[Start]:
    found = []
    for arm in _arms(network):
        lane = network.lane(f"o{arm}", f"ir{arm}")
        found += [Start(lane, s, 4.0, 8.0, 1.0, _others(network, arm)) for s in (8.0, 28.0, 48.0, 68.0, 88.0)]
    return found


def without_arm(network: Any, arm: int = 2) -> None:
    """Take one arm off highway-env's intersection, which leaves a T."""
    graph = network.graph
    del graph[f"o{arm}"], graph[f"ir{arm}"], graph[f"il{arm}"]
    for ends in graph.values():
        ends.pop(f"il{arm}", None)


# Racetrack: a loop of two or more lanes.


def _racetrack_agents(network: Network, count: int) -> list[Start]:
    places = (("a", "b", 45.0), ("a", "b", 20.0), ("h", None, 25.0), ("h", None, 4.0))
    found = []
    for i in range(count):
        begin, end, s = places[i // 2]
        end = end or ("i" if network.has("h", "i") else "a")
        found.append(Start(network.lane(begin, end, i % 2), s, 4.0, 8.0, 1.0))
    return found


def _racetrack_traffic(network: Network) -> list[Start]:
    found = []
    for lane, length in enumerate(network.lanes.length):
        found += [Start(lane, 8.0 + 25.0 * k, 4.0, 7.0, 1.5) for k in range(int((length + 10.0) // 25.0))]
    return found


# Highway: several lanes, slower traffic ahead.


def _highway_agents(network: Network, count: int) -> list[Start]:
    lanes = len(network.lanes)
    return [Start(i % lanes, 100.0 - 30.0 * (i // lanes), 7.0, 25.0, 2.5, ("1",)) for i in range(count)]


def _highway_traffic(network: Network) -> list[Start]:
    return [
        Start(lane, 15.0 + 30.0 * k, 7.0, 22.0, 1.5) for k in range(18) for lane in range(len(network.lanes))
    ]


SCENARIOS: dict[str, Scenario] = {
    "merge": Scenario(
        layouts={
            "standard": lambda: stock_road("merge_env:MergeEnv", {}),
            "short_ramp": lambda: stock_road(
                "merge_env:MergeGenericEnv",
                {"before_merge_length": 160, "converge_merge_length": 80, "parallel_merge_length": 45},
            ),
        },
        agents=_merge_agents,
        traffic_starts=_merge_traffic,
        speeds=(0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0),
        speed_range=(20.0, 30.0),
        ranges=(100.0, 16.0, 30.0),
        weights={
            "collision_reward": -1.0,
            "right_lane_reward": 0.1,
            "high_speed_reward": 0.2,
            "lane_change_reward": -0.05,
            "merging_speed_reward": -0.5,
            "arrived_reward": 1.0,
            "first_reward": 0.0,
        },
        traffic=4,
        past_exit=60.0,
        seconds=25.0,
        clip_speed=False,
        view=(95.0, 14.0),
    ),
    "roundabout": Scenario(
        layouts={
            "standard": lambda: stock_road("roundabout_env:RoundaboutEnv", {}),
            "large": lambda: stock_road("roundabout_env:RoundaboutGenericEnv", {"roundabout_radius": 28}),
        },
        agents=_roundabout_agents,
        traffic_starts=_roundabout_traffic,
        speeds=(0.0, 4.0, 8.0, 12.0, 16.0),
        speed_range=(4.0, 16.0),
        ranges=(60.0, 60.0, 16.0),
        weights={
            "collision_reward": -1.0,
            "high_speed_reward": 0.2,
            "lane_change_reward": -0.05,
            "arrived_reward": 1.0,
            "first_reward": 0.0,
        },
        traffic=4,
        past_exit=10.0,
        view=(62.0, 62.0),
    ),
    "intersection": Scenario(
        layouts={
            "standard": lambda: stock_road("intersection_env:IntersectionEnv", {}),
            "t_junction": lambda: stock_road("intersection_env:IntersectionEnv", {}, without_arm),
        },
        agents=_intersection_agents,
        traffic_starts=_intersection_traffic,
        speeds=(0.0, 4.5, 9.0),
        speed_range=(7.0, 9.0),
        ranges=(60.0, 60.0, 12.0),
        weights={
            "collision_reward": -5.0,
            "high_speed_reward": 1.0,
            "arrived_reward": 1.0,
            "first_reward": 0.0,
        },
        traffic=5,
        past_exit=25.0,
        lateral=False,
        clearance=1.0,
        driver=Driver(gap=7.0, comfort_acceleration=6.0, comfort_braking=3.0),
        spawn=0.05,
        regulated=True,
        meetings=3,
        view=(60.0, 60.0),
    ),
    "racetrack": Scenario(
        layouts={
            "standard": lambda: stock_road("racetrack_env:RacetrackEnv", {}),
            "oval": lambda: stock_road("racetrack_env:RacetrackEnvOval", {}),
        },
        agents=_racetrack_agents,
        traffic_starts=_racetrack_traffic,
        speeds=(0.0, 5.0, 10.0),
        speed_range=(5.0, 10.0),
        ranges=(60.0, 60.0, 12.0),
        weights={
            "collision_reward": -1.0,
            "lane_centering_reward": 0.2,
            "action_reward": -0.05,
            "high_speed_reward": 1.0,
            "arrived_reward": 1.0,
            "first_reward": 0.0,
        },
        traffic=3,
        seconds=40.0,
        finish=250.0,
        actions="continuous",
    ),
    "highway": Scenario(
        layouts={
            "standard": lambda: stock_road("highway_env:HighwayEnv", {"lanes_count": 3}),
            "two_lanes": lambda: stock_road("highway_env:HighwayEnv", {"lanes_count": 2}),
        },
        agents=_highway_agents,
        traffic_starts=_highway_traffic,
        speeds=(15.0, 20.0, 25.0, 30.0),
        speed_range=(20.0, 30.0),
        ranges=(100.0, 16.0, 30.0),
        weights={
            "collision_reward": -1.0,
            "right_lane_reward": 0.1,
            "high_speed_reward": 0.4,
            "lane_change_reward": 0.0,
            "arrived_reward": 1.0,
            "first_reward": 0.0,
        },
        traffic=10,
        seconds=25.0,
        past_exit=500.0,
        view=(95.0, 11.0),
    ),
}
"""Scenario name → scenario."""
