from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.crossing.layouts import JITTER, LEAST_START_DISTANCE, make_layout
from rllib_safemarl.errors import SafeMARLError
from tests.envs.crossing import reference

LAYOUTS = ("open", "doorway", "ring")


def _actions(env, rng):
    """A lively mixture of driving to the goal and wandering."""
    return {"robot": (env.goals - env.positions + 0.5 * rng.normal(size=env.goals.shape)).astype(np.float32)}


# One robot by hand.


def _one_robot(**settings):
    """Robot 0 of two, at (-1, 0) with goal (1, 0); the other out of reach."""
    env = CrossingVectorEnv(1, n_agents=2, acceleration=2.0, **settings)
    env.reset(0)
    env.positions[0] = [[-1.0, 0.0], [50.0, 0.0]]
    env.goals[0] = [[1.0, 0.0], [50.0, 0.0]]
    env._ways[0] = [2.0, 0.0]
    return env


def test_acceleration_progress_and_time_penalty_by_hand():
    env = _one_robot()
    # 0.5 of 2 m/s² for 0.1 s: 0.1 m/s, then 0.01 m of progress, minus the penalty of 0.02.
    step = env.step({"robot": np.array([[[0.5, 0.0], [0.0, 0.0]]], np.float32)})
    np.testing.assert_allclose(env.velocities[0, 0], [0.1, 0.0])
    np.testing.assert_allclose(env.positions[0, 0], [-0.99, 0.0])
    np.testing.assert_allclose(step.reward[0], [0.01 - 0.02, 0.0], atol=1e-7)
    np.testing.assert_allclose(
        step.observation.values["robot"][0, 0], [1.99, 0.0, 0.1, 0.0, -0.99, 0.0], rtol=1e-6
    )
    np.testing.assert_allclose(step.observation.positions[0, 0], [-0.99, 0.0], rtol=1e-6)


def test_actions_are_clipped_and_speed_keeps_its_direction_at_the_top():
    env = _one_robot()
    env.velocities[0, 0] = [0.6, 0.8]
    # (3, 0) counts as (1, 0): velocity (0.8, 0.8) before it is scaled to 1 m/s.
    env.step({"robot": np.array([[[3.0, 0.0], [0.0, 0.0]]], np.float32)})
    np.testing.assert_allclose(env.velocities[0, 0], np.array([0.8, 0.8]) / np.hypot(0.8, 0.8))
    np.testing.assert_allclose(env.positions[0, 0], [-1.0 + 0.1 / np.sqrt(2), 0.1 / np.sqrt(2)])


def test_speed_cost_takes_the_speed_after_the_clamp():
    env = _one_robot(costs=["separation", "speed"], speed_limit=1.0)
    env.velocities[0, 0] = [0.6, 0.8]
    step = env.step({"robot": np.array([[[1.0, 1.0], [0.0, 0.0]]], np.float32)})
    np.testing.assert_array_equal(step.cost[0, 0], [0.0, 0.0])
    env = _one_robot(costs=["speed"], speed_limit=0.7)
    env.velocities[0, 0] = [0.6, 0.0]
    step = env.step({"robot": np.array([[[0.4, 0.0], [0.0, 0.0]]], np.float32)})
    np.testing.assert_array_equal(step.cost[0], [[0.0], [0.0]])
    step = env.step({"robot": np.array([[[0.4, 0.0], [0.0, 0.0]]], np.float32)})
    np.testing.assert_array_equal(step.cost[0], [[1.0], [0.0]])


def test_separation_cost_is_one_in_danger():
    env = _one_robot()
    env.positions[0, 1] = [-0.5, 0.0]
    env.velocities[0] = [[1.0, 0.0], [-1.0, 0.0]]
    # They meet at 0.3 m, closing at 2 m/s: 0.3 - 0.2 - 4 / 8 - 0.05 = -0.45.
    step = env.step({"robot": np.zeros((1, 2, 2), np.float32)})
    np.testing.assert_allclose(step.info["margin"], [[-0.45, -0.45]], rtol=1e-5)
    np.testing.assert_array_equal(step.cost, [[[1.0], [1.0]]])


def test_way_through_the_door_counts_as_progress():
    env = CrossingVectorEnv(1, n_agents=2, layout="doorway", time_penalty=0.0)
    env.reset(0)
    env.positions[0, 0], env.goals[0, 0] = [-0.3, 0.4], [0.3, -0.4]
    env._ways[0] = env._free_way(env.positions[0], env.goals[0], np.zeros(2))
    before = env._ways[0, 0]
    np.testing.assert_allclose(before, 1.0)  # 0.5 m to the door and 0.5 m beyond it.
    env.velocities[0, 0] = [0.6, -0.8]
    reward = env.step({"robot": np.zeros((1, 2, 2), np.float32)}).reward[0, 0]
    np.testing.assert_allclose(reward, 0.1, rtol=1e-6)


# The whole scene against a second implementation.


