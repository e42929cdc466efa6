"""highway-env itself is the truth: the same vehicles, driven the same way, do the same."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("highway_env")

from highway_env.envs.common.observation import KinematicObservation
from highway_env.vehicle.kinematics import Vehicle

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.observing import FEATURES
from rllib_safemarl.envs.driving.scenarios import SCENARIOS
from rllib_safemarl.envs.driving.traffic import Choice, neighbours
from tests.envs.driving import reference

logging.getLogger("highway_env").setLevel(logging.ERROR)
AGENTS = {
    "discrete": reference.LimitedMDPVehicle,
    "acceleration": reference.Accelerated,
    "continuous": Vehicle,
}
RUNS = [
    ("merge", "discrete", {"n_agents": 4, "traffic": 6}),
    ("merge", "acceleration", {}),
    ("highway", "discrete", {"traffic": 6}),
    ("roundabout", "discrete", {"n_agents": 4}),
    ("roundabout", "continuous", {"layout": "large", "traffic": 2}),
    ("intersection", "discrete", {"n_agents": 3}),
    ("intersection", "continuous", {"traffic": 3}),
    ("racetrack", "continuous", {"layout": "oval"}),
]
IDS = ["-".join(map(str, [scenario, actions, *settings.values()])) for scenario, actions, settings in RUNS]


def _actions(env, rng):
    shape = (env.num_copies, env.num_agents)
    if env.pilots.actions == "discrete":
        return np.where(rng.random(shape) < 0.4, rng.integers(0, env.pilots.space.n, shape), env.pilots.idle)
    if env.pilots.actions == "acceleration":
        return rng.uniform(-0.5, 1.0, (*shape, 1)).astype(np.float32)
    return rng.uniform([-0.3, -0.05], [1.0, 0.05], (*shape, 2)).astype(np.float32)


@pytest.mark.parametrize(("scenario", "actions", "settings"), RUNS, ids=IDS)
def test_vehicles_move_as_in_highway_env(scenario, actions, settings):
    env = DrivingVectorEnv(1, scenario=scenario, actions=actions, **settings)
    env.reset(4)
    road = reference.stock_road(env, agent=AGENTS[actions])
    rng, frames = np.random.default_rng(0), 0
    # Wrecks in each other are pushed about by rounding errors: they are followed for three frames more.
    left = 4
    for _ in range(16):
        chosen = _actions(env, rng)
        env.pilots.decide(chosen)
        reference.stock_act(env, road, chosen[0])
        for _ in range(3 if left > 0 else 0):
            env._simulator.frame()
            road.act()
            road.step(1.0 / 15.0)
            frames += 1
            table, crashed = reference.states(road, env.fleet.shape[1])
            present = env.fleet.present[0]
            ours = np.stack([getattr(env.fleet, name)[0] for name in ("x", "y", "heading", "speed")], -1)
            np.testing.assert_allclose(ours[present], table[present], atol=1e-8)
            np.testing.assert_array_equal(env.fleet.crashed[0][present], crashed[present])
            left -= crashed.any()
    assert frames >= 9


def test_traffic_changes_lanes_as_in_highway_env():
    env = DrivingVectorEnv(1, scenario="highway", traffic=12, aggressiveness=0.6)
    env.reset(1)
    driver = replace(env._simulator.traffic.driver, politeness=0.3)
    env._simulator.traffic.driver = driver
    road = reference.stock_road(env)
    for lane in road.network.lanes_list():
        lane.speed_limit *= 1.0 + driver.haste
    changes = 0
    for _ in range(45):
        env._simulator.frame()
        road.act()
        road.step(1.0 / 15.0)
        targets = {v.slot: v.target_lane_index for v in road.vehicles}
        ours = {slot: reference.lane_name(env, env.fleet.target[0, slot]) for slot in targets}
        assert ours == targets
        changes += sum(v.target_lane_index != v.lane_index for v in road.vehicles)
    assert changes > 20


@pytest.mark.parametrize(
    ("scenario", "connected"),
    [("merge", False), ("merge", True), ("roundabout", True), ("intersection", True)],
)
def test_neighbours_are_highway_envs(scenario, connected):
    env = DrivingVectorEnv(1, scenario=scenario, n_agents=4)
    env.reset(2)
    for _ in range(12):
        env._simulator.frame()
    road = reference.stock_road(env, connected=connected)
    slots = {id(v): v.slot for v in road.vehicles}
    slots |= {id(item): env.fleet.shape[1] + k for k, item in enumerate(road.objects)}
    vehicles, lanes = [v.slot for v in road.vehicles], np.arange(len(env.network.lanes))
    who, where = (column.ravel() for column in np.meshgrid(vehicles, lanes, indexing="ij"))
    front, rear = neighbours(env.fleet, Choice(np.zeros_like(who), who, where), connected)
    for k, vehicle in enumerate(np.repeat(np.array(road.vehicles, object), len(lanes))):
        found = road.neighbour_vehicles(vehicle, reference.lane_name(env, where[k]))
        assert [front[k], rear[k]] == [slots.get(id(other), -1) for other in found]


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_observations_are_highway_envs(scenario):
    env = DrivingVectorEnv(1, scenario=scenario, n_agents=3, actions="discrete", order="lane", observed=5)
    env.reset(6)
    for _ in range(6):
        observation = env.step({"vehicle": env.pilots.idle}).observation
    x, y, speed = env.scenario.ranges
    road = reference.stock_road(env)
    for agent in np.flatnonzero(env.active()[0]):
        (ego,) = (v for v in road.vehicles if v.slot == agent)
        stock = KinematicObservation(
            _World(road, ego),
            features=list(FEATURES),
            vehicles_count=5,
            features_range={"x": [-x, x], "y": [-y, y], "vx": [-speed, speed], "vy": [-speed, speed]},
            see_behind=True,
        )
        ours = observation.values["vehicle"][0, agent]
        np.testing.assert_allclose(ours[: 5 * len(FEATURES)].reshape(5, -1), stock.observe(), atol=1e-6)
        assert (ours[: 5 * len(FEATURES) : 7] == 1.0).sum() >= 3


class _World:
    """What highway-env's observations need of an environment."""

    PERCEPTION_DISTANCE = 200.0

    def __init__(self, road, vehicle):
        self.road, self.vehicle = road, vehicle


