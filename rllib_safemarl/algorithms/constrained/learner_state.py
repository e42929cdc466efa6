"""The state of a `ConstrainedLearner`: what goes into a checkpoint beside RLlib's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rllib_safemarl.algorithms.constrained.constraints import Constraints
from rllib_safemarl.algorithms.constrained.critics import CriticStack
from rllib_safemarl.algorithms.constrained.tightening import Tightening
from rllib_safemarl.algorithms.team_learner import TeamLearner

CONSTRAINED = "constrained"
"""Key of a learner's state under which ours stands."""


class LearnerState(TeamLearner):
    """RLlib's learner with critics, multipliers and counters in its state."""

    constraints: Constraints
    _tightening: Tightening
    _stacks: list[CriticStack]
    _updates: int

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and ours: critics, normalisers, multipliers, estimates, ν̂, counters."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(CONSTRAINED, components, not_components):
            state[CONSTRAINED] = {
                "constraints": self.constraints.get_state(),
                "tightening": self._tightening.get_state(),
                "critics": [stack.get_state() for stack in self._stacks],
                "updates": self._updates,
                "seed": self._seed,
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`, an older one too."""
        super().set_state(state)
        if CONSTRAINED in state:
            mine = state[CONSTRAINED]
            self.constraints.set_state(mine["constraints"])
            self._tightening.set_state(mine["tightening"])
            for stack, saved in zip(self._stacks, mine["critics"], strict=True):
                stack.set_state(saved)
            self._updates, self._seed = mine["updates"], mine["seed"]
