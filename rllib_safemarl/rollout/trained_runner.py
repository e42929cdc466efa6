"""An env runner in which trained policies act, in the environment they were trained in or in another."""

from __future__ import annotations

from typing import Any

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.unseen import unseen_team
from rllib_safemarl.rollout.runner import ColumnarEnvRunner


class TrainedEnvRunner(ColumnarEnvRunner):
    """Samples with the policies of a trained team, whose views they keep, see :func:`unseen_team`.

    Args:
        trained: the team that the policies were trained as.
        options: of a :class:`ColumnarEnvRunner`.
    """

    def __init__(self, *, trained: Team, **options: Any) -> None:
        self._trained = trained
        super().__init__(**options)

    def describe_team(self) -> Team:
        """The team of the environment, with policies and views of the trained one."""
        config = self.config
        return unseen_team(
            super().describe_team(), self._trained, config.policy_radius, config.max_neighbours
        )
