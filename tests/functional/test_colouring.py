"""Colourings: proper, and with as few colours as the graphs allow where that is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rllib_safemarl.functional.colouring import colour_classes
from rllib_safemarl.functional.neighbourhoods import hop_distances


def _within(edges, agents: int, hops: int) -> np.ndarray:
    distances = hop_distances(edges, agents)
    return (distances <= hops) & (distances > 0)


def _chain(agents: int):
    return [(i, i + 1) for i in range(agents - 1)]


def _grid(width: int):
    right = [(r * width + c, r * width + c + 1) for r in range(width) for c in range(width - 1)]
    return [*right, *((r * width + c, (r + 1) * width + c) for r in range(width - 1) for c in range(width))]


@pytest.mark.parametrize(
    ("adjacent", "colours"),
    [
        (_within(_chain(9), 9, 1), 2),
        (_within(_chain(9), 9, 2), 3),
        (_within([*_chain(8), (7, 0)], 8, 1), 2),
        (_within([*_chain(7), (6, 0)], 7, 1), 3),
        (_within(_grid(6), 36, 1), 2),
        (~np.eye(5, dtype=bool), 5),
        (np.zeros((4, 4), bool), 1),
        (np.ones((1, 1), bool), 1),
    ],
    ids=["chain", "chain of 2 hops", "even ring", "odd ring", "grid", "complete", "nobody", "one agent"],
)
def test_known_graphs_take_as_few_colours_as_there_are(adjacent, colours):
    classes = colour_classes(adjacent)
    assert len(classes) == colours
    assert sorted(np.concatenate(classes).tolist()) == list(range(len(adjacent)))


def test_random_graphs_are_coloured_properly_with_one_colour_more_than_degrees_at_most():
    generator = np.random.default_rng(0)
    for share in (0.05, 0.3, 0.8):
        one_way = np.triu(generator.random((40, 40)) < share, 1)
        classes = colour_classes(one_way)
        assert sorted(np.concatenate(classes).tolist()) == list(range(40))
        for members in classes:
            for i, j in itertools.combinations(members, 2):
                assert not one_way[i, j] and not one_way[j, i]
        assert len(classes) <= (one_way | one_way.T).sum(1).max() + 1
