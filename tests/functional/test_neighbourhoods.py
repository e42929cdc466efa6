"""κ-hop neighbourhoods against graphs worked out by hand, and against breadth-first search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path

from rllib_safemarl.functional.neighbourhoods import (
    EMPTY,
    UNREACHABLE,
    complete_hops,
    hop_distances,
    moving_hops,
    moving_neighbours,
    static_neighbours,
)

CHAIN = [(0, 1), (1, 2), (2, 3)]


def test_hops_of_a_chain_and_of_what_no_path_joins():
    hops = hop_distances(CHAIN, 5)
    assert hops[0].tolist() == [0, 1, 2, 3, UNREACHABLE]
    assert (hops == hops.T).all()
    assert hops[4].tolist() == [UNREACHABLE] * 4 + [0]


def test_edges_to_unknown_agents_are_refused():
    with pytest.raises(ValueError, match=r"edge \(0, 7\)"):
        hop_distances([(0, 7)], 3)


def test_slots_are_ordered_by_hops_then_index():
    near = static_neighbours(hop_distances(CHAIN, 4), kappa=2)
    assert near.index.tolist() == [[1, 2, EMPTY], [0, 2, 3], [1, 3, 0], [2, 1, EMPTY]]
    assert near.hops.tolist() == [[1, 2, 0], [1, 1, 2], [1, 1, 2], [1, 2, 0]]


def test_max_neighbours_keeps_the_nearest_and_leaves_the_global_view_alone():
    hops = hop_distances([*CHAIN, (0, 3)], 5)
    assert static_neighbours(hops, 2, max_neighbours=2).index[0].tolist() == [1, 3]
    everyone = static_neighbours(hops, float("inf"), max_neighbours=2)
    assert everyone.index[0].tolist() == [1, 3, 2, 4]
    assert everyone.hops[0].tolist() == [1, 1, 2, UNREACHABLE]


def test_radius_zero_has_no_slots():
    assert static_neighbours(complete_hops(4), 0).slots == 0
    assert moving_neighbours(np.zeros((2, 4, 3), np.int32), 0, 8).slots == 0


def test_moving_neighbours_of_two_hops_by_hand():
    # Copy 0 is the chain 0-1-2-3, copy 1 has the single edge 0-3.
    edges = np.full((2, 4, 2), EMPTY, np.int32)
    edges[0] = [[1, EMPTY], [0, 2], [1, 3], [2, EMPTY]]
    edges[1, 0, 0], edges[1, 3, 0] = 3, 0
    near = moving_neighbours(edges, 2, max_neighbours=3)
    assert near.index[0].tolist() == [[1, 2, -1], [0, 2, 3], [1, 3, 0], [2, 1, -1]]
    assert near.hops[0].tolist() == [[1, 2, 0], [1, 1, 2], [1, 1, 2], [1, 2, 0]]
    assert near.index[1].tolist() == [[3, -1, -1], [-1] * 3, [-1] * 3, [0, -1, -1]]


@pytest.mark.parametrize("kappa", [1, 2, 3])
def test_no_rows_give_no_rows(kappa):
    near = moving_neighbours(np.zeros((0, 4, 3), np.int32), kappa, 8)
    assert near.index.shape[:2] == (0, 4)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_moving_and_static_neighbours_agree_on_any_graph(data):
    agents = data.draw(st.integers(2, 7))
    pairs = [(i, j) for i in range(agents) for j in range(i)]
    chosen = [pair for pair in pairs if data.draw(st.booleans())]
    kappa = data.draw(st.integers(1, 4))
    edges = np.full((1, agents, agents), EMPTY, np.int32)
    for i in range(agents):
        ends = sorted({a + b - i for a, b in chosen if i in (a, b)})
        edges[0, i, : len(ends)] = ends
    fixed = static_neighbours(hop_distances(chosen, agents), kappa)
    moving = moving_neighbours(edges, kappa, agents)
    slots = max(fixed.slots, moving.slots)

    def padded(array, fill):
        return np.pad(array, ((0, 0), (0, slots - array.shape[-1])), constant_values=fill)

    np.testing.assert_array_equal(padded(moving.index[0], EMPTY), padded(fixed.index, EMPTY))
    np.testing.assert_array_equal(padded(moving.hops[0], 0), padded(fixed.hops, 0))


def test_hops_of_moving_graphs_are_those_of_scipy():
    random = np.random.default_rng(0)
    joined = random.random((5, 4, 7, 7)) < 0.15
    edges = np.where(joined, np.arange(7), EMPTY).astype(np.int32)
    hops = moving_hops(edges)
    expected = np.array([[shortest_path(graph, unweighted=True) for graph in row] for row in joined])
    np.testing.assert_array_equal(hops, np.where(np.isinf(expected), UNREACHABLE, expected))
    assert (hops == UNREACHABLE).any() and hops[hops < UNREACHABLE].max() >= 4


def test_slots_of_many_graphs_are_those_of_each():
    random = np.random.default_rng(1)
    hops = moving_hops(np.where(random.random((3, 5, 5)) < 0.4, np.arange(5), EMPTY).astype(np.int32))
    together = static_neighbours(hops, float("inf"))
    for index, graph in zip(together.index, hops, strict=True):
        np.testing.assert_array_equal(index, static_neighbours(graph, float("inf")).index)