@pytest.mark.parametrize("layout", ["open", "ring"])
def test_steps_equal_an_independent_implementation(layout):
    env = CrossingVectorEnv(3, n_agents=5, layout=layout, max_degree=2, acceleration=2.0)
    env.reset(4)
    rng = np.random.default_rng(0)
    p, v, goals = env.positions.copy(), env.velocities.copy(), env.goals.copy()
    for _ in range(25):
        actions = _actions(env, rng)
        step = env.step(actions)
        distance = np.linalg.norm(goals - p, axis=-1)
        for n in range(3):
            for i in range(5):
                v[n, i] += 2.0 * 0.1 * np.clip(actions["robot"][n, i].astype(float), -1, 1)
                speed = np.linalg.norm(v[n, i])
                if speed > 1.0:
                    v[n, i] /= speed
                p[n, i] += 0.1 * v[n, i]
        after = np.linalg.norm(goals - p, axis=-1)
        np.testing.assert_allclose(env.positions, p, atol=1e-12)
        np.testing.assert_allclose(step.reward, distance - after - 0.02 * (after > 0.15), atol=1e-6)
        margin = reference.margins(p, v, 0.1, 2.0, 0.05, env._reach)
        np.testing.assert_allclose(step.info["margin"], margin, atol=1e-5)
        np.testing.assert_array_equal(step.cost[..., 0], step.info["margin"] < 0)
        np.testing.assert_array_equal(step.observation.edges, reference.edges(p, 1.5, 2))


# Episodes.


def test_time_limit_truncates_and_starts_the_next_episode_in_the_same_step():
    env = CrossingVectorEnv(2, n_agents=3, time_limit=4)
    first = env.reset(9).values["robot"].copy()
    rng = np.random.default_rng(0)
    for t in range(4):
        step = env.step(_actions(env, rng))
        assert step.truncated.all() == (t == 3) and not step.terminated.any() and step.active.all()
    assert step.ending is not None
    np.testing.assert_array_equal(step.ending.copies, [0, 1])
    final, following = step.ending.observation, step.observation
    assert np.abs(final.values["robot"][..., 2:4]).max() > 0.1
    assert (following.values["robot"][..., 2:4] == 0).all()
    assert not np.array_equal(following.values["robot"], first)
    assert final.edges.shape == following.edges.shape and final.positions.shape == (2, 3, 2)
    np.testing.assert_allclose(
        final.positions, final.values["robot"][..., 4:] + env.layout.centres, atol=1e-6
    )
    assert set(step.ending.metrics) == {"goal_reached", "least_margin"}


def test_episode_metrics_by_hand():
    env = _one_robot(time_limit=2)
    env.positions[0, 0], env._ways[0] = [0.9, 0.0], [0.1, 0.0]
    for _ in range(2):
        step = env.step({"robot": np.zeros((1, 2, 2), np.float32)})
    np.testing.assert_allclose(step.ending.metrics["goal_reached"], [1.0])
    np.testing.assert_allclose(step.ending.metrics["least_margin"], [env._reach - 0.25])


def _run(copies, seed, steps, drive_seed=5, **settings):
    env = CrossingVectorEnv(copies, **settings)
    columns = [env.reset(seed).values["robot"].copy()]
    for t in range(steps):
        # Actions that depend on the copy's own state alone.
        push = np.sin(drive_seed + t + 3.0 * env.positions) + (env.goals - env.positions)
        step = env.step({"robot": push.astype(np.float32)})
        columns += [step.observation.values["robot"].copy(), step.reward, step.cost, step.info["margin"]]
    return columns


@pytest.mark.parametrize(("layout", "agents"), [("open", 4), ("doorway", 6), ("ring", 5), ("open", 24)])
def test_a_copy_is_the_same_among_few_and_many(layout, agents):
    settings = {"layout": layout, "n_agents": agents, "time_limit": 20}
    few, many, again = (_run(n, 3, 50, **settings) for n in (2, 5, 5))
    other = _run(5, 4, 1, **settings)
    for a, b, c in zip(few, many, again, strict=True):
        np.testing.assert_array_equal(a, b[:2])
        np.testing.assert_array_equal(b, c)
    assert not np.array_equal(other[0], many[0])
    assert not np.array_equal(many[0][0], many[0][1])


