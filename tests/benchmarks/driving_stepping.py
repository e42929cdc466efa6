"""Steps of our driving environment against highway-env's own.

    python tests/benchmarks/driving_stepping.py [SCENARIO_AGENTS ...]

Both sides drive the same scenarios at five decisions and fifteen frames a second, from the same starts, among
the same traffic, by the same random meta-actions, and observe the same table of the six nearest vehicles for
every agent. Ours has 32 copies and also computes costs, margins and the agent graph; highway-env has one.
``ratio`` is that of the merge with two agents.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from harness import finish, in_turn, ratio, report
from highway_env.vehicle.behavior import IDMVehicle

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.observing import FEATURES

COPIES = 32
STEPS, STOCK_STEPS = 40, 60
CASES = (("merge", 2), ("merge", 4), ("roundabout", 2), ("highway", 4))
STOCK = {
    "merge": "merge_env:MergeEnv",
    "roundabout": "roundabout_env:RoundaboutEnv",
    "highway": "highway_env:HighwayEnv",
}


def decisions(env: DrivingVectorEnv) -> np.ndarray:
    """``[50, N, A]`` the same for both sides: mostly to go on as before."""
    rng = np.random.default_rng(0)
    shape = (50, env.num_copies, env.num_agents)
    return np.where(rng.random(shape) < 0.2, rng.integers(0, env.pilots.space.n, shape), env.pilots.idle)


def ours(scenario: str, agents: int) -> Callable[[], float]:
    """All copies at once."""
    env = DrivingVectorEnv(COPIES, scenario=scenario, n_agents=agents)
    env.reset(0)
    chosen, clock = decisions(env), {"t": 0}

    def work() -> float:
        for _ in range(STEPS):
            env.step({"vehicle": chosen[clock["t"] % 50]})
            clock["t"] += 1
        return STEPS * COPIES

    return work


def stock(scenario: str, agents: int) -> Callable[[], float]:
    """highway-env, started anew where ours would be."""
    source = DrivingVectorEnv(COPIES, scenario=scenario, n_agents=agents)
    source.reset(0)
    env, chosen, clock = stock_env(source), decisions(source), {"t": 0}

    def work() -> float:
        for _ in range(STOCK_STEPS):
            t, copy = clock["t"], env.copy
            crashed = any(vehicle.crashed for vehicle in env.controlled_vehicles)
            if t and (crashed or env.steps >= 3 * source.time_limit):
                env.reset()
            env.step(tuple(int(action) for action in chosen[t % 50, copy]))
            clock["t"] += 1
        return STOCK_STEPS

    return work


def stock_env(source: DrivingVectorEnv) -> Any:
    """One of highway-env's environments, whose episodes begin as those of the copies of ``source``."""
    module, name = STOCK[source.config.scenario].split(":")
    kind = getattr(import_module(f"highway_env.envs.{module}"), name)
    fleet, network = source.fleet, source.network

    def lane_name(lane: int) -> tuple[str, str, int]:
        return (*network._names[network.road_of[lane]], int(network.number[lane]))

    class Stock(kind):  # type: ignore[misc, valid-type]
        """With several agents, who begin where ours do."""

        copy = -1

        def _reset(self) -> None:
            type(self).copy = (self.copy + 1) % COPIES
            (self._create_road if hasattr(self, "_create_road") else self._make_road)()
            self.controlled_vehicles = []
            for slot in range(fleet.shape[1]):
                place = np.array([fleet.x[self.copy, slot], fleet.y[self.copy, slot]])
                make = self.action_type.vehicle_class if slot < fleet.agents else IDMVehicle
                heading, speed = float(fleet.heading[self.copy, slot]), float(fleet.speed[self.copy, slot])
                vehicle = make(self.road, place, heading=heading, speed=speed)
                route = [(*network._names[road], None) for road in fleet.route[self.copy, slot] if road >= 0]
                if route:
                    vehicle.route = [lane_name(fleet.lane[self.copy, slot]), *route[1:]]
                self.road.vehicles.append(vehicle)
                if slot < fleet.agents:
                    self.controlled_vehicles.append(vehicle)

    x, y, speed = source.scenario.ranges
    ranges = {"x": [-x, x], "y": [-y, y], "vx": [-speed, speed], "vy": [-speed, speed]}
    table = {"type": "Kinematics", "features": list(FEATURES), "vehicles_count": source.config.observed}
    observation = {**table, "features_range": ranges, "see_behind": True}
    action = {"type": "DiscreteMetaAction", "target_speeds": list(source.scenario.speeds)}
    settings = {
        "observation": {"type": "MultiAgentObservation", "observation_config": observation},
        "action": {"type": "MultiAgentAction", "action_config": action},
        "policy_frequency": 5,
        "simulation_frequency": 15,
        "neighbour_vehicles_connected_lanes": True,
    }
    return Stock({name: value for name, value in settings.items()})


def main() -> None:
    """All cases, or those named."""
    wanted, ratios = set(sys.argv[1:]), {}
    for scenario, agents in CASES:
        name = f"{scenario}_{agents}"
        if wanted and name not in wanted:
            continue
        rates = in_turn({"ours": ours(scenario, agents), "highway-env": stock(scenario, agents)})
        report(f"{scenario}, {agents} agents", "env steps per CPU-second", rates)
        ratios[name] = ratio(rates, "ours", "highway-env")
    first = f"{CASES[0][0]}_{CASES[0][1]}"
    finish(**({"ratio": ratios[first]} if first in ratios else {}), **ratios)


if __name__ == "__main__":
    main()
