"""Controllers differ as their names say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.giving_way import TIMES, brake_at_meetings, drive_on
from rllib_safemarl.envs.driving.scripted import CONTROLLERS
from rllib_safemarl.errors import SafeMARLError

COPIES = 12


def _outcomes(name, scenario, **settings):
    """Shares of crashes and arrivals, mean speed, share in danger: of the first episodes of some copies."""
    env = DrivingVectorEnv(COPIES, scenario=scenario, n_agents=2, **settings)
    env.reset(0)
    found = np.full((COPIES, 4), np.nan)
    for _ in range(env.time_limit):
        step = env.step({"vehicle": CONTROLLERS[name](env)})
        if step.ending is not None:
            metrics = step.ending.metrics
            danger = metrics["least_margin"] < 0.0
            figures = np.stack([*(metrics[key] for key in ("crash", "arrived", "mean_speed")), danger], -1)
            first = np.isnan(found[step.ending.copies, 0])
            found[step.ending.copies[first]] = figures[first]
        if not np.isnan(found).any():
            break
    return found.mean(0)


@pytest.mark.parametrize(
    ("scenario", "settings", "arrive"),
    [("merge", {}, 0.75), ("merge", {"actions": "acceleration"}, 0.75), ("intersection", {}, 0.6)],
)
def test_who_yields_crashes_less_and_still_arrives(scenario, settings, arrive):
    careful, fast = (_outcomes(name, scenario, **settings) for name in ("yielding", "reckless"))
    # At most one of them crashes.
    assert careful[0] <= 1.0 / COPIES and fast[0] >= careful[0] + 0.3
    assert careful[1] >= arrive and careful[2] > 0.5 * fast[2]
    # Most careful episodes are not even dangerous.
    assert careful[3] <= 0.4 and fast[3] >= careful[3] + 0.3


def test_who_drives_on_is_where_uniform_acceleration_takes_it():
    one = np.ones(1)
    driven = drive_on(10.0 * one, 20.0 * one, 4.0 * one, 2.0 * one, 8.0)
    at = {round(float(t), 1): i for i, t in enumerate(TIMES)}
    # 2 s to 8 m/s, over 12 m; then 8 m more each second.
    ways = {0.0: 0.0, 1.0: 5.0, 2.0: 12.0, 4.0: 28.0}
    for t, way in ways.items():
        assert driven.enter[0, at[t]] == pytest.approx(10.0 - way)
        assert driven.leave[0, at[t]] == pytest.approx(20.0 - way)
    assert driven.speed[0, [at[1.0], at[4.0]]] == pytest.approx([6.0, 8.0])
    assert drive_on(one, one, 9.0 * one, one, 8.0).speed[0] == pytest.approx(9.0)
    # 10 m before the place, it is 1 s and 6 m away from it at 4 m/s, but not 7 m; and again behind it.
    assert driven.away(one[:, None], 6.0)[0, at[0.0]] and not driven.away(one[:, None], 7.0)[0, at[0.0]]
    assert not driven.away(one[:, None], 6.0)[0, at[2.0]] and driven.away(one[:, None], 6.0)[0, at[4.0]]


def _crossing(speed, distance):
    """Two agents alone on the intersection, on roads that cross, so far before its middle and so fast."""
    env = DrivingVectorEnv(1, scenario="intersection", n_agents=2, traffic=0, actions="acceleration")
    env.reset(0)
    fleet, network = env.fleet, env.network
    for i, (v, d) in enumerate(zip(speed, distance, strict=True)):
        lane = network.lane(f"o{i}", f"ir{i}")
        s = network.lanes.length[lane] - d
        fleet.x[0, i], fleet.y[0, i] = (float(c[0]) for c in network.lanes.position([lane], np.array([s])))
        fleet.speed[0, i] = v
        fleet.route[0, i, :3] = network.route(lane, f"o{i + 2}")[:3]
    fleet.locate()
    fleet.target[0, :2] = fleet.lane[0, :2]
    env._measure()
    return brake_at_meetings(env, 1.0)[0]


def test_the_later_of_two_brakes_for_the_earlier():
    goes, brakes = _crossing((9.0, 9.0), (4.0, 9.0))
    assert goes == np.inf and brakes < -3.0
    brakes, goes = _crossing((9.0, 9.0), (14.0, 4.0))
    assert goes == np.inf and brakes < 0.0
    # One that is through before the other comes near is no reason to wait.
    assert _crossing((9.0, 3.0), (2.0, 40.0)).tolist() == [np.inf, np.inf]


def test_agents_by_themselves_cross_fast_and_without_danger():
    crash, arrived, speed, danger = _outcomes("yielding", "intersection", traffic=0, actions="acceleration")
    assert (crash, arrived) == (0.0, 1.0) and speed > 7.5 and danger <= 1.0 / COPIES


def test_freely_steered_agents_stay_on_the_racetrack():
    env = DrivingVectorEnv(4, scenario="racetrack", traffic=0)
    env.reset(0)
    crashes = []
    for _ in range(120):
        step = env.step({"vehicle": CONTROLLERS["following"](env)})
        crashes += [] if step.ending is None else step.ending.metrics["crash"].tolist()
    assert len(crashes) == 0 and env.fleet.speed[:, :2].min() > 7.0


def test_controllers_refuse_leaders_and_followers():
    env = DrivingVectorEnv(1, leader_follower=True)
    env.reset(0)
    with pytest.raises(SafeMARLError, match="leave out leader_follower"):
        CONTROLLERS["reckless"](env)
