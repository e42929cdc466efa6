"""How safe an episode was, from what happened to every agent in every step.

An agent is in danger in a step where its margin is negative or, where no margin exists, where its cost
exceeds a threshold. All figures are of one episode with ``danger [T, A]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Float = NDArray[np.floating]


@dataclass(frozen=True)
class EpisodeSafety:
    """Safety of one episode.

    Attributes:
        safe_share: share of (step, agent) without danger; after a terminal crash the steps left to the
            time limit count as dangerous.
        strict_safe_share: share of steps in which no agent was in danger, counted alike.
        violations: times danger began for the team: 0 → 1 changes of "any agent in danger", a start in
            danger counting one.
        violations_per_1000: the same per 1000 agent steps.
        severity: mean over dangerous (step, agent) of how deep, 0 where there was none.
        clean: no danger at all.
    """

    safe_share: float
    strict_safe_share: float
    violations: int
    violations_per_1000: float
    severity: float
    clean: bool


def danger_of_margin(margin: Float) -> Bool:
    """Danger where the signed distance to it is negative."""
    return margin < 0.0


def danger_of_cost(cost: Float, threshold: float = 0.0) -> Bool:
    """Danger where the cost of a step exceeds the threshold c̄."""
    return cost > threshold


def depth_of_margin(margin: Float, clearance: float) -> Float:
    """How deep in danger, ``|m| / κ_s``: in multiples of the clearance."""
    return np.abs(margin) / clearance


def depth_of_cost(cost: Float, threshold: float = 0.0) -> Float:
    """How deep in danger, ``(c - c̄) / max(c̄, 1)``."""
    return (cost - threshold) / max(threshold, 1.0)


def count_violations(danger: Bool) -> int:
    """Times at which danger began for the team; ``danger [T, A]``."""
    team: NDArray[np.bool_] = np.asarray(danger.any(1))
    return int(team[0]) + int((team[1:] & ~team[:-1]).sum()) if len(team) else 0


def episode_safety(danger: Bool, depth: Float, acted: Bool, lost_steps: int = 0) -> EpisodeSafety:
    """Safety figures of one episode.

    Args:
        danger: ``[T, A]``.
        depth: ``[T, A]`` how deep in danger, read only where there is danger.
        acted: ``[T, A]`` agents that took part; the others count nowhere.
        lost_steps: steps between a terminal crash and the time limit; they count as dangerous for
            every agent.
    """
    danger = danger & acted
    steps, agents = danger.shape
    counted = int(acted.sum()) + lost_steps * agents
    safe = int((acted & ~danger).sum())
    strict = int((~danger.any(1)).sum())
    began = count_violations(danger)
    return EpisodeSafety(
        safe_share=safe / counted if counted else 1.0,
        strict_safe_share=strict / (steps + lost_steps) if steps + lost_steps else 1.0,
        violations=began,
        violations_per_1000=1000.0 * began / max(int(acted.sum()), 1),
        severity=float(depth[danger].mean()) if danger.any() else 0.0,
        clean=not danger.any() and lost_steps == 0,
    )
