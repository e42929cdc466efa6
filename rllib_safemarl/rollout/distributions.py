"""Which pure distribution belongs to an RLModule, and a wrapper for users' own classes."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDeterministic,
    TorchDiagGaussian,
    TorchMultiCategorical,
)
from ray.rllib.core.rl_module.rl_module import RLModule
from torch import Tensor

from rllib_safemarl.functional.distributions import (
    ActionDistribution,
    Categorical,
    Deterministic,
    DiagonalGaussian,
    MultiCategorical,
)


class RLlibDistribution:
    """Any RLlib distribution class behind the functions of :class:`ActionDistribution`."""

    def __init__(self, distribution_class: Any) -> None:
        self._make = distribution_class.from_logits

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from the class's own sampler, which knows only torch's global generator."""
        seed = int(torch.randint(2**31, (), generator=generator))
        with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
            torch.manual_seed(seed)
            return self._make(inputs).sample()

    def mode(self, inputs: Tensor) -> Tensor:
        """The deterministic choice."""
        return self._make(inputs).to_deterministic().sample()

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor:
        """Log probability per row."""
        return self._make(inputs).logp(actions)

    def entropy(self, inputs: Tensor) -> Tensor:
        """Entropy per row."""
        return self._make(inputs).entropy()

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old ‖ new) per row."""
        return self._make(old).kl(self._make(new))


def distribution_of(module: RLModule) -> ActionDistribution:
    """The distribution of a module's actions: ours where it is one of the common ones."""
    distribution_class = module.get_exploration_action_dist_cls()
    space = module.action_space
    if distribution_class is TorchDiagGaussian:
        return DiagonalGaussian()
    if distribution_class is TorchCategorical:
        return Categorical()
    if distribution_class is TorchDeterministic:
        return Deterministic()
    if (
        isinstance(space, spaces.MultiDiscrete)
        and isinstance(distribution_class, type)
        and issubclass(distribution_class, TorchMultiCategorical)
    ):
        return MultiCategorical(tuple(int(n) for n in space.nvec))
    return RLlibDistribution(distribution_class)
