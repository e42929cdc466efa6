"""Pictures of episodes, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import Observation, VectorEnv
from rllib_safemarl.errors import SafeMARLError

Acting = Callable[[Observation, NDArray[np.bool_]], Mapping[str, NDArray]]
"""From an observation of one copy, and who acts ``[1, A]``, to actions kind → ``[1, A_kind, ...]``."""


def episode_frames(
    env: VectorEnv, act: Acting, seed: int, num_episodes: int = 1
) -> Iterator[NDArray[np.uint8]]:
    """Run episodes of one copy and draw every step of them.

    Args:
        env: one copy.
        act: chooses the actions.
        seed: of the first episode.
        num_episodes: how many follow each other.

    Raises:
        SafeMARLError: the environment draws nothing.
    """
    observation, active, ended = env.reset(seed), env.active(), 0
    while ended < num_episodes:
        picture = env.render(0)
        if picture is None:
            raise SafeMARLError(
                'the environment draws no pictures; PettingZoo ones do if made with render_mode="rgb_array".'
            )
        yield np.asarray(picture, np.uint8)
        step = env.step(act(observation, active))
        observation, active = step.observation, step.active
        ended += step.ending is not None
