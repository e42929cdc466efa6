from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from rllib_safemarl.envs.spaces import (
    check_action_space,
    check_observation_space,
    flat_space,
    flatten_value,
    unflatten_rows,
    value_of,
)
from rllib_safemarl.errors import SafeMARLError

SPACES = [
    spaces.Box(-1.0, 1.0, (3,), np.float32),
    spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    spaces.Box(0, 255, (2, 2), np.uint8),
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([3, 2], start=[1, 0]),
    spaces.MultiBinary(3),
    spaces.Dict({"b": spaces.Box(0.0, 1.0, (2,), np.float32), "a": spaces.Discrete(3)}),
    spaces.Tuple((spaces.Discrete(2), spaces.Dict({"x": spaces.Box(0.0, 1.0, (1, 2), np.float32)}))),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_flat_values_are_gymnasiums_and_come_back(space):
    space.seed(0)
    for _ in range(10):
        value = space.sample()
        flat = flatten_value(space, value)
        np.testing.assert_allclose(flat, spaces.flatten(space, value), rtol=1e-6)
        assert flat.shape == flat_space(space).shape
        back = value_of(space, flat.astype(np.float32))
        assert space.contains(back)
        np.testing.assert_allclose(flatten_value(space, back), flat, rtol=1e-6)


def test_rows_of_a_dict_become_a_batch():
    space = spaces.Dict({"place": spaces.Box(-1.0, 1.0, (2,), np.float32), "mode": spaces.Discrete(3)})
    values = [{"place": np.array([0.1 * k, 0.2]), "mode": k % 3} for k in range(4)]
    batch = unflatten_rows(space, np.stack([flatten_value(space, value) for value in values]))
    np.testing.assert_allclose(batch["place"][:, 0], [0.0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(batch["mode"], [0, 1, 2, 0])


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (spaces.Box(-1, 1, (3,)), np.zeros(2)),
        (spaces.Box(-1, 1, (3,)), 0.0),
        (spaces.Box(-1, 1, (1,)), np.zeros((1, 1))),
        (spaces.Discrete(3), 3),
        (spaces.Discrete(3, start=1), 0),
        (spaces.Discrete(3), np.array([1])),
        (spaces.MultiDiscrete([2, 3]), np.array([0, 3])),
        (spaces.MultiDiscrete([2, 3]), np.array([0])),
        (spaces.MultiBinary(2), np.zeros(3)),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": 0}),
        (spaces.Dict({"a": spaces.Discrete(2)}), 0),
        (spaces.Tuple((spaces.Discrete(2),)), (0, 1)),
    ],
)
def test_values_outside_the_declared_shape_are_refused(space, value):
    with pytest.raises(ValueError):
        flatten_value(space, value)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (2, 2)),
        spaces.Box(0, 5, (2,), np.int32),
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Text(3),
    ],
)
def test_action_spaces_that_do_not_fit_are_refused(space):
    with pytest.raises(SafeMARLError, match="agent 'a' has the action space"):
        check_action_space(space, "a")


def test_observation_spaces_that_do_not_fit_are_refused():
    for space in (spaces.Text(3), spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))}), None):
        with pytest.raises(SafeMARLError, match="agent 'a' has an observation space of type"):
            check_observation_space(space, "a")
    for space in SPACES:
        check_observation_space(space, "a")
