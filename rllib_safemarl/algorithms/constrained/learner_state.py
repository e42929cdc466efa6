"""The state of a `ConstrainedLearner`: what goes into a checkpoint beside RLlib's."""

from __future__ import annotations

from collections.abc import Mapping
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

    own_key = CONSTRAINED

    def own_state(self) -> dict[str, Any]:
        """Critics, normalisers, multipliers, estimates, ν̂, counters."""
        return {
            "constraints": self.constraints.get_state(),
            "tightening": self._tightening.get_state(),
            "critics": [stack.get_state() for stack in self._stacks],
            "updates": self._updates,
            "seed": self._seed,
        }

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`own_state`."""
        self.constraints.set_state(state["constraints"])
        self._tightening.set_state(state["tightening"])
        for stack, saved in zip(self._stacks, state["critics"], strict=True):
            stack.set_state(saved)
        self._updates, self._seed = state["updates"], state["seed"]
