"""The RLModule of policies whose network is ours: a normalised perceptron and a distribution."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDeterministic,
    TorchDiagGaussian,
    TorchMultiCategorical,
)
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.nn.actors import ActorNetwork

NETWORK = "network"
"""Key of the model config under which the network's ``hiddens`` and ``activation`` stand, and whether real
actions are ``deterministic`` and ``bounded`` to [-1, 1]."""


class NetworkRLModule(TorchRLModule):
    """An :class:`ActorNetwork` behind RLlib's forward methods.

    Attributes:
        network: the network.
    """

    def setup(self) -> None:
        """Build the network that the model config describes."""
        given, space = self.model_config[NETWORK], self.action_space
        real = isinstance(space, spaces.Box)
        self._deterministic = real and given["deterministic"]
        self.network = ActorNetwork(
            flatdim(self.observation_space),
            given["hiddens"],
            flatdim(space),
            given["activation"],
            bounded=real and given["bounded"],
            spread=real and not self._deterministic,
        )

    def get_exploration_action_dist_cls(self) -> Any:
        """Point masses, normals or choices."""
        space = self.action_space
        if isinstance(space, spaces.MultiDiscrete):
            return TorchMultiCategorical.get_partial_dist_cls(input_lens=[int(n) for n in space.nvec])
        if isinstance(space, spaces.Discrete):
            return TorchCategorical
        return TorchDeterministic if self._deterministic else TorchDiagGaussian

    get_inference_action_dist_cls = get_train_action_dist_cls = get_exploration_action_dist_cls

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.network(batch[Columns.OBS].flatten(1))}
