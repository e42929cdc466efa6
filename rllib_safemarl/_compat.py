"""What differs between the supported versions of Ray, 2.53 to 2.60; no other module may know of versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray.rllib.utils.metrics as _metrics
import torch
from ray.rllib.utils.torch_utils import convert_to_torch_tensor

# Private in every version: what Tune is told of a checkpoint.
from ray.train._internal.session import _TrainingResult as TrainingResult

# Ray 2.53 reports under these names, but has no constants for them yet.
EPISODE_AGENT_RETURN_MEAN: str = getattr(_metrics, "EPISODE_AGENT_RETURN_MEAN", "agent_episode_returns_mean")
EPISODE_MODULE_RETURN_MEAN: str = getattr(
    _metrics, "EPISODE_MODULE_RETURN_MEAN", "module_episode_returns_mean"
)
EPISODE_AGENT_STEPS: str = getattr(_metrics, "EPISODE_AGENT_STEPS", "agent_steps")

__all__ = [
    "EPISODE_AGENT_RETURN_MEAN",
    "EPISODE_AGENT_STEPS",
    "EPISODE_MODULE_RETURN_MEAN",
    "TrainingResult",
    "load_optimizer",
]


def load_optimizer(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], device: torch.device | None
) -> None:
    """Take over an optimiser's state as RLlib saves it.

    Ray 2.53 turns hyper-parameters into tensors as well when it restores, which fused Adam refuses.
    """
    moments = convert_to_torch_tensor(state["state"], device=device)
    optimizer.load_state_dict({**state, "state": moments})
