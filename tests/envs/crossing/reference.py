"""The formulas again, robot by robot in plain Python: slow and obvious."""

from __future__ import annotations

import numpy as np


def margins(positions, velocities, radius, braking, clearance, reach):
    """``[N, A]`` by a loop over all pairs."""
    copies, robots, _ = positions.shape
    least = np.full((copies, robots), reach - 2 * radius - clearance)
    for n in range(copies):
        for i in range(robots):
            for j in range(robots):
                gap = positions[n, j] - positions[n, i]
                distance = float(np.linalg.norm(gap))
                if i == j or distance > reach:
                    continue
                relative = velocities[n, j] - velocities[n, i]
                closing = max(0.0, -float(gap @ relative) / distance)
                margin = distance - 2 * radius - closing**2 / (2 * (braking + braking)) - clearance
                least[n, i] = min(least[n, i], margin)
    return least


def edges(positions, reach, degree):
    """``[N, A, degree]`` by sorting all others."""
    copies, robots, _ = positions.shape
    found = np.full((copies, robots, degree), -1)
    for n in range(copies):
        for i in range(robots):
            gap = positions[n] - positions[n, i]
            squared = gap[:, 0] * gap[:, 0] + gap[:, 1] * gap[:, 1]
            near = [(squared[j], j) for j in range(robots) if j != i and squared[j] <= reach**2]
            chosen = sorted(j for _, j in sorted(near)[:degree])
            found[n, i, : len(chosen)] = chosen
    return found
