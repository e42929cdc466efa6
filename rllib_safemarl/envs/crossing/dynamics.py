"""One step of the crossing as a robot sees it, differentiable in its acceleration."""

from __future__ import annotations

import torch
from torch import Tensor

from rllib_safemarl.envs.crossing.config import CrossingConfig

OBSERVATION = 6
"""A robot's own observation: way to the goal, velocity, place; two numbers each."""
SLOT = OBSERVATION + 4
"""A neighbour's, its relative position, a flag that the slot is taken, and its hop distance."""


class CrossingDynamics:
    """The robot accelerates; its neighbours keep their velocities; walls are not seen.

    Args:
        config: of the environment.
    """

    def __init__(self, config: CrossingConfig) -> None:
        self._config = config

    def __call__(self, views: Tensor, actions: Tensor) -> Tensor:
        """Views ``[..., 6 + 10 K]`` after accelerations ``[..., 2]`` in [-1, 1], of ``acceleration``."""
        config, dt = self._config, self._config.step_seconds
        own, slots = views[..., :OBSERVATION], views[..., OBSERVATION:].unflatten(-1, (-1, SLOT))
        velocity = own[..., 2:4] + actions.clamp(-1.0, 1.0) * (config.acceleration * dt)
        speed = velocity.square().sum(-1, keepdim=True).clamp_min(1e-12).sqrt()
        velocity = velocity * (config.top_speed / speed.clamp_min(config.top_speed))
        moved = velocity * dt
        ahead = torch.cat([own[..., :2] - moved, velocity, own[..., 4:] + moved], -1)
        taken = slots[..., 8:9]
        theirs = slots[..., 2:4] * dt
        change = torch.cat(
            [-theirs, torch.zeros_like(theirs), theirs, theirs - moved.unsqueeze(-2) * taken], -1
        )
        beside = torch.cat([slots[..., :8] + change, slots[..., 8:]], -1)
        return torch.cat([ahead, beside.flatten(-2)], -1)
