"""Steps, endings and options by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.config import shifts
from rllib_safemarl.envs.driving.pilots import FASTER, IDLE, LEFT, SLOWER
from rllib_safemarl.envs.driving.scenarios import SCENARIOS
from rllib_safemarl.errors import SafeMARLError
from tests.envs.driving.test_danger import _put


def _all(env, meaning):
    """The same meta-action for everyone."""
    number = env.pilots.choice(meaning)
    return {kind.name: np.full((env.num_copies, len(kind.agents)), number) for kind in env.kinds}


@pytest.mark.parametrize(
    ("scenario", "actions"),
    [
        *((scenario, "discrete") for scenario in SCENARIOS),
        ("merge", "acceleration"),
        ("roundabout", "continuous"),
        ("racetrack", "continuous"),
    ],
)
def test_steps_are_finite_and_nobody_begins_in_danger(scenario, actions):
    env = DrivingVectorEnv(8, scenario=scenario, n_agents=4, actions=actions, costs=["collision", "headway"])
    observation = env.reset(1)
    assert (env.moment.danger.margin > 0.0).all()
    rng = np.random.default_rng(0)
    for _ in range(8):
        space = env.kinds[0].action_space
        shape = (8, 4, *space.shape)
        chosen = rng.integers(0, space.n, shape) if actions == "discrete" else rng.uniform(-0.3, 0.3, shape)
        step = env.step({"vehicle": chosen})
        observation = step.observation
        assert np.isfinite(observation.values["vehicle"]).all() and np.isfinite(step.reward).all()
        assert observation.values["vehicle"].shape == (8, 4, env.kinds[0].observation_size)
        assert set(np.unique(step.cost)) <= {0.0, 1.0} and step.cost.shape == (8, 4, 2)
        np.testing.assert_array_equal(step.cost[..., 0], step.info["cost_collision"])
        np.testing.assert_array_equal(step.cost[..., 1], step.info["cost_headway"])
        acting = step.info["speed"] != 0.0
        np.testing.assert_array_equal(step.cost[..., 1] == 1.0, acting & (step.info["margin"] < 0.0))
        assert set(env.scenario.parts) <= set(step.info) and "on_road_reward" in step.info
    # Nobody is joined to itself, and edges rise.
    edges = observation.edges
    assert edges.shape == (8, 4, 3) and (edges != np.arange(4)[:, None]).all()
    assert (np.diff(np.where(edges < 0, 9, edges), axis=-1) >= 0).all()


def test_one_step_of_the_meta_action_by_hand():
    env = DrivingVectorEnv(1, scenario="highway", traffic=0, rewards={"right_lane_reward": 0.0})
    env.reset(0)
    for agent in range(2):
        _put(env, agent, ("0", "1", 2 * agent), 100.0, 20.0)
        env.fleet.target_speed[0, agent] = 20.0
    env._measure()
    actions = {"vehicle": np.array([[FASTER, SLOWER]])}
    x, v = np.array([100.0, 100.0]), np.array([20.0, 20.0])
    step = env.step(actions)
    for _ in range(3):
        x = x + v / 15
        v = v + np.clip((np.array([25.0, 15.0]) - v) / 0.6, -6.0, 6.0) / 15
    np.testing.assert_allclose(env.fleet.x[0, :2], x, atol=1e-9)
    np.testing.assert_allclose(env.fleet.speed[0, :2], v, atol=1e-9)
    np.testing.assert_allclose(step.info["speed"][0], v, rtol=1e-6)
    # 0.4 a second, from 20 to 30 m/s.
    np.testing.assert_allclose(step.reward[0], 0.2 * 0.4 * np.clip((v - 20) / 10, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("speed", "target", "lost"), [(15.0, 0.0, 0.25), (25.0, 0.0, 0.0), (15.0, 30.0, 0.5)]
)
def test_nobody_gains_by_choosing_to_stop_on_the_merging_lane(speed, target, lost):
    env = DrivingVectorEnv(1, scenario="merge", traffic=0)
    env.reset(0)
    _put(env, 0, ("b", "c", 2), 20.0, speed)
    _put(env, 1, ("b", "c", 0), 0.0, 20.0)
    env.fleet.target_speed[0, :2] = target, 20.0
    part = env._rewards.parts(env.fleet, np.zeros((1, 2), np.int64), *np.zeros((3, 1, 2), bool))
    # Agents want 20 m/s at least: (20 - 15) / 20 at a target of 0, (30 - 15) / 30 at one of 30.
    np.testing.assert_allclose(part["merging_speed_reward"], [[lost, lost]])


def test_braking_is_limited_and_less_so_where_it_is_slippery():
    for settings, most in (({}, 6.0), ({"shift": "slippery"}, 3.0), ({"braking": 2.0}, 2.0)):
        env = DrivingVectorEnv(1, scenario="highway", traffic=0, **settings)
        env.reset(0)
        for agent in range(2):
            _put(env, agent, ("0", "1", agent), 100.0, 25.0)
        env.step(_all(env, SLOWER))
        np.testing.assert_allclose(env.fleet.speed, 25.0 - 0.2 * most, atol=1e-9)


def test_a_crash_ends_the_episode_for_all_and_costs_those_who_crashed():
    env = DrivingVectorEnv(2, scenario="highway", n_agents=3, traffic=0)
    env.reset(0)
    _put(env, 0, ("0", "1", 1), 100.0, 25.0)
    _put(env, 1, ("0", "1", 1), 104.0, 25.0)
    _put(env, 2, ("0", "1", 0), 200.0, 25.0)
    step = env.step(_all(env, IDLE))
    assert step.terminated.tolist() == [[True] * 3, [False] * 3]
    # A crash counts 10, and a step in danger 1.
    assert step.cost[0, :, 0].tolist() == [11.0, 11.0, 0.0] and step.cost[1].max() == 0.0
    assert step.info["collision_reward"][0].tolist() == [1.0, 1.0, 0.0]
    assert step.ending.copies.tolist() == [0]
    figures = {name: float(value[0]) for name, value in step.ending.metrics.items()}
    assert figures["crash"] == 1.0 and figures["slow"] == 0.0 and figures["agent_0_first"] == 0.0
    assert figures["least_margin"] < 0.0 and figures["arrived"] == 0.0
    # A new episode began at once.
    assert env.active().all() and env.steps.tolist() == [0, 1]


def test_who_arrives_leaves_and_the_first_is_told():
    env = DrivingVectorEnv(1, scenario="highway", n_agents=3, traffic=0, rewards={"first_reward": 5.0})
    env.reset(0)
    for agent, s in enumerate((490.0, 496.0, 494.0)):
        _put(env, agent, ("0", "1", agent), s, 20.0)
        env.fleet.target_speed[0, agent] = 20.0
    idle = _all(env, IDLE)
    step = env.step(idle)
    assert step.terminated.tolist() == [[False, True, False]] and step.ending is None
    assert env.active().tolist() == [[True, False, True]]
    assert step.reward[0, 1] > 6.0 > 1.0 > step.reward[0, 0]
    assert step.info["arrived_reward"][0].tolist() == step.info["first_reward"][0].tolist() == [0, 1, 0]
    step = env.step(idle)
    # Whoever has left is nobody's neighbour, not seen, and gets nothing.
    assert 1 not in step.observation.edges and step.reward[0, 1] == 0.0
    assert (step.observation.values["vehicle"][0, 1] == 0.0).all()
    assert step.info["arrived_reward"][0].tolist() == [0, 0, 1] and step.info["first_reward"].max() == 0.0
    step = env.step(idle)
    figures = {name: float(value[0]) for name, value in step.ending.metrics.items()}
    assert figures["agent_1_first"] == figures["arrived"] == 1.0
    assert figures["crash"] == figures["slow"] == figures["agent_0_first"] == figures["agent_2_first"] == 0.0
    np.testing.assert_allclose(figures["mean_speed"], 20.0, rtol=1e-6)
    assert not step.truncated.any()


def test_out_of_time_is_slow():
    env = DrivingVectorEnv(2, scenario="intersection", traffic=0, time_limit=5)
    env.reset(0)
    for t in range(5):
        step = env.step(_all(env, SLOWER))
        assert step.truncated.all() == (t == 4) and not step.terminated.any()
    assert step.ending.metrics["slow"].tolist() == [1.0, 1.0]
    assert env.steps.tolist() == [0, 0]


@pytest.mark.parametrize("scenario", ["merge", "roundabout", "intersection"])
def test_exactly_one_outcome_is_true(scenario):
    env = DrivingVectorEnv(6, scenario=scenario, n_agents=3, actions="acceleration", time_limit=50)
    env.reset(0)
    found = []
    for _ in range(50):
        step = env.step({"vehicle": np.full((6, 3, 1), 0.6, np.float32)})
        if step.ending is not None:
            metrics = step.ending.metrics
            names = ["crash", "slow", *(f"agent_{i}_first" for i in range(3))]
            found += np.stack([metrics[name] for name in names], -1).tolist()
    assert len(found) >= 6 and (np.sum(found, 1) == 1.0).all()


def test_freely_steered_agents_crash_by_leaving_the_road():
    env = DrivingVectorEnv(1, scenario="racetrack", traffic=0, costs=["collision"])
    env.reset(0)
    for _ in range(15):
        step = env.step({"vehicle": np.array([[[0.0, 0.5], [0.0, 0.0]]])})
        if step.ending is not None:
            break
    assert step.cost[0, :, 0].tolist() == [1.0, 0.0] and step.ending.metrics["crash"][0] == 1.0
    assert step.info["on_road_reward"][0].tolist() == [0.0, 1.0]


def test_accelerated_agents_leave_the_ramp_by_themselves():
    env = DrivingVectorEnv(4, scenario="merge", traffic=0, actions="acceleration")
    env.reset(0)
    wanted, arrived = np.zeros((4, 2, 1), np.float32), []
    for t in range(101):
        wanted[:, 1] = -0.4 if t < 15 else 0.0  # The agent on the ramp lets the other go first.
        step = env.step({"vehicle": wanted})
        if step.ending is not None:
            arrived += step.ending.metrics["agent_0_first"].tolist()
    assert arrived[:4] == [1.0] * 4


def test_followers_observe_what_the_leader_is_about_to_do():
    env = DrivingVectorEnv(2, scenario="merge", n_agents=3, leader_follower=True, traffic=0)
    assert [(kind.name, kind.agents) for kind in env.kinds] == [("leader", (0,)), ("follower", (1, 2))]
    leader, follower = env.kinds
    assert follower.observation_size == leader.observation_size + 5
    first = env.reset(0)
    told = first.values["follower"][..., -5:]
    assert (told == np.eye(5)[IDLE]).all()
    speed = env.fleet.target_speed.copy()
    chosen = {"leader": np.array([[SLOWER], [LEFT]]), "follower": np.full((2, 2), IDLE)}
    step = env.step(chosen)
    np.testing.assert_array_equal(step.observation.values["follower"][:, 0, -5:], np.eye(5)[[SLOWER, LEFT]])
    # Announced, not yet done.
    np.testing.assert_array_equal(env.fleet.target_speed[:, 0], speed[:, 0])
    lane = env.fleet.target[:, 0].copy()
    env.step({"leader": np.full((2, 1), IDLE), "follower": np.full((2, 2), IDLE)})
    assert env.fleet.target_speed[0, 0] < speed[0, 0] and env.fleet.target[1, 0] == lane[1] - 1


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_shifts_change_what_they_say_and_keep_spaces(scenario):
    plain = DrivingVectorEnv(1, scenario=scenario)
    changes = {
        name: DrivingVectorEnv(1, scenario=scenario, shift=name, n_agents=4) for name in shifts(scenario)
    }
    assert set(changes) == {"dense", "slippery", "layout"}
    for env in changes.values():
        env.reset(0)
        assert env.kinds[0].observation_space == plain.kinds[0].observation_space
        assert env.kinds[0].action_space == plain.kinds[0].action_space
        assert (env.moment.danger.margin > 0.0).all()
    assert changes["dense"].config.traffic == 2 * plain.config.traffic
    assert changes["dense"].config.aggressiveness > 0 and changes["slippery"].config.braking == 3.0
    roads = [env.network.lanes.length.tolist() for env in (plain, changes["layout"])]
    assert roads[0] != roads[1]
    # What is set goes before the shift.
    assert DrivingVectorEnv(1, scenario=scenario, shift="dense", traffic=1).config.traffic == 1


def test_traffic_enters_and_leaves_the_intersection():
    env = DrivingVectorEnv(8, scenario="intersection", traffic=8, actions="acceleration", time_limit=1000)
    env.reset(0)
    env.fleet.crashed[:] = False
    counts = []
    for _ in range(120):
        # Agents stand still far from the crossing.
        env.fleet.speed[:, :2] = 0.0
        env.step({"vehicle": np.zeros((8, 2, 1), np.float32)})
        counts.append(env.fleet.present[:, 2:].sum(1))
    counts = np.array(counts)
    change = np.diff(counts, axis=0)
    assert (change > 0).any() and (change < 0).any() and counts.max() <= 11


def test_more_traffic_than_there_is_room_for_is_refused():
    with pytest.raises(SafeMARLError, match=r"traffic=99 is more than there is room for; at most \d+ here"):
        DrivingVectorEnv(1, scenario="merge", traffic=99)
