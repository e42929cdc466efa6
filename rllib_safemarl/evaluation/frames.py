"""Pictures of episodes, frame by frame, and of what agents plan in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.futures import Futures
from rllib_safemarl.envs.vector import Observation, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.actor import Actor
from rllib_safemarl.policies.planning_actor import PlanningActor

Acting = Callable[[Observation, NDArray[np.bool_]], Mapping[str, NDArray]]
"""From an observation of one copy, and who acts ``[1, A]``, to actions kind → ``[1, A_kind, ...]``."""
Drawing = Callable[[Observation], NDArray[np.uint8] | None]
"""Draws the moment of an observation, for which the actions are chosen already."""


def episode_moments(
    env: VectorEnv,
    act: Acting,
    seed: int,
    num_episodes: int = 1,
    restart: Callable[[NDArray[np.intp]], None] = lambda copies: None,
) -> Iterator[Observation]:
    """Run episodes of one copy; every moment is given when its actions are chosen and before they are taken.

    Args:
        env: one copy.
        act: chooses the actions.
        seed: of the first episode.
        num_episodes: how many follow each other.
        restart: called with the copies in which an episode has ended.
    """
    observation, active, ended = env.reset(seed), env.active(), 0
    while ended < num_episodes:
        actions = act(observation, active)
        yield observation
        step = env.step(actions)
        observation, active = step.observation, step.active
        if step.ending is not None:
            ended += 1
            restart(step.ending.copies)


def drawn(picture: NDArray | None) -> NDArray[np.uint8]:
    """A picture that an environment drew.

    Raises:
        SafeMARLError: it draws nothing.
    """
    if picture is None:
        raise SafeMARLError(
            'the environment draws no pictures; PettingZoo ones do if made with render_mode="rgb_array".'
        )
    return np.asarray(picture, np.uint8)


# Plans.


def planning_actors(env: VectorEnv, actors: Sequence[Actor]) -> list[PlanningActor]:
    """Those actors whose plans can be placed in an environment's scene."""
    return [
        actor for actor in actors if isinstance(actor, PlanningActor) and env.position_features(actor.kind)
    ]


def planned_futures(
    env: VectorEnv, actors: Sequence[Actor], observation: Observation, copy: int = 0
) -> Futures:
    """What the agents of one copy planned when they chose their last actions.

    Args:
        env: which of the features that are planned tell positions.
        actors: all of them; some plan, see :func:`planning_actors`.
        observation: that the actions were chosen for.
        copy: whose.
    """
    assert observation.positions is not None
    planned = [
        (actor.groups[0].agents, actor.planned(env.position_features(actor.kind)))
        for actor in planning_actors(env, actors)
    ]
    most = [max(part.barrier.shape[axis] for _, part in planned) for axis in (2, 3)]
    agents, size = observation.positions.shape[1:]
    positions = np.full((agents, *most, size), np.nan)
    barrier, chosen = np.full((agents, *most), np.nan), np.full(agents, -1)
    for members, part in planned:
        values, h = part.values[copy], part.barrier[copy]
        here = observation.positions[copy, members][:, None, None]
        place = members, slice(h.shape[1]), slice(h.shape[2])
        positions[place] = here + values - values[:, :, :1]
        barrier[place] = h
        chosen[members] = part.chosen[copy]
    return Futures(positions, barrier, chosen)
