"""A team's trained policies, ready to act anywhere: without Ray and without an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.acting_team import ActingTeam, PolicySettings
from rllib_safemarl.policies.actor import joint_actions
from rllib_safemarl.policies.deciding import DecidingPolicy
from rllib_safemarl.policies.kinds import Policy, policy_actors


class TeamPolicy(ActingTeam):
    """Policies of a team, run by torch.

    Args:
        team: the agents, their spaces, graph and policies.
        policies: policy → network with its distribution, or planner.
        settings: what else acting depends on.
        seed: of sampled actions.
    """

    def __init__(
        self,
        team: Team,
        policies: Mapping[str, Policy],
        settings: PolicySettings,
        seed: int = 0,
    ) -> None:
        super().__init__(team, settings)
        self.policies = dict(policies)
        self._generator = torch.Generator().manual_seed(seed)
        self._actors = policy_actors(
            self.groups, self.policies, settings.normalize_actions, settings.clip_actions
        )

    def seed(self, seed: int) -> None:
        """Begin the sequence of sampled actions anew, and without memories or plans to go on with."""
        self._generator.manual_seed(seed)
        self.restart()

    def restart(self, copies: NDArray[np.intp] | None = None) -> None:
        """New episodes begin, see :meth:`ActingTeam.restart`."""
        for actor in self._actors:
            if copies is None:
                actor.begin()
            else:
                actor.restart(copies)

    def change(self, settings: Mapping[str, Any]) -> None:
        """Have policies that decide act by other settings from now on.

        Args:
            settings: some of ``PLANNING_SETTINGS`` or ``SAMPLING_SETTINGS``, such as ``{"n_plans": 8}``.

        Raises:
            SafeMARLError: no policy plans, there is no such setting, its value does not fit, or it would
                change networks.
        """
        planners = [policy for policy in self.policies.values() if isinstance(policy, DecidingPolicy)]
        if settings and not planners:
            raise SafeMARLError(
                f"{next(iter(settings))} cannot be changed: none of these policies plans, and only planners "
                "have settings of acting."
            )
        for planner in planners:
            planner.change(settings)

    def _act(self, views: Mapping[str, NDArray[np.float32]], explore: bool) -> dict[str, NDArray]:
        with torch.inference_mode():
            acted = [actor.act(views, explore, self._generator) for actor in self._actors]
        return joint_actions(self._sizes, self._actors, acted)