@pytest.mark.parametrize(("layout", "agents"), [("open", 4), ("doorway", 5), ("ring", 20)])
def test_state_mid_episode_continues_exactly(layout, agents):
    settings = {"layout": layout, "n_agents": agents, "time_limit": 30}
    env = CrossingVectorEnv(3, **settings)
    env.reset(1)
    rng = np.random.default_rng(2)
    for _ in range(13):
        env.step(_actions(env, rng))
    state, rng_state = env.get_state(), rng.bit_generator.state

    def go_on(env):
        rng.bit_generator.state = rng_state
        return [env.step(_actions(env, rng)) for _ in range(40)]

    expected = go_on(env)
    other = CrossingVectorEnv(3, **settings)
    other.reset(77)
    for fresh in (other, env):
        fresh.set_state(state)
        for a, b in zip(expected, go_on(fresh), strict=True):
            for name in ("reward", "cost", "truncated"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            np.testing.assert_array_equal(a.observation.values["robot"], b.observation.values["robot"])
            np.testing.assert_array_equal(a.observation.edges, b.observation.edges)
            if a.ending is not None:
                for name, value in a.ending.metrics.items():
                    np.testing.assert_array_equal(value, b.ending.metrics[name])


# Layouts.


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("agents", [2, 3, 4, 5, 8, 13, 16, 17, 33, 100, 1000])
def test_no_episode_starts_in_danger(layout, agents):
    copies = max(1, 2000 // agents)
    env = CrossingVectorEnv(copies, n_agents=agents, layout=layout, time_limit=2)
    env.reset(agents)
    for _ in range(3):
        pairs = env._search(env.positions)
        if len(pairs.near):
            assert np.sqrt(pairs.squared[pairs.near].min()) >= LEAST_START_DISTANCE - 1e-9
        for _ in range(2):
            step = env.step({"robot": np.zeros((copies, agents, 2), np.float32)})
            assert step.info["margin"].min() >= 0.0
            assert step.cost.sum() == 0.0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("agents", [2, 3, 5, 9, 31, 1000])
def test_robots_at_their_goals_are_out_of_danger(layout, agents):
    env = CrossingVectorEnv(4, n_agents=agents, layout=layout)
    env.reset(0)
    env.positions = env.goals.copy()
    step = env.step({"robot": np.zeros((4, agents, 2), np.float32)})
    assert step.info["margin"].min() >= 0.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_starts_are_jittered_around_their_places_and_rings_are_turned(layout):
    env = CrossingVectorEnv(200, n_agents=6, layout=layout)
    env.reset(0)
    nominal = make_layout(layout, 6)
    if layout == "ring":
        angle = np.arctan2(env.positions[:, 0, 1], env.positions[:, 0, 0])
        assert np.histogram(angle, 4, (-np.pi, np.pi))[0].min() > 20
        radius = np.linalg.norm(env.positions, axis=-1) - np.linalg.norm(nominal.starts, axis=-1)
        assert np.abs(radius).max() <= np.sqrt(2) * JITTER
    else:
        for drawn, place in ((env.positions, nominal.starts), (env.goals, nominal.goals)):
            offset = drawn - place
            assert np.abs(offset).max() <= JITTER
            np.testing.assert_allclose(offset.std((0, 1)), JITTER / np.sqrt(3), rtol=0.1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("agents", [2, 7, 40])
def test_observations_stay_within_the_declared_space(layout, agents):
    env = CrossingVectorEnv(3, n_agents=agents, layout=layout)
    space = env.kinds[0].observation_space
    rows = [env.reset(0).values["robot"]]
    away = np.sign(env.positions - env.positions.mean(1, keepdims=True))
    rows += [env.step({"robot": away}).observation.values["robot"] for _ in range(env.time_limit)]
    for row in rows:
        assert space.contains(row.reshape(-1, 6)[0])
        assert (np.abs(row) <= space.high).all()


def test_static_graph_joins_near_starts_and_needs_no_edges():
    env = CrossingVectorEnv(1, n_agents=8, graph="static")
    hops = env.graph().hops
    starts = env.layout.starts
    near = np.linalg.norm(starts[:, None] - starts[None], axis=-1) <= 2.0 + 1e-9
    np.testing.assert_array_equal(hops == 1, near & ~np.eye(8, dtype=bool))
    assert hops.max() < 8
    assert env.reset(0).edges is None


# Bad settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_agent": 4}, "no env_config key 'n_agent'. Did you mean 'n_agents'?"),
        ({"n_agents": 1}, "n_agents=1 must be a whole number, 2 to 1000"),
        ({"n_agents": 4.0}, "n_agents=4.0 must be"),
        ({"layout": "rings"}, "layout='rings' is not one of open, doorway, ring. Did you mean 'ring'?"),
        ({"costs": "separation"}, "costs must be a list"),
        ({"costs": ["speeed"]}, "Did you mean 'speed'?"),
        ({"graph": "fixed"}, "graph='fixed' is not one of moving, static"),
        ({"max_degree": 0}, "max_degree=0 must be a whole number of at least 1"),
        ({"max_degree": None}, "max_degree=None must be"),
        ({"time_limit": 0}, "time_limit=0 must be"),
        ({"top_speed": 0}, "top_speed=0 must be a number above 0"),
        ({"clearance": -0.1}, "clearance=-0.1 must be a number of at least 0"),
        ({"acceleration": "fast"}, "acceleration='fast' must be a number"),
        ({"radius": 0.2}, "radius=0.2 must be small enough that 2 radius + clearance <= 0.38 m"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(SafeMARLError) as error:
        CrossingVectorEnv(1, **settings)
    assert message in str(error.value) and "\n" not in str(error.value)
