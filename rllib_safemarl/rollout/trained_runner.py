"""An env runner in which trained policies act, in the environment they were trained in or in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.unseen import unseen_team
from rllib_safemarl.envs.vector import Observation
from rllib_safemarl.policies.actor import Actor, joint_actions
from rllib_safemarl.policies.kinds import Policy
from rllib_safemarl.policies.shield import put_behind
from rllib_safemarl.rollout.runner import ColumnarEnvRunner


class TrainedEnvRunner(ColumnarEnvRunner):
    """Samples with the policies of a trained team, whose views they keep, see :func:`unseen_team`.

    Args:
        trained: the team that the policies were trained as.
        shield: policies of planners that correct what the trained ones choose; none where empty.
        options: of a :class:`ColumnarEnvRunner`.
    """

    def __init__(self, *, trained: Team, shield: Mapping[str, Policy] | None = None, **options: Any) -> None:
        self._trained = trained
        self._shield = shield or {}
        super().__init__(**options)

    def make_actors(self) -> list[Actor]:
        """The acting side of all policies, behind the shield."""
        actors = super().make_actors()
        if self._shield:
            put_behind(actors, self._shield)
        return actors

    @property
    def actors(self) -> Sequence[Actor]:
        """The acting side of the policies."""
        return self._actors

    def begin(self, seed: int) -> None:
        """Begin the sequence of sampled actions anew, and without plans to go on with."""
        self._generator.manual_seed(seed)
        for actor in self._actors:
            actor.begin()

    def restart(self, copies: NDArray[np.intp]) -> None:
        """New episodes begin in some copies."""
        for actor in self._actors:
            actor.restart(copies)

    def act(self, observation: Observation, alive: NDArray[np.bool_], explore: bool) -> dict[str, NDArray]:
        """Actions kind → ``[N, A_kind, ...]`` for an observation of N copies.

        Args:
            observation: of this environment.
            alive: ``[N, A]`` agents that act.
            explore: sample actions, or take the mode.
        """
        with torch.inference_mode():
            views = self._views(observation.values, alive, observation.positions, observation.edges)
            acted = [actor.act(views, explore, self._generator) for actor in self._actors]
        return joint_actions({kind.name: len(kind.agents) for kind in self.env.kinds}, self._actors, acted)

    def describe_team(self) -> Team:
        """The team of the environment, with policies and views of the trained one."""
        config = self.config
        return unseen_team(
            super().describe_team(), self._trained, config.policy_radius, config.max_neighbours
        )
