"""Targets of the critics, and returns of windows.

The reward is penalised where a step leads into danger (eq. (13), read as ``r - r_p · 1[x_{t+1} ∈ X_d]``; as
printed, every step pays). Critics learn on safe states only, so V is untrained elsewhere, and optimistic
there if it were asked: what leaves the safe set is worth a floor instead, no more than the worst return
of a safe state.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def penalised_reward(reward: Tensor, next_danger: Tensor, penalty: float) -> Tensor:
    """``r - r_p · 1[x_{t+1} ∈ X_d]``, per step; shapes ``[...]``."""
    return reward - penalty * next_danger.to(reward.dtype)


def safe_set(h: Tensor, danger: Tensor) -> Tensor:
    """``X_h = {h(x) ≥ 0, x ∉ X_d}``; shapes ``[...]``."""
    return (h >= 0.0) & ~danger


def continuation(value: Tensor, safe: Tensor, terminated: Tensor, floor: float) -> Tensor:
    """What a state is worth where a sum of rewards breaks off: at x_{t+1}, or at a window's end.

    Args:
        value: ``[...]`` V of the state, read only where it is safe.
        safe: ``[...]`` the state is in X_h.
        terminated: ``[...]`` it is terminal.
        floor: V_min, discounted return.

    Returns:
        ``[...]`` V_min outside the safe set, terminal or not (else a crash that ends the episode would be
        worth more than one that does not); 0 at a terminal state that is safe; V elsewhere, time limits
        included.
    """
    inside = torch.where(terminated, torch.zeros_like(value), value)
    return torch.where(safe, inside, torch.full_like(value, floor))


def critic_target(
    reward: Tensor, next_value: Tensor, next_safe: Tensor, terminated: Tensor, gamma: float, floor: float
) -> Tensor:
    """``r + γ V(x_{t+1})`` of eq. (16), with :func:`continuation` for V; shapes ``[...]``.

    Args:
        reward: penalised, per step.
        next_value: V of x_{t+1}: of the final state where the episode ended.
        next_safe: x_{t+1} is in X_h.
        terminated: x_{t+1} is terminal, not merely the time limit.
        gamma: discount per step.
        floor: V_min.
    """
    return reward + gamma * continuation(next_value, next_safe, terminated, floor)


def window_returns(reward: Tensor, mask: Tensor, end: Tensor, gamma: float) -> Tensor:
    """``Σ_{t<n} γ^t r_t + γ^n · end`` of windows with n steps within their episode.

    Args:
        reward: ``[B, H]`` penalised, per step.
        mask: ``[B, H]`` steps within the episode: the first n.
        end: ``[B]`` :func:`continuation` of the window's last moment.
        gamma: discount per step.

    Returns:
        ``[B]`` discounted returns.
    """
    discounts = gamma ** torch.arange(reward.shape[1], device=reward.device, dtype=reward.dtype)
    tail = gamma ** mask.sum(1).to(reward.dtype)
    return (torch.where(mask, reward, 0.0) * discounts).sum(1) + tail * end


def window_least_barrier(h: Tensor) -> Tensor:
    """Least h over moments 1 … H of windows ``h [B, H + 1]``; the present one is given, not chosen."""
    return h[:, 1:].amin(1)


def discounted_returns(
    reward: NDArray[np.floating], cut: NDArray[np.bool_], gamma: float
) -> NDArray[np.float64]:
    """Return from each row to the end of its episode, as far as the data hold it.

    Args:
        reward: ``[R, ...]`` per step, episodes one after another.
        cut: ``[R]`` last rows of episodes.
        gamma: discount per step.

    Returns:
        ``[R, ...]``.
    """
    returns = np.array(reward, np.float64)
    for row in range(len(returns) - 2, -1, -1):
        if not cut[row]:
            returns[row] += gamma * returns[row + 1]
    return returns


def value_floor(returns: NDArray[np.floating], in_set: NDArray[np.bool_]) -> float:
    """V_min: the smallest return of a safe state in the data, 0 if there is none.

    Args:
        returns: ``[...]`` penalised returns, :func:`discounted_returns`.
        in_set: ``[...]`` states in X_h.
    """
    return float(returns[in_set].min()) if in_set.any() else 0.0
