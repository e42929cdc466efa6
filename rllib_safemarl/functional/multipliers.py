"""Lagrange multipliers: when they rise, and by how much.

Units throughout: costs and limits are *undiscounted sums per episode and agent*; a multiplier λ is
reward per unit of cost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def dual_ascent(multiplier: Array, cost: Array, limit: Array, step_size: float) -> Array:
    """Projected dual ascent ``λ ← [λ + α (Ĵ_c - c)]_+`` (Scal-MAPPO-L, multiplier update).

    Args:
        multiplier: ``[A, C]`` λ, reward per unit of cost.
        cost: ``[A, C]`` estimated cost Ĵ_c, per episode, undiscounted.
        limit: ``[C]`` or ``[A, C]`` limits c, as ``cost``; ``inf`` leaves a constraint out.
        step_size: α, reward per squared unit of cost, per update.

    Returns:
        ``[A, C]`` the new λ, never negative.
    """
    excess = np.where(np.isfinite(limit), cost - np.where(np.isfinite(limit), limit, 0.0), -np.inf)
    return np.maximum(np.where(np.isfinite(excess), multiplier + step_size * excess, 0.0), 0.0)


@dataclass(frozen=True)
class PIDGains:
    """Gains of a controller (Stooke et al. 2020), one update being the unit of time.

    Attributes:
        proportional: K_P, reward per squared unit of cost.
        integral: K_I, reward per squared unit of cost and update.
        derivative: K_D, reward per squared unit of cost, times updates.
        smoothing: share of the past in the cost whose rise counts.
    """

    proportional: float
    integral: float
    derivative: float
    smoothing: float = 0.0


@dataclass(frozen=True)
class PIDState:
    """What a controller remembers.

    Attributes:
        integral: ``[A, C]`` K_I ∫e, reward per unit of cost, never negative.
        cost: ``[A, C]`` the smoothed cost, NaN before the first update.
    """

    integral: Array
    cost: Array

    @classmethod
    def start(cls, integral: Array) -> PIDState:
        """Before the first update."""
        return cls(integral, np.full(integral.shape, np.nan))


def pid_control(state: PIDState, cost: Array, limit: Array, gains: PIDGains) -> tuple[Array, PIDState]:
    """One update of ``λ = [K_P e + K_I ∫e + K_D (dJ̃/dt)_+]_+``, ``e = Ĵ_c - c`` (Stooke et al. 2020).

    The integral is held at 0 from below, so that slack of the past does not have to be made up for. With
    K_P = K_D = 0 this is :func:`dual_ascent` with α = K_I.

    Args:
        state: before the update.
        cost: ``[A, C]`` estimated cost Ĵ_c, per episode, undiscounted.
        limit: ``[C]`` or ``[A, C]`` limits c, as ``cost``; ``inf`` leaves a constraint out.
        gains: of the controller.

    Returns:
        ``[A, C]`` λ, never negative, and the state after the update.
    """
    held = np.broadcast_to(np.isfinite(limit), cost.shape)
    error = np.where(held, cost - np.where(np.isfinite(limit), limit, 0.0), 0.0)
    integral = dual_ascent(state.integral, cost, limit, gains.integral)
    before = np.where(np.isnan(state.cost), cost, state.cost)
    smoothed = gains.smoothing * before + (1.0 - gains.smoothing) * cost
    rise = np.maximum(smoothed - before, 0.0)
    multiplier = gains.proportional * error + integral + gains.derivative * rise
    return np.where(held, np.maximum(multiplier, 0.0), 0.0), PIDState(integral, smoothed)


@dataclass(frozen=True)
class EpisodeCost:
    """An estimate of the cost per episode.

    Attributes:
        cost: ``[A, C]`` per episode, undiscounted.
        length: T̄, mean episode length in steps.
        from_episodes: T̄ is of episodes that ended; otherwise it is the time limit.
    """

    cost: Array
    length: float
    from_episodes: bool


class EpisodeCostEstimator:
    """Cost per episode from blocks of steps that hold no whole number of episodes.

    ``Ĵ_c = (sum of costs in the block / steps in the block) · T̄``, with T̄ the mean length of the episodes
    that ended last; while none has ended, T̄ is the time limit. Over many episodes this is the sum of
    costs over the number of episode ends (renewal reward theorem), but a block that cuts episodes in
    two does not miscount them: with episodes of 1000 steps and blocks of 500, sum over ends is 0 ends
    in one block and half of the cost per episode in the next.

    Args:
        time_limit: steps, or ``None`` where episodes have no limit.
        memory: T̄ is over the last blocks that hold so many ended episodes together.
    """

    def __init__(self, time_limit: int | None, memory: int = 100) -> None:
        self._time_limit = time_limit
        self._memory = memory
        self._ended: deque[tuple[float, float]] = deque()
        self._open_steps = 0.0

    def update(self, cost_sum: Array, steps: float, ended_steps: float, ended: float) -> EpisodeCost:
        """Take in a block.

        Args:
            cost_sum: ``[A, C]`` costs summed over the block and its copies.
            steps: environment steps in the block, over all copies.
            ended_steps: lengths of the episodes that ended in it, summed.
            ended: their number.
        """
        if ended > 0:
            self._ended.append((ended_steps, ended))
            while sum(n for _, n in self._ended) - self._ended[0][1] >= self._memory:
                self._ended.popleft()
        self._open_steps += steps
        if self._ended:
            length = sum(s for s, _ in self._ended) / sum(n for _, n in self._ended)
        else:
            length = float(self._time_limit or self._open_steps)
        return EpisodeCost(cost_sum / max(steps, 1.0) * length, length, bool(self._ended))

    def get_state(self) -> dict[str, object]:
        """What :meth:`set_state` needs."""
        return {"ended": list(self._ended), "open_steps": self._open_steps}

    def set_state(self, state: Mapping[str, object]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self._ended = deque(state["ended"])  # type: ignore[call-overload]
        self._open_steps = float(state["open_steps"])  # type: ignore[arg-type]
