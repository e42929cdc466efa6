"""How safe and how good episodes were: the figures of training, evaluation and comparison, computed once.

An agent is in danger in a step where its margin is negative or, where no margin exists, where its cost
exceeds a threshold. Figures of danger are of one episode with ``danger [T, A]``; those of returns and costs
are of E episodes with undiscounted sums ``[E, A]`` over each.
"""

from __future__ import annotations

import math
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
        dangerous_steps: (step, agent) with danger, by which severities of episodes are weighed together.
    """

    safe_share: float
    strict_safe_share: float
    violations: int
    violations_per_1000: float
    severity: float
    clean: bool
    dangerous_steps: int


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
        dangerous_steps=int(danger.sum()),
    )


def mean_severity(severity: Float, dangerous_steps: Float) -> float:
    """Severity over all dangerous (step, agent) of E episodes; NaN where there was no danger.

    Args:
        severity: ``[E]`` of the episodes.
        dangerous_steps: ``[E]`` of them.
    """
    total = float(dangerous_steps.sum())
    return float((severity * dangerous_steps).sum()) / total if total else math.nan


def team_returns(returns: Float) -> Float:
    """``[E]`` cumulative rewards of episodes, ``Σ_t mean_i r``, from ``[E, A]`` returns."""
    return returns.mean(1)


def agent_costs(costs: Float) -> Float:
    """``[A]`` or ``[A, C]`` mean cost per episode of every agent, from ``[E, A]`` or ``[E, A, C]``."""
    return costs.mean(0)


def within_limits(costs: Float, limits: Float, tolerance: float = 0.0) -> Bool:
    """``[E]`` episodes in which every agent's cost keeps to every limit.

    Args:
        costs: ``[E, A, C]`` undiscounted.
        limits: ``[C]`` per episode and agent; inf where a cost is only watched.
        tolerance: share of its limit by which a cost may be above it, for sums of rounded costs.
    """
    return np.asarray((costs <= limits * (1.0 + tolerance)).all((1, 2)))


def normalised_return(value: float, low: float, high: float) -> float:
    """``(R - r_low) / (r_high - r_low)``, NaN where both are the same.

    Of DSRL they are the least and the greatest return in a dataset; where policies meet unseen
    environments, the returns of random actions and of the best behaviour there.
    """
    return (value - low) / (high - low) if high != low else math.nan


def normalised_cost(cost: float, limit: float) -> float:
    """``(C + ε) / (limit + ε)`` with ε = 1 for a limit of 0, else 0 (DSRL); at most 1 is safe.

    Args:
        cost: undiscounted, per episode.
        limit: on it.
    """
    epsilon = 1.0 if limit == 0 else 0.0
    return (cost + epsilon) / (limit + epsilon)


def generalisation_ratio(unseen: float, trained: float) -> float:
    """Share of the normalised return that is left where a policy was not trained.

    Args:
        unseen: :func:`normalised_return` in an unseen environment, between random actions and the best
            behaviour there.
        trained: the same where it was trained; NaN comes out where it is not above random actions.
    """
    return unseen / trained if trained > 0.0 else math.nan
