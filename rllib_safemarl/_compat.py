"""What differs between the supported versions of Ray, 2.53 to 2.60; no other module may know of versions."""

from __future__ import annotations

import ray.rllib.utils.metrics as _metrics

# Ray 2.53 reports under these names, but has no constants for them yet.
EPISODE_AGENT_RETURN_MEAN: str = getattr(_metrics, "EPISODE_AGENT_RETURN_MEAN", "agent_episode_returns_mean")
EPISODE_MODULE_RETURN_MEAN: str = getattr(
    _metrics, "EPISODE_MODULE_RETURN_MEAN", "module_episode_returns_mean"
)
EPISODE_AGENT_STEPS: str = getattr(_metrics, "EPISODE_AGENT_STEPS", "agent_steps")

__all__ = ["EPISODE_AGENT_RETURN_MEAN", "EPISODE_AGENT_STEPS", "EPISODE_MODULE_RETURN_MEAN"]
