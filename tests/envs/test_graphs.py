from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.envs.graphs import graph_hops
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.neighbourhoods import UNREACHABLE

AGENTS = ("a", "b", "c", "d")


def test_complete_and_chain():
    np.testing.assert_array_equal(graph_hops("complete", AGENTS), 1 - np.eye(4))
    chain = np.abs(np.arange(4)[:, None] - np.arange(4))
    np.testing.assert_array_equal(graph_hops("chain", AGENTS), chain)
    assert graph_hops(None, AGENTS) is None


def test_pairs_of_names_of_indices_and_of_a_function():
    star = np.array(
        [[0, 1, 1, UNREACHABLE], [1, 0, 2, UNREACHABLE], [1, 2, 0, UNREACHABLE], [UNREACHABLE] * 3 + [0]]
    )
    for description in (
        [["a", "b"], ["a", "c"]],
        [(0, 1), (0, 2)],
        lambda agents: [(agents[0], x) for x in "bc"],
    ):
        np.testing.assert_array_equal(graph_hops(description, AGENTS), star)


def test_whole_numbers_are_names_before_they_are_indices():
    hops = graph_hops([(10, 20)], (10, 20, 30))
    assert hops[0, 1] == 1 and hops[0, 2] == UNREACHABLE


@pytest.mark.parametrize("description", ["ring", [("a", "x")], [(0, 9)], 3, [("a",)]])
def test_bad_descriptions_are_refused(description):
    with pytest.raises(SafeMARLError, match="agent_graph"):
        graph_hops(description, AGENTS)
