"""Views against slots written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.functional.neighbourhoods import EMPTY, complete_hops, hop_distances
from rllib_safemarl.functional.views import ViewBuilder, ViewLayout


def _columns(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_one_kind_on_a_chain_by_hand():
    views = ViewBuilder({"robot": (np.arange(3), 2)}, 1, 8, hop_distances([(0, 1), (1, 2)], 3))
    own = _columns(1, 3, 2)  # [[1, 2], [3, 4], [5, 6]]
    built = views({"robot": own}, np.ones((1, 3), bool))["robot"]
    assert views.layouts["robot"].size == 2 + 2 * 4
    nobody = [0, 0, 0, 0]
    # A slot is [observation, present, hops / (1 + hops)].
    assert built[0, 0].tolist() == [1, 2, 3, 4, 1, 0.5, *nobody]
    assert built[0, 1].tolist() == [3, 4, 1, 2, 1, 0.5, 5, 6, 1, 0.5]
    assert built[0, 2].tolist() == [5, 6, 3, 4, 1, 0.5, *nobody]


def test_dead_neighbours_leave_their_slots_empty_but_in_place():
    views = ViewBuilder({"robot": (np.arange(3), 1)}, 1, 8, complete_hops(3))
    alive = np.array([[True, False, True]])
    built = views({"robot": _columns(1, 3, 1)}, alive)["robot"]
    assert built[0, 0].tolist() == [1, 0, 0, 0, 3, 1, 0.5]


def test_kinds_of_different_sizes_are_padded_and_marked():
    kinds = {"small": (np.array([0, 2]), 1), "large": (np.array([1]), 2)}
    views = ViewBuilder(kinds, 1, 8, complete_hops(3))
    values = {"small": np.array([[[1.0], [3.0]]], np.float32), "large": np.array([[[7.0, 8.0]]], np.float32)}
    built = views(values, np.ones((1, 3), bool))
    # Agent 0 (small) sees agent 1 (large) and agent 2 (small, padded by a zero).
    assert built["small"][0, 0].tolist() == [1, 7, 8, 1, 0.5, 0, 1, 3, 0, 1, 0.5, 1, 0]
    assert built["large"][0, 0].tolist() == [7, 8, 1, 0, 1, 0.5, 1, 0, 3, 0, 1, 0.5, 1, 0]


def test_positions_are_relative_to_the_viewer():
    views = ViewBuilder({"robot": (np.arange(2), 1)}, 1, 8, complete_hops(2), position_size=2)
    positions = np.array([[[1.0, 1.0], [4.0, -1.0]]], np.float32)
    built = views({"robot": _columns(1, 2, 1)}, np.ones((1, 2), bool), positions)["robot"]
    assert built[0, 0].tolist() == [1, 2, 3, -2, 1, 0.5]
    assert built[0, 1].tolist() == [2, 1, -3, 2, 1, 0.5]


def test_moving_edges_choose_the_slots_row_by_row():
    views = ViewBuilder({"robot": (np.arange(3), 1)}, 1, 8, None, degree=2)
    edges = np.array([[[1, EMPTY], [0, 2], [1, EMPTY]], [[2, EMPTY], [EMPTY, EMPTY], [0, EMPTY]]], np.int32)
    built = views({"robot": _columns(2, 3, 1)}, np.ones((2, 3), bool), None, edges)["robot"]
    assert built[0, 1].tolist() == [2, 1, 1, 0.5, 3, 1, 0.5]
    assert built[1, 0].tolist() == [4, 6, 1, 0.5, 0, 0, 0]
    assert built[1, 1].tolist() == [5, 0, 0, 0, 0, 0, 0]


def test_leading_axes_do_not_matter():
    views = ViewBuilder({"robot": (np.arange(3), 2)}, 1, 8, complete_hops(3))
    own = _columns(4, 5, 3, 2)
    alive = np.random.default_rng(0).random((4, 5, 3)) < 0.5
    whole = views({"robot": own}, alive)["robot"]
    single = views({"robot": own[2, 3:4]}, alive[2, 3:4])["robot"]
    np.testing.assert_array_equal(whole[2, 3:4], single)


def test_radius_zero_is_the_own_observation_itself():
    views = ViewBuilder({"robot": (np.arange(3), 2)}, 0, 8, None)
    own = _columns(1, 3, 2)
    assert views({"robot": own}, np.ones((1, 3), bool))["robot"] is own


def test_infinite_radius_sees_everyone_on_any_graph():
    views = ViewBuilder({"robot": (np.arange(4), 1)}, float("inf"), 1, hop_distances([(0, 1)], 4))
    built = views({"robot": _columns(1, 4, 1)}, np.ones((1, 4), bool))["robot"]
    assert built[0, 0, 1::3].tolist() == [2, 3, 4]
    assert built[0, 0, 3] == 0.5 and built[0, 0, 6] == pytest.approx(1.0, abs=1e-4)


def test_layout_sizes_by_hand():
    assert ViewLayout(6, 3, 6, 2).size == 6 + 3 * (6 + 2 + 2)
    assert ViewLayout(4, 2, 9, 0, 3).slot_size == 9 + 2 + 3


def test_too_few_slots_hold_the_nearest_of_a_moving_graph():
    kinds = {"robot": (np.arange(4), 1)}
    views = ViewBuilder(kinds, 1, 8, None, degree=3, position_size=1, slots=2)
    positions = np.array([[[0.0], [3.0], [1.0], [-2.0]]], np.float32)
    edges = np.array([[[1, 2, 3], [0, 2, EMPTY], [EMPTY] * 3, [0, EMPTY, EMPTY]]], np.int32)
    built = views({"robot": _columns(1, 4, 1)}, np.ones((1, 4), bool), positions, edges)["robot"]
    assert views.slots == 2
    # A slot is [observation, relative position, present, hops / (1 + hops)]; in rising order of agents.
    assert built[0, 0].tolist() == [1, 3, 1, 1, 0.5, 4, -2, 1, 0.5]
    assert built[0, 1].tolist() == [2, 1, -3, 1, 0.5, 3, -2, 1, 0.5]
    assert built[0, 2].tolist() == [3, *[0] * 8]
    assert built[0, 3].tolist() == [4, 1, 2, 1, 0.5, 0, 0, 0, 0]


@pytest.mark.parametrize("slots", [1, 5])
def test_slots_of_a_static_graph_may_be_given(slots):
    views = ViewBuilder({"robot": (np.arange(3), 1)}, 1, 8, complete_hops(3), slots=slots)
    built = views({"robot": _columns(1, 3, 1)}, np.ones((1, 3), bool))["robot"]
    assert built.shape == (1, 3, 1 + 3 * slots)
    assert built[0, 1, :4].tolist() == [2, 1, 1, 0.5]
    assert built[0, 1, 7:].tolist() == [0.0] * (3 * slots - 6 if slots > 2 else 0)
