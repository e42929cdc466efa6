"""The acting side of recurrent policies that act without Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.distributions import ActionDistribution
from rllib_safemarl.nn.lstm import LSTMNetwork
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.policies.memory import Memory


@dataclass(frozen=True)
class LSTMPolicy:
    """A network from views and memories to the inputs of a distribution of actions.

    Attributes:
        network: the layers.
        distribution: of the actions.
    """

    network: LSTMNetwork
    distribution: ActionDistribution


class LSTMActor(Actor):
    """One recurrent policy, whose agents remember since the start of their episodes.

    Args:
        group: its agents.
        policy: their policy.
        normalize_actions: as in RLlib, see :class:`ActionTransform`.
        clip_actions: as in RLlib.
    """

    def __init__(self, group: Group, policy: LSTMPolicy, normalize_actions: bool, clip_actions: bool) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self._policy = policy
        self._memory = Memory(policy.network.initial(), len(group.rows))

    def begin(self) -> None:
        """Remember nothing."""
        self._memory.begin()

    @torch.inference_mode()
    def restart(self, copies: NDArray[np.intp]) -> None:
        """Some copies begin as if nothing had been before."""
        self._memory.restart(copies)

    def memory(self) -> Any:
        """The states of all agents."""
        return self._memory.arrays()

    def remember(self, memory: Any) -> None:
        """Go on with a memory; ``None`` is none."""
        self._memory.remember(memory)

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """One step from what is remembered."""
        self._memory.meet(views.shape[1])
        inputs, state = self._policy.network(views[0], self._memory.state)
        self._memory.take(state)
        draw = self._policy.distribution
        return Choice((draw.sample(inputs, generator) if explore else draw.mode(inputs))[None], inputs[None])
