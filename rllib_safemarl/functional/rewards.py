"""The reward that an agent learns from: its own, its neighbourhood's, or the team's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.neighbourhoods import Neighbours

Float = NDArray[np.float32]

REWARD_SCOPES = ("team", "neighbourhood", "own")


def seen_rewards(own: Float, scope: str, near: Neighbours | None = None) -> Float:
    """Reward ``[..., A]`` as each agent sees it.

    Args:
        own: ``[..., A]`` reward of each agent.
        scope: one of :data:`REWARD_SCOPES`: ``own``, ``team`` (mean over all agents) or ``neighbourhood``
            (mean over itself and its neighbours).
        near: slots ``[A, K]`` or ``[..., A, K]`` of the neighbourhood, needed for that scope.
    """
    if scope == "own":
        return own
    if scope == "team":
        return np.broadcast_to(own.mean(-1, keepdims=True), own.shape)
    assert near is not None
    present = near.index >= 0
    agent = np.maximum(near.index, 0)
    if agent.ndim == 2:
        picked = own[..., agent]
    else:
        picked = np.take_along_axis(own[..., None, :], agent.astype(np.intp), -1)
    total = own + (picked * present).sum(-1, dtype=np.float32)
    return total / (1.0 + present.sum(-1, dtype=np.float32))