STOCK = {
    "merge": ("merge_env", "MergeEnv", ("collision_reward", "right_lane_reward", "high_speed_reward")),
    "highway": ("highway_env", "HighwayEnv", ("right_lane_reward", "high_speed_reward", "on_road_reward")),
    "intersection": ("intersection_env", "IntersectionEnv", ("high_speed_reward", "on_road_reward")),
    "racetrack": (
        "racetrack_env",
        "RacetrackEnv",
        ("lane_centering_reward", "action_reward", "on_road_reward"),
    ),
}


@pytest.mark.parametrize("scenario", list(STOCK))
def test_parts_of_rewards_are_highway_envs(scenario):
    module, name, parts = STOCK[scenario]
    kind = getattr(__import__(f"highway_env.envs.{module}", fromlist=[name]), name)
    env = DrivingVectorEnv(3, scenario=scenario)
    env.reset(8)
    rng = np.random.default_rng(3)
    for _ in range(4):
        actions = _actions(env, rng)
        step = env.step({"vehicle": actions})
    for copy in range(3):
        stock = kind.__new__(kind)
        stock.config = kind.default_config()
        stock.road = reference.stock_road(
            env, copy, agent=Vehicle if env.pilots.actions == "continuous" else reference.LimitedMDPVehicle
        )
        for vehicle in stock.road.vehicles:
            # Agents want 20 m/s at least, and who is faster than it wants loses nothing.
            if scenario == "merge":
                least = 20.0 if vehicle.slot < env.num_agents else 1.0
                vehicle.target_speed = max(vehicle.target_speed, least, vehicle.speed)
        for vehicle in (v for v in stock.road.vehicles if v.slot < env.num_agents):
            # A target lane is highway-env's measure of being on the right, ours is the lane itself.
            vehicle.target_lane_index = vehicle.lane_index
            stock.controlled_vehicles = [vehicle]
            rewards = stock._agent_rewards(0, vehicle) if scenario == "intersection" else None
            rewards = rewards or stock._rewards(actions[copy, vehicle.slot])
            merging = rewards.get("merging_speed_reward")
            if merging is not None:
                np.testing.assert_allclose(step.info["merging_speed_reward"][copy, 0], merging, atol=1e-6)
            for part in parts:
                expected = float(rewards[part])
                if part == "high_speed_reward" and scenario == "highway":
                    # There highway-env counts the speed along x alone.
                    expected = np.clip((vehicle.speed - 20.0) / 10.0, 0.0, 1.0)
                np.testing.assert_allclose(step.info[part][copy, vehicle.slot], expected, atol=1e-6)
