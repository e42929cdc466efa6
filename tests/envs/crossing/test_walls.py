from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.crossing.layouts import TILE_SPACING
from rllib_safemarl.envs.crossing.walls import DOOR_HALF_WIDTH, stop_at_walls

RADIUS = 0.1
SLIT = DOOR_HALF_WIDTH - RADIUS
TILES = (3, 2)


def _walk(before, moved):
    before, moved = np.array([[before]], float), np.array([[moved]], float)
    velocities = moved - before
    stop_at_walls(before, moved, velocities, RADIUS, TILES)
    return moved[0, 0], velocities[0, 0]


def test_a_wall_stops_the_robot_a_radius_before_it_and_lets_it_slide():
    place, velocity = _walk([-0.15, 0.8], [-0.05, 0.85])
    np.testing.assert_allclose(place, [-0.1, 0.85])
    np.testing.assert_allclose(velocity, [0.0, 0.05])


def test_the_door_lets_the_robot_through():
    place, velocity = _walk([-0.05, 0.1], [0.05, 0.12])
    np.testing.assert_allclose(place, [0.05, 0.12])
    np.testing.assert_allclose(velocity, [0.1, 0.02])


def test_a_doors_edge_holds_the_robot_inside_the_slit():
    place, velocity = _walk([0.0, 0.12], [0.03, 0.2])
    np.testing.assert_allclose(place, [0.03, SLIT])
    np.testing.assert_allclose(velocity, [0.03, 0.0], atol=1e-12)


def test_a_robot_that_comes_in_beside_the_door_is_stopped_even_if_it_ends_within_the_slit():
    # It would come within a radius of the wall at y = 0.3 - 0.1 = 0.2, outside the slit of ± 0.15.
    place, _ = _walk([0.15, 0.25], [0.05, 0.15])
    np.testing.assert_allclose(place, [0.1, 0.15])


def test_walls_and_doors_repeat_with_the_tiles_up_to_rounding():
    # 2 · 2.8 + 0.1 - 2 · 2.8 < 0.1 in floating point; such a robot must not be taken for one in a door.
    x, y = 2 * TILE_SPACING, TILE_SPACING + 1.0
    place, _ = _walk([x + 0.15, y], [x + 0.05, y])
    np.testing.assert_allclose(place, [x + RADIUS, y])
    again, velocity = _walk(place, place + np.array([-0.05, 0.02]))
    np.testing.assert_allclose(again, [x + RADIUS, y + 0.02])
    away, velocity = _walk(again, again + np.array([0.05, 0.0]))
    np.testing.assert_allclose(away, [x + RADIUS + 0.05, y + 0.02])
    np.testing.assert_allclose(velocity, [0.05, 0.0], atol=1e-12)


def test_beyond_the_last_wall_and_row_nothing_stands_in_the_way_but_walls_go_on():
    place, _ = _walk([3 * TILE_SPACING - 0.05, 0.9], [3 * TILE_SPACING + 0.05, 0.9])
    np.testing.assert_allclose(place, [3 * TILE_SPACING + 0.05, 0.9])
    # Rows end at 1, so that the wall has no door at y = 2 · 2.8.
    place, _ = _walk([0.15, 2 * TILE_SPACING], [0.05, 2 * TILE_SPACING])
    np.testing.assert_allclose(place, [0.1, 2 * TILE_SPACING])


def _check_step(before, after, walls):
    """No disc overlaps a wall, no path crosses one outside its door."""
    for wall, doors in walls:
        x, x_before = after[..., 0] - wall, before[..., 0] - wall
        y = np.abs(after[..., 1:] - doors).min(-1)
        y_before = np.abs(before[..., 1:] - doors).min(-1)
        assert (y[np.abs(x) < RADIUS - 1e-9] <= SLIT + 1e-9).all()
        crossed = x * x_before < 0
        assert (y[crossed] <= DOOR_HALF_WIDTH).all() and (y_before[crossed] <= DOOR_HALF_WIDTH).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    agents=st.sampled_from([4, 9, 20]),
    step_seconds=st.sampled_from([0.1, 0.3]),
    push=st.floats(0.1, 1.0),
)
def test_no_robot_ever_passes_a_wall_outside_its_door(seed, agents, step_seconds, push):
    env = CrossingVectorEnv(8, n_agents=agents, layout="doorway", step_seconds=step_seconds, time_limit=1000)
    env.reset(seed)
    columns, rows = env.layout.tiles
    walls = [(c * TILE_SPACING, np.arange(rows) * TILE_SPACING) for c in range(columns)]
    rng = np.random.default_rng(seed)
    drift = rng.uniform(-1, 1, (8, agents, 2))
    for k in range(120):
        if k % 20 == 0:
            drift = rng.uniform(-1, 1, (8, agents, 2))
        before = env.positions.copy()
        env.step({"robot": drift + push * rng.normal(size=drift.shape)})
        _check_step(before, env.positions, walls)


def test_random_robots_do_pass_doors():
    # Otherwise the property above would hold of walls without doors.
    env = CrossingVectorEnv(16, n_agents=4, layout="doorway")
    env.reset(0)
    sides = np.sign(env.positions[..., 0])
    for _ in range(40):
        target = np.where(np.abs(env.positions[..., 1:]) < 0.1, env.goals, [0.0, 0.0])
        env.step({"robot": 3.0 * (target - env.positions) - 2.0 * env.velocities})
    assert (np.sign(env.positions[..., 0]) != sides).mean() > 0.5


@pytest.mark.parametrize("agents", [2, 3, 4, 7, 50])
def test_starts_and_goals_are_on_either_side_of_the_door(agents):
    env = CrossingVectorEnv(4, n_agents=agents, layout="doorway")
    env.reset(1)
    here = (env.positions - env.layout.centres)[..., 0]
    there = (env.goals - env.layout.centres)[..., 0]
    assert (here * there < 0).all()
    assert (np.abs(here) > RADIUS).all() and (np.abs(there) > RADIUS).all()
