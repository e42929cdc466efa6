from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.envs.crossing.danger import margins, nearest_edges
from rllib_safemarl.envs.crossing.neighbour_search import ALL_PAIRS_ROBOTS, NeighbourSearch
from rllib_safemarl.errors import SafeMARLError
from tests.envs.crossing import reference

RADIUS, BRAKING, CLEARANCE, REACH = 0.1, 2.0, 0.05, 1.5


def _margins(positions, velocities, reach=REACH):
    positions, velocities = np.array([positions], float), np.array([velocities], float)
    pairs = NeighbourSearch(1, positions.shape[1], reach)(positions)
    return margins(pairs, velocities, RADIUS, BRAKING, CLEARANCE, reach)[0]


def test_two_robots_head_on_by_hand():
    # 1 m apart, closing at 0.6 + 0.4 = 1 m/s: 1 - 0.2 - 1² / (2 · 4) - 0.05.
    margin = _margins([[0, 0], [1, 0]], [[0.6, 0], [-0.4, 0]])
    np.testing.assert_allclose(margin, 0.625, rtol=1e-6)


def test_receding_and_sideways_motion_costs_no_margin():
    # Only the closing part of the relative velocity counts.
    np.testing.assert_allclose(_margins([[0, 0], [1, 0]], [[-0.6, 0], [0.4, 0]]), 0.75, rtol=1e-6)
    np.testing.assert_allclose(_margins([[0, 0], [1, 0]], [[0, 1.0], [0, -1.0]]), 0.75, rtol=1e-6)


def test_oblique_approach_by_hand():
    # Gap (0.6, 0.8), length 1; relative velocity (-1, 0): closing 0.6; 1 - 0.2 - 0.36 / 8 - 0.05.
    np.testing.assert_allclose(_margins([[0, 0], [0.6, 0.8]], [[1, 0], [0, 0]]), 0.705, rtol=1e-6)


def test_three_robots_take_their_worst_pair():
    # 0 and 1 at rest 0.5 m apart (margin 0.25); 2 runs at 1 from 0.4 m away at 0.8 m/s:
    # 0.4 - 0.2 - 0.64 / 8 - 0.05 = 0.07; 2 and 0, 0.9 m apart: 0.9 - 0.2 - 0.08 - 0.05 = 0.57.
    margin = _margins([[0, 0], [0.5, 0], [0.9, 0]], [[0, 0], [0, 0], [-0.8, 0]])
    np.testing.assert_allclose(margin, [0.25, 0.07, 0.07], rtol=1e-5)


def test_overlapping_robots_are_in_danger_and_nobody_in_reach_is_none():
    assert (_margins([[0, 0], [0, 0]], [[1, 0], [-1, 0]]) < 0).all()
    np.testing.assert_allclose(_margins([[0, 0], [5, 0]], [[1, 0], [-1, 0]]), REACH - 0.25, rtol=1e-6)


@pytest.mark.parametrize(("copies", "robots"), [(3, 2), (3, 5), (2, 16), (2, 17), (3, 40)])
def test_all_pairs_and_grid_equal_brute_force_along_a_path(copies, robots):
    rng = np.random.default_rng(robots)
    spread = 0.5 * np.sqrt(robots)
    positions = rng.uniform(-spread, spread, (copies, robots, 2)) + np.array([100.0, -3.0])
    search = NeighbourSearch(copies, robots, REACH)
    degree = min(4, robots - 1)
    for _ in range(12):
        velocities = rng.normal(size=positions.shape)
        pairs = search(positions)
        ours = margins(pairs, velocities, RADIUS, BRAKING, CLEARANCE, REACH)
        theirs = reference.margins(positions, velocities, RADIUS, BRAKING, CLEARANCE, REACH)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        for reach in (REACH, 0.6):
            ours = nearest_edges(pairs, copies, robots, reach, degree)
            np.testing.assert_array_equal(ours, reference.edges(positions, reach, degree))
        positions = positions + 0.1 * velocities


def test_grid_equals_all_pairs_bit_for_bit():
    # The same 12 robots, alone and with 20 others out of everybody's reach.
    rng = np.random.default_rng(0)
    few = rng.uniform(-1.5, 1.5, (2, 12, 2))
    far = np.stack([100.0 + 10.0 * np.arange(20), np.full(20, 50.0)], -1)
    many = np.concatenate([few, np.broadcast_to(far, (2, 20, 2))], 1)
    assert few.shape[1] <= ALL_PAIRS_ROBOTS < many.shape[1]
    velocities = rng.normal(size=many.shape)
    results = []
    for positions, moving in ((few, velocities[:, :12]), (many, velocities)):
        pairs = NeighbourSearch(2, positions.shape[1], REACH)(positions)
        margin = margins(pairs, moving, RADIUS, BRAKING, CLEARANCE, REACH)
        edges = nearest_edges(pairs, 2, positions.shape[1], REACH, 8)
        results.append((margin[:, :12], edges[:, :12]))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("others", [8, 30])
def test_of_equally_near_robots_the_lower_index_is_sensed(others):
    # Robot 0 amid a square grid: four at 1 m, four at √2 m, the rest far away.
    square = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    square += [(100 + 5 * k, 0) for k in range(others - 8)]
    positions = np.array([[(0, 0), *square]], float)
    edges = nearest_edges(NeighbourSearch(1, others + 1, 1.5)(positions), 1, others + 1, 1.5, 6)
    # Indices 1, 3, 5, 7 are 1 m away; of those at √2 m the lowest two, 2 and 4.
    np.testing.assert_array_equal(edges[0, 0], [1, 2, 3, 4, 5, 7])


def test_candidates_follow_teleports():
    search = NeighbourSearch(1, 20, REACH)
    apart = np.stack([10.0 * np.arange(20), np.zeros(20)], -1)[None]
    assert len(search(apart).near) == 0
    together = 0.005 * apart
    assert len(search(together).near) == 190
    assert len(search(apart).near) == 0


def test_positions_that_are_not_finite_are_refused():
    positions = np.zeros((1, 20, 2))
    positions[0, 3, 1] = np.nan
    with pytest.raises(SafeMARLError, match="not finite"):
        NeighbourSearch(1, 20, REACH)(positions)
