"""Theorem 3.7 of Scal-MAPPO-L (Zhang et al. 2024) as numbers that an update can keep to.

Agents are updated one after another. What the agents h before agent i moved, ``D_h = KL(old ‖ new)`` in
nats, may have changed i's costs by ``ν_j^i Σ_h D_h``, which its own surrogate does not see, and what i moves
may do the same to every other agent. Hence a limit that is tightened by what predecessors spent, and a
radius that leaves every other agent's constraint intact. ν is cost per episode per nat. The theorem's own ν
is so large that nothing moves under it; :class:`NuEstimator` measures it instead. What an agent's own update
does to its costs is L_j^i, so that ν is measured over, and charged for, what *others* moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def theorem_nu(largest: Array, gamma: float) -> Array:
    """``ν_j^i = 2 γ max |A_j^i| / (1 - γ)²``, the theorem's own.

    Args:
        largest: ``[A, C]`` largest absolute cost advantage of each agent.
        gamma: discount, below 1.
    """
    return 2.0 * gamma * largest / (1.0 - gamma) ** 2


def tightened_limits(limits: Array, nu: Array, spent: Array) -> Array:
    """``c_j^i - ν_j^i Σ_{h<i} D_h``.

    Args:
        limits: ``[C]`` or ``[A, C]``, cost per episode.
        nu: ``[A, C]`` cost per episode per nat, times the share of it that is to be held.
        spent: ``[A]`` nats that others move before, or together with, each agent.

    Returns:
        ``[A, C]``.
    """
    return np.asarray(limits - nu * spent[:, None])


def radius_left(slack: Array, change: Array, nu: Array, spent: Array, together: int = 1) -> float:
    """δ^i: how far agents may move so that no other agent's constraint is broken by it.

    ``min over other agents a and their constraints j of (Ξ_j^a - T̄ L_j^a) / ν_j^a`` with
    ``Ξ_j^a = c_j^a - Ĵ_j^a - ν_j^a Σ_{h≠a} D_h`` over all h that have moved, ``L_j^a = 0`` for agents that
    have not, shared evenly by those that move together, and never below 0. Only this keeps later agents from
    breaking the constraint of an earlier one.

    Args:
        slack: ``[O, C]`` ``c - Ĵ`` of the O other agents, cost per episode.
        change: ``[O, C]`` T̄ L, what their own updates are foreseen to add, cost per episode.
        nu: ``[O, C]`` as for :func:`tightened_limits`.
        spent: ``[O]`` Σ_{h≠a} D_h over all agents that have moved, nats.
        together: agents that move at once.

    Returns:
        Nats per agent; ``inf`` where nothing bounds it.
    """
    room, priced = slack - change, nu > 0.0
    if not priced.any():
        return float("inf")
    left = np.divide(room, nu, out=np.full(room.shape, np.inf), where=priced) - spent[:, None]
    return max(float(left.min()) / together, 0.0)


class NuEstimator:
    """ν̂, the measured ν: a running upper quantile of cost that was not foreseen, per nat.

    Each iteration gives ``|Ĵ(after) - Ĵ(before) - T̄ L| / Σ_{h≠i} D_h`` for every agent i and constraint, and
    weighs as much as Σ_{h≠i} D_h: where hardly anything moved, the ratio is the noise of two estimates over
    next to nothing.

    Args:
        quantile: share of the weight that lies at or below ν̂.
        memory: iterations remembered.
    """

    def __init__(self, quantile: float = 0.9, memory: int = 20) -> None:
        self._quantile = quantile
        self._ratios: deque[Array] = deque(maxlen=memory)
        self._weights: deque[Array] = deque(maxlen=memory)

    def update(self, seen: Array, foreseen: Array, spent: Array) -> None:
        """Take in one iteration.

        Args:
            seen: ``[A, C]`` Ĵ(after) - Ĵ(before), cost per episode.
            foreseen: ``[A, C]`` T̄ L, cost per episode.
            spent: ``[A]`` Σ_{h≠i} D_h, nats; where others did not move nothing is learnt.
        """
        if (spent > 0.0).any():
            moved = (spent > 0.0)[:, None]
            self._ratios.append(
                np.where(moved, np.abs(seen - foreseen), 0.0) / np.where(moved, spent[:, None], 1.0)
            )
            self._weights.append(spent.copy())

    def value(self, shape: tuple[int, ...]) -> Array:
        """ν̂ ``[A, C]``; zeros of ``shape`` before the first iteration."""
        if not self._ratios:
            return np.zeros(shape)
        ratios = np.stack(self._ratios)
        weights = np.broadcast_to(np.stack(self._weights)[..., None], ratios.shape)
        order = np.argsort(ratios, 0, kind="stable")
        below = np.cumsum(np.take_along_axis(weights, order, 0), 0)
        reached = below >= self._quantile * below[-1] * (1.0 - 1e-12)
        first = np.take_along_axis(order, reached.argmax(0)[None], 0)
        return np.asarray(np.take_along_axis(ratios, first, 0)[0])

    def get_state(self) -> dict[str, Any]:
        """What :meth:`set_state` needs."""
        return {
            "ratios": [ratio.copy() for ratio in self._ratios],
            "weights": [weight.copy() for weight in self._weights],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self._ratios.clear()
        self._weights.clear()
        self._ratios.extend(np.array(ratio, float) for ratio in state["ratios"])
        self._weights.extend(np.array(weight, float) for weight in state["weights"])
