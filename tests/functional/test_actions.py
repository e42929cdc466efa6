"""From a policy's actions to the environment's, against RLlib's own functions."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from ray.rllib.utils.spaces.space_utils import clip_action, unsquash_action

from rllib_safemarl.functional.actions import ActionTransform, random_actions

BOX = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
UNIT = spaces.Box(-1.0, 1.0, (2,))
HALF_OPEN = spaces.Box(np.array([-1.0, -np.inf], np.float32), np.array([1.0, np.inf], np.float32))


@pytest.mark.parametrize("space", [BOX, UNIT, HALF_OPEN])
def test_box_actions_agree_with_rllib(space):
    actions = np.random.default_rng(0).normal(0, 2, (50, 2)).astype(np.float32)
    for action, ours in zip(actions, ActionTransform(space, True, False)(actions), strict=True):
        np.testing.assert_allclose(ours, unsquash_action(action, space), rtol=1e-6)
    for action, ours in zip(actions, ActionTransform(space, False, True)(actions), strict=True):
        np.testing.assert_allclose(ours, clip_action(action, space))
    assert ActionTransform(space, False, False)(actions) is actions


def test_discrete_actions_count_from_their_start():
    assert ActionTransform(spaces.Discrete(3, start=5), True, False)(np.array([0, 2])).tolist() == [5, 7]
    choices = np.array([0, 1])
    assert ActionTransform(spaces.Discrete(3), True, False)(choices) is choices


@pytest.mark.parametrize(
    "space",
    [BOX, HALF_OPEN, spaces.Discrete(3, start=2), spaces.MultiDiscrete([2, 5])],
)
def test_random_actions_lie_in_their_space(space):
    actions = random_actions(space, (4, 5), np.random.default_rng(0))
    assert actions.shape == (4, 5, *space.shape)
    assert all(space.contains(action) for action in actions.reshape(20, *space.shape))
