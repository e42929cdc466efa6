"""highway-env itself, at the state of one copy of ours."""

from __future__ import annotations

import numpy as np
from highway_env.road.road import Road
from highway_env.vehicle.behavior import IDMVehicle
from highway_env.vehicle.controller import ControlledVehicle, MDPVehicle
from highway_env.vehicle.kinematics import Vehicle

from rllib_safemarl.envs.driving.fleet import Fleet

META = ("LANE_LEFT", "IDLE", "LANE_RIGHT", "FASTER", "SLOWER")


class LimitedMDPVehicle(MDPVehicle):
    """highway-env's agent, whose brakes and motor have limits."""

    LIMITS = (-6.0, 6.0)

    def act(self, action=None):
        super().act(action)
        self.action["acceleration"] = np.clip(self.action["acceleration"], *self.LIMITS)


class Accelerated(ControlledVehicle):
    """Keeps its lane and takes its acceleration from outside, without driving backwards."""

    wanted = 0.0

    def act(self, action=None):
        super().act()
        self.action["acceleration"] = max(self.wanted, -max(self.speed, 0.0) * 15.0)

    def step(self, dt):
        super().step(dt)
        self.wanted = self.action["acceleration"]


def driver_class(driver, braking):
    """highway-env's traffic with the parameters of a Driver, and brakes that do not drive backwards."""

    class Traffic(IDMVehicle):
        DISTANCE_WANTED = driver.gap
        TIME_WANTED = driver.time_gap
        COMFORT_ACC_MAX = driver.comfort_acceleration
        COMFORT_ACC_MIN = -driver.comfort_braking
        POLITENESS = driver.politeness
        LANE_CHANGE_MIN_ACC_GAIN = driver.least_gain
        LANE_CHANGE_MAX_BRAKING_IMPOSED = driver.most_imposed
        LANE_CHANGE_DELAY = driver.delay

        def act(self, action=None):
            super().act(action)
            least = max(-braking, -max(self.speed, 0.0) * 15.0)
            self.action["acceleration"] = max(self.action["acceleration"], least)

    return Traffic


def stock_road(env, copy=0, driver=None, agent=LimitedMDPVehicle, connected=True) -> Road:
    """A road of highway-env on which the vehicles of one copy stand, in the order of their slots.

    Every vehicle has its slot as ``slot``.
    """
    fleet: Fleet = env.fleet
    road = env.scenario.layouts[env.config.layout]()
    road.neighbour_vehicles_connected_lanes = connected
    traffic = driver_class(driver or env._simulator.traffic.driver, env.config.braking)
    for slot in np.flatnonzero(fleet.present[copy]).tolist():
        state = {name: float(getattr(fleet, name)[copy, slot]) for name in ("heading", "speed")}
        place = np.array([fleet.x[copy, slot], fleet.y[copy, slot]])
        if slot < fleet.agents and agent is Vehicle:
            vehicle = Vehicle(road, place, **state)
        else:
            settings = {
                "target_lane_index": lane_name(env, fleet.target[copy, slot]),
                "target_speed": float(fleet.target_speed[copy, slot]),
                "route": route_of(env, copy, slot),
            }
            if slot >= fleet.agents:
                vehicle = traffic(road, place, **state, **settings, timer=float(fleet.timer[copy, slot]))
                vehicle.DELTA = float(fleet.exponent[copy, slot])
            elif issubclass(agent, MDPVehicle):
                vehicle = agent(road, place, **state, **settings, target_speeds=env.pilots.speeds)
            else:
                vehicle = agent(road, place, **state, **settings)
        vehicle.slot = slot
        assert vehicle.lane_index == lane_name(env, fleet.lane[copy, slot])
        road.vehicles.append(vehicle)
    return road


def lane_name(env, lane):
    network = env.network
    return (*network._names[network.road_of[lane]], int(network.number[lane]))


def route_of(env, copy, slot):
    fleet, network = env.fleet, env.network
    roads = [int(road) for road in fleet.route[copy, slot] if road >= 0]
    if not roads:
        return None
    rest = roads[int(fleet.route_at[copy, slot]) :]
    route = [(*network._names[road], None) for road in rest]
    number = int(fleet.planned_number[copy, slot])
    if route and number >= 0:
        route[0] = (*route[0][:2], number)
    return route


def stock_act(env, road, actions):
    """Give the agents of a stock road their actions ``[A, ...]`` as a decision's first frame does."""
    pilots = env.pilots
    for vehicle in road.vehicles:
        if vehicle.slot >= env.num_agents:
            continue
        action = actions[vehicle.slot]
        if pilots.actions == "discrete":
            vehicle.act(META[pilots._meaning[action]])
            continue
        wanted = float(np.clip(action[0], -1, 1)) * 6.0
        if pilots.actions == "acceleration":
            vehicle.wanted = wanted
        else:
            steering = float(np.clip(action[1], -1, 1)) * np.pi / 4
            vehicle.act({"acceleration": wanted, "steering": steering})


def states(road, vehicles):
    """``[V, 4]`` x, y, heading and speed by slot, NaN for empty ones, and who has crashed."""
    table, crashed = np.full((vehicles, 4), np.nan), np.zeros(vehicles, bool)
    for vehicle in road.vehicles:
        table[vehicle.slot] = (*vehicle.position, vehicle.heading, vehicle.speed)
        crashed[vehicle.slot] = vehicle.crashed
    return table, crashed
