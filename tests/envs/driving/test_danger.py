"""Margins by hand: one behind another, on ramps and circles, where ways cross."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.danger import HORIZON
from rllib_safemarl.envs.driving.scene import nearest_edges, road_distances

FREE = HORIZON - 5.0 - 2.0


def _env(scenario, **settings):
    env = DrivingVectorEnv(1, scenario=scenario, traffic=0, **settings)
    env.reset(0)
    return env


def _put(env, slot, lane, s, speed, r=0.0, target=None, turned=0.0):
    """Put a vehicle on a named lane."""
    fleet, lanes = env.fleet, env.network.lanes
    index = np.array([env.network.lane(*lane)])
    x, y = lanes.position(index, np.array([s]), r)
    fleet.x[0, slot], fleet.y[0, slot] = x[0], y[0]
    fleet.heading[0, slot] = lanes.heading_at(index, np.array([s]))[0] + turned
    fleet.speed[0, slot], fleet.present[0, slot] = speed, True
    fleet.locate()
    fleet.target[0, slot] = index[0] if target is None else env.network.lane(*target)


def _danger(env):
    return env._measure().danger


def test_behind_a_slower_one_margin_is_gap_less_braking_less_clearance():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 25.0)
    _put(env, 1, ("0", "1", 1), 130.0, 19.0)
    danger = _danger(env)
    # 30 m between centres, 5 m of vehicles; 6 m/s of closing speed at 6 m/s² are 3 m.
    np.testing.assert_allclose(danger.margin[0], 30 - 5 - 3 - 2)
    np.testing.assert_allclose(danger.gap[0], [25.0, HORIZON])
    np.testing.assert_allclose(danger.closing[0], [6.0, 0.0])
    assert danger.most_endangering[0].tolist() == [1, 0]


def test_moving_apart_closing_speed_does_not_count():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 20.0)
    _put(env, 1, ("0", "1", 1), 107.5, 30.0)
    np.testing.assert_allclose(_danger(env).margin[0], 0.5)
    _put(env, 1, ("0", "1", 1), 106.5, 30.0)
    np.testing.assert_allclose(_danger(env).margin[0], -0.5)


def test_slippery_roads_need_more_room():
    env = _env("highway", shift="slippery", clearance=1.0)
    _put(env, 0, ("0", "1", 1), 100.0, 26.0)
    _put(env, 1, ("0", "1", 1), 130.0, 20.0)
    np.testing.assert_allclose(_danger(env).margin[0], 25 - 36 / (2 * 3) - 1)


def test_side_by_side_is_no_danger_until_one_aims_for_the_others_lane():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 25.0)
    _put(env, 1, ("0", "1", 2), 102.0, 25.0)
    np.testing.assert_allclose(_danger(env).margin[0], FREE)
    _put(env, 0, ("0", "1", 1), 100.0, 25.0, target=("0", "1", 2))
    np.testing.assert_allclose(_danger(env).margin[0], 2 - 5 - 2)


def test_cutting_in_is_dangerous_for_both():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 30.0)
    _put(env, 1, ("0", "1", 2), 112.0, 24.0, target=("0", "1", 1))
    np.testing.assert_allclose(_danger(env).margin[0], 12 - 5 - 36 / 12 - 2)


def test_a_vehicle_across_the_lane_is_as_long_as_it_is_wide():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 12.0)
    _put(env, 1, ("0", "1", 1), 130.0, 0.0, turned=np.pi / 2)
    # Bumper to flank: 30 - 2.5 - 1; 12²/12 = 12.
    np.testing.assert_allclose(_danger(env).margin[0, 0], 26.5 - 12 - 2)


def test_at_each_other_both_brake():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 12.0)
    _put(env, 1, ("0", "1", 1), 150.0, 12.0, turned=np.pi)
    np.testing.assert_allclose(_danger(env).margin[0], 45 - 24**2 / (2 * 12) - 2)


def test_the_end_of_the_ramp_is_an_obstacle_unless_one_leaves_it():
    env = _env("merge")
    _put(env, 0, ("a", "b", 0), 20.0, 20.0)
    _put(env, 1, ("b", "c", 2), 40.0, 12.0)
    # 2 x 2 m of obstacle at 80 m.
    np.testing.assert_allclose(_danger(env).margin[0, 1], 40 - 2.5 - 1 - 12 - 2)
    _put(env, 1, ("b", "c", 2), 40.0, 12.0, r=-4.0, target=("b", "c", 1))
    np.testing.assert_allclose(_danger(env).margin[0, 1], FREE)


def test_from_one_lane_to_the_next_gaps_add_up():
    env = _env("merge")
    _put(env, 0, ("a", "b", 1), 215.0, 20.0)
    _put(env, 1, ("b", "c", 1), 10.0, 20.0)
    np.testing.assert_allclose(_danger(env).gap[0, 0], 15 + 10 - 5)
    env = _env("merge")
    ramp = env.network.lanes.length[env.network.lane("k", "b")]
    _put(env, 0, ("j", "k", 0), 140.0, 20.0)
    _put(env, 1, ("b", "c", 2), 5.0, 20.0)
    np.testing.assert_allclose(_danger(env).gap[0, 0], HORIZON)
    _put(env, 1, ("k", "b", 0), 25.0, 20.0)
    # On the bend the one ahead stands aslant, and so takes a little more or less room.
    np.testing.assert_allclose(_danger(env).gap[0, 0], 10 + 25 - 5, atol=0.2)
    assert ramp == 80.0


def test_on_a_circle_gaps_are_arcs():
    env = _env("roundabout")
    lane = ("se", "ex", 1)
    _put(env, 0, lane, 1.0, 10.0)
    _put(env, 1, lane, 15.0, 4.0)
    danger = _danger(env)
    np.testing.assert_allclose(danger.gap[0, 0], 14 - 5)
    np.testing.assert_allclose(danger.margin[0], 9 - 36 / 12 - 2)
    # Inner and outer lane are 4 m apart.
    _put(env, 1, ("se", "ex", 0), 12.0, 4.0)
    np.testing.assert_allclose(_danger(env).margin[0], FREE)


def test_gaps_go_on_where_lanes_into_the_circle_end_before_it():
    env = _env("roundabout")
    _put(env, 0, ("ses", "se", 0), 12.0, 8.0)
    _put(env, 1, ("se", "ex", 1), 6.0, 8.0)
    fleet, network = env.fleet, env.network
    fleet.route[0, 0, :2], fleet.route_at[0, 0] = [network.road("ses", "se"), network.road("se", "ex")], 0
    # The lane goes straight up from y = 42.5 to 25.5; the circle of 24 m begins 24° beside the lowest point.
    between = 25.5 - 24.0 * np.cos(np.deg2rad(24.0))
    assert 3.0 < between < 4.0
    np.testing.assert_allclose(_danger(env).gap[0, 0], (17.0 - 12.0) + between + 6.0 - 5.0)
    # Elsewhere lanes meet.
    for scenario in ("merge", "roundabout", "intersection", "highway"):
        apart = DrivingVectorEnv(1, scenario=scenario, shift="layout").network.apart
        np.testing.assert_allclose(apart, 0.0, atol=1e-6)


def test_who_is_near_but_far_along_the_path_is_not_ahead():
    env = _env("intersection", actions="acceleration", meetings=0)
    _drive_across(env, 0, 0, 31.0, 8.0)
    # Comes in on the arm that the first leaves by, which leads back in at its far end.
    _drive_across(env, 1, 2, 36.0, 8.0)
    danger = _danger(env)
    assert danger.gap[0].tolist() == [HORIZON, HORIZON] and danger.closing[0].tolist() == [0.0, 0.0]
    assert env._observe().values["vehicle"][0, 0, -5] == 1.0


def _drive_across(env, slot, arm, distance, speed):
    """Put a vehicle on its straight way across an intersection, so far from its middle."""
    fleet, network = env.fleet, env.network
    _put(env, slot, (f"o{arm}", f"ir{arm}", 0), 100.0 + 11.0 - distance, speed)
    ahead = [network.road(f"o{arm}", f"ir{arm}"), network.road(f"ir{arm}", f"il{(arm + 2) % 4}")]
    fleet.route[0, slot] = -1
    fleet.route[0, slot, :2] = ahead
    fleet.route_at[0, slot] = 0


def _cross(first, second, **settings):
    """Two on straight ways across an intersection, so far from its middle, at these speeds."""
    env = _env("intersection", actions="acceleration", **settings)
    for slot, arm, (distance, speed) in ((0, 0, first), (1, 1, second)):
        _drive_across(env, slot, arm, distance, speed)
    return env


def _crossing(first, second):
    return _danger(_cross(first, second, clearance=2.0)).margin[0]


# The ways cross 2 m before the middle for the first, 2 m behind it for the second. Bodies meet from 2 m ahead
# of that point to 2 m beyond: points every half metre, within 2.2 m. Front and rear are 2.5 m from the centre
# and, 9² / 12 = 6.75.


def test_where_ways_cross_it_is_enough_that_one_can_still_stop():
    np.testing.assert_allclose(_crossing((20.0, 9.0), (20.0, 0.0)), 20 + 2 - 2 - 2.5 - 2)
    np.testing.assert_allclose(_crossing((20.0, 0.0), (20.0, 9.0)), 20 - 2 - 2 - 2.5 - 2)
    np.testing.assert_allclose(_crossing((6.0, 9.0), (20.0, 9.0)), 20 + 2 - 2 - 2.5 - 6.75 - 2)
    np.testing.assert_allclose(_crossing((6.0, 9.0), (8.0, 9.0)), 8 + 2 - 2 - 2.5 - 6.75 - 2)


def test_where_ways_cross_it_is_enough_that_one_is_behind_the_other():
    # The first's rear leaves in 0.7 m; it is too late for the second to stop, but not to come behind it.
    np.testing.assert_allclose(_crossing((-1.8, 9.0), (9.0, 9.0)), 9 + 2 - 2 - 2.5 - 0.7 - 2)
    # The faster the second is than the first, the less.
    np.testing.assert_allclose(_crossing((-1.8, 6.0), (9.0, 9.0)), 6.5 - 0.7 - 9 / 12 - 2)


def test_who_drives_across_the_path_is_in_the_way():
    # 11 m between centres along the path, 2.5 m of the second, 1 m of the first, which is 2 m aside.
    np.testing.assert_allclose(_crossing((0.0, 9.0), (9.0, 9.0)), 11 - 2.5 - 1 - 6.75 - 2)


def test_where_ways_meet_both_see_how_far_each_is_and_who_waits():
    env = _cross((20.0, 9.0), (8.0, 6.0), meetings=2)
    env.fleet.yields[0, 1] = True
    plain = _cross((20.0, 9.0), (8.0, 6.0), meetings=0)
    seen, without = (each._observe().values["vehicle"][0] for each in (env, plain))
    first, second = [20 - 2 - 4.5, 20 - 2 + 4.5], [8 + 2 - 4.5, 8 + 2 + 4.5]
    np.testing.assert_allclose(seen[0, -14:-7], [1, *np.divide(first + second, 40), 6 / 9, 1], rtol=1e-5)
    np.testing.assert_allclose(seen[1, -14:-7], [1, *np.divide(second + first, 40), 9 / 9, 0], rtol=1e-5)
    # There is no second place, and nothing else changes.
    assert not seen[:, -7:].any()
    np.testing.assert_array_equal(seen[:, :-14], without)


def test_of_places_where_ways_meet_the_most_endangering_are_seen_first():
    env = DrivingVectorEnv(16, scenario="intersection", n_agents=4, meetings=3)
    env.reset(0)
    for _ in range(12):
        step = env.step({"vehicle": env.pilots.idle})
    seen, met = step.observation.values["vehicle"][..., 55:].reshape(16, 4, 3, 7), env.moment.danger.met
    several = 0
    for copy, agent in np.ndindex(16, 4):
        found = []
        for row in np.flatnonzero(met.copy == copy):
            for who, own, other in ((met.first, 0, 1), (met.second, 1, 0)):
                if who[row] == agent:
                    ways = [met.enter[own, row], met.leave[own, row], met.enter[other, row]]
                    found.append((met.margin[row], np.clip(np.divide(ways, 40), -1, 1)))
        least = sorted(margin for margin, _ in found)[:3]
        assert seen[copy, agent, :, 0].tolist() == [1.0] * len(least) + [0.0] * (3 - len(least))
        for rank, margin in enumerate(least):
            # Of equally endangering ones any.
            rows = [ways for each, ways in found if each == margin]
            assert np.isclose(seen[copy, agent, rank, 1:4], rows, rtol=1e-5).all(1).any()
        several += len(found) > 3
    assert several > 10


def test_agents_that_arrived_have_no_margin():
    env = _env("highway")
    _put(env, 0, ("0", "1", 1), 100.0, 25.0)
    _put(env, 1, ("0", "1", 1), 106.0, 25.0)
    assert _danger(env).margin[0].max() < 0
    gone = np.zeros(env.fleet.shape, bool)
    gone[0, 1] = True
    env.fleet.remove(gone)
    env.fleet.locate()
    np.testing.assert_allclose(_danger(env).margin[0], FREE)


# The agent graph.


def test_neighbours_are_the_nearest_along_the_roads():
    env = _env("merge", n_agents=4)
    _put(env, 0, ("a", "b", 1), 200.0, 20.0)
    _put(env, 1, ("k", "b", 0), 40.0, 20.0)
    _put(env, 2, ("a", "b", 0), 190.0, 20.0)
    _put(env, 3, ("b", "c", 2), 30.0, 20.0)
    away = road_distances(env.fleet)[0]
    # From the motorway to the ramp by way of the node where they meet.
    np.testing.assert_allclose(away[0], [0, 30 + 40, 10, 30 + 30])
    np.testing.assert_allclose(away[1], [70, 0, 80, 70])
    np.testing.assert_allclose(away, away.T)
    near = nearest_edges(away[None], 65.0, 3)[0].tolist()
    assert near == [[2, 3, -1], [-1, -1, -1], [0, -1, -1], [0, -1, -1]]
    assert nearest_edges(away[None], 100.0, 2)[0].tolist() == [[2, 3], [0, 3], [0, 3], [0, 1]]


def test_on_a_circle_the_shorter_way_counts():
    env = _env("roundabout")
    _put(env, 0, ("se", "ex", 1), 2.0, 8.0)
    _put(env, 1, ("sx", "se", 1), 15.0, 8.0)
    length = env.network.lanes.length[env.network.lane("sx", "se", 1)]
    # Ways over nodes are measured on the roads' first, inner lanes.
    away = road_distances(env.fleet)[0, 0, 1]
    np.testing.assert_allclose(away, 2.0 + length - 15.0, atol=0.1)
