"""A double integrator before a wall, whose barrier is known.

State (d, v): distance to the wall in metres and speed towards it; the action is an acceleration in
[-B, B]. Danger is a margin ``m = d - max(0, v)² / 2B < 0``; braking in full keeps m, so ``m ≥ 0`` is the
largest set that can be kept, and m itself is a barrier.
"""

from __future__ import annotations

import numpy as np
import torch

B, DT = 1.0, 0.1


def margin(x):
    """m of states ``[..., 2]``, numpy or torch."""
    d, v = x[..., 0], x[..., 1]
    return d - v.clip(0.0) ** 2 / (2 * B)


def move(x, action):
    """The exact next state of ``x [..., 2]`` under accelerations ``[...]``, numpy or torch."""
    d, v = x[..., 0], x[..., 1]
    d, v = d - v * DT - action * DT**2 / 2, v + action * DT
    return np.stack([d, v], -1) if isinstance(x, np.ndarray) else torch.stack([d, v], -1)


def episodes(number: int, steps: int, rng: np.random.Generator):
    """States ``[E, T, 2]`` of drivers who brake at a margin of their own, if at all."""
    x = np.stack([rng.uniform(-0.3, 1.5, number), rng.uniform(-1.0, 1.5, number)], -1)
    brakes_at = rng.uniform(-0.6, 0.6, number)
    wish = rng.uniform(-B, B, number)
    states = []
    for _ in range(steps):
        states.append(x)
        wish = np.clip(0.9 * wish + 0.3 * rng.normal(size=number), -B, B)
        # With one step of warning, so that those who brake in time really stay out.
        brake = margin(move(x, wish)) < np.maximum(brakes_at, 0.0)
        action = np.where(brake & (brakes_at > 0.0), -B, wish)
        x = move(x, action)
    return np.stack(states, 1)
