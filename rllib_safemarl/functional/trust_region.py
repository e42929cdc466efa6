"""Constrained policy optimisation's step inside a trust region (Achiam et al. 2017), in all its cases.

``max gᵀx`` subject to ``½ xᵀHx <= δ`` and ``c_j + b_jᵀx <= 0`` for each of m constraints. Everything here
is in terms of ``q = gᵀH⁻¹g``, ``r_j = gᵀH⁻¹b_j``, ``S_jk = b_jᵀH⁻¹b_k`` and c, so that a step is
``x = along_reward · H⁻¹g - Σ_j along_cost_j · H⁻¹b_j`` whatever the number of parameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLAT = 1e-8
"""Below this ``bᵀH⁻¹b`` a constraint does not depend on the policy."""
_TOLERANCE = 1e-9
_LEAST_DUAL = 1e-6


class Case(Enum):
    """Which problem a step solves."""

    FREE = "free"
    """No constraint reaches into the trust region: the plain natural-gradient step."""
    DUAL = "dual"
    """A constraint's border runs through the trust region: the dual's step."""
    RECOVERY = "recovery"
    """The trust region holds no step that meets the constraints: straight towards them."""
    STUCK = "stuck"
    """A broken constraint does not depend on the policy: no step."""


@dataclass(frozen=True)
class TrustRegionStep:
    """A step ``x = along_reward · H⁻¹g - Σ_j along_cost_j · H⁻¹b_j``.

    Attributes:
        case: what it solves.
        along_reward: coefficient of H⁻¹g.
        along_cost: ``[m]`` coefficients of H⁻¹b_j.
        multipliers: ``[m]`` ν of the constraints, reward per unit of cost; 0 outside the dual.
    """

    case: Case
    along_reward: float
    along_cost: Array
    multipliers: Array


def trust_region_step(q: float, r: Array, s: Array, c: Array, radius: float) -> TrustRegionStep:
    """The step for one or several constraints.

    For one constraint with ``B = 2δ - c²/s`` these are CPO's cases: ``s ≈ 0`` and ``c <= 0``, or ``c < 0``
    and ``B < 0``: free; ``B >= 0``: the dual; ``c >= 0`` and ``B < 0``: ``x = -√(2δ/s) H⁻¹b``; ``s ≈ 0`` and
    ``c > 0``: stuck. For several, the border nearest to any policy that meets all of them takes the place
    of ``c²/s``, and the dual is solved by trying each set of constraints as those that bind: with m of
    them that is at most 2^m systems, and the first that satisfies the conditions of Karush, Kuhn and
    Tucker is the optimum, as the problem is convex.

    Args:
        q: gᵀH⁻¹g.
        r: ``[m]`` gᵀH⁻¹b_j.
        s: ``[m, m]`` b_jᵀH⁻¹b_k.
        c: ``[m]`` how far each constraint is above its limit now, in the unit of bᵀx; below it negative.
        radius: δ, nats.
    """
    none = np.zeros(len(c))
    flat = np.diag(s) < FLAT
    if (c[flat] > 0.0).any():
        return TrustRegionStep(Case.STUCK, 0.0, none, none)
    live = np.flatnonzero(~flat)
    reach = np.sqrt(2.0 * radius * np.diag(s)[live])
    live = live[c[live] >= -reach]
    if not len(live):
        return TrustRegionStep(Case.FREE, _free(q, radius), none, none)
    nearest = _nearest(s[np.ix_(live, live)], c[live])
    along_cost, multipliers = none.copy(), none.copy()
    if nearest is None:
        return TrustRegionStep(Case.STUCK, 0.0, none, none)
    distance = float(nearest @ s[np.ix_(live, live)] @ nearest)
    if distance > 2.0 * radius:
        along_cost[live] = np.sqrt(2.0 * radius / distance) * nearest
        return TrustRegionStep(Case.RECOVERY, 0.0, along_cost, none)
    price, duals = _dual(q, r[live], s[np.ix_(live, live)], c[live], radius)
    multipliers[live] = duals
    return TrustRegionStep(Case.DUAL, 1.0 / price, multipliers / price, multipliers)


def _free(q: float, radius: float) -> float:
    return float(np.sqrt(2.0 * radius / q)) if q > 0.0 else 0.0


def _subsets(size: int) -> Iterator[list[int]]:
    for count in range(size + 1):
        yield from map(list, itertools.combinations(range(size), count))


def _nearest(s: Array, c: Array) -> Array | None:
    """ν of the least ``xᵀHx`` with ``c + bᵀx <= 0``, ``x = -Σ ν_j H⁻¹b_j``; ``None`` if there is no x."""
    scale = np.abs(c).max() + 1e-300
    for bind in _subsets(len(c)):
        nu = np.zeros(len(c))
        nu[bind] = _solve(s[np.ix_(bind, bind)], c[bind])
        if nu.min() >= 0.0 and (c - s @ nu).max() <= 1e-6 * scale:
            return nu
    return None


def _dual(q: float, r: Array, s: Array, c: Array, radius: float) -> tuple[float, Array]:
    """λ and ν of the optimum of a problem that has one.

    With constraints W binding: ``ν_W = S_W⁻¹ (r_W + λ c_W)`` and ``λ = √(A / B)``, where
    ``A = q - r_Wᵀ S_W⁻¹ r_W`` and ``B = 2δ - c_Wᵀ S_W⁻¹ c_W``.
    """
    least = _LEAST_DUAL * float(np.sqrt(max(q, 1e-300) / (2.0 * radius)))
    best: tuple[float, float, Array] = (np.inf, least, np.zeros(len(c)))
    for bind in _subsets(len(c)):
        part = s[np.ix_(bind, bind)]
        by_reward, by_excess = _solve(part, r[bind]), _solve(part, c[bind])
        rest, room = q - r[bind] @ by_reward, 2.0 * radius - c[bind] @ by_excess
        price = max(float(np.sqrt(max(float(rest), 0.0) / max(float(room), 1e-300))), least)
        nu = np.zeros(len(c))
        nu[bind] = by_reward + price * by_excess
        # Broken by how much, over what a step can change: signs of ν, and constraints after the step.
        change = (c + (r - s @ nu) / price) / np.sqrt(2.0 * radius * np.diag(s))
        sign = -nu * np.sqrt(np.diag(s)) / max(np.sqrt(max(q, 0.0)), price * np.sqrt(2.0 * radius))
        broken = max(float(change.max()), float(sign.max()), float(-room / (2.0 * radius)))
        if broken < best[0]:
            best = broken, price, np.maximum(nu, 0.0)
        if broken <= _TOLERANCE:
            break
    return best[1], best[2]


def _solve(matrix: Array, vector: Array) -> Array:
    if not len(vector):
        return np.zeros(0)
    return np.asarray(np.linalg.lstsq(matrix, vector, rcond=1e-12)[0], np.float64)


def accepts(
    kl: float, reward_gain: float, cost_change: Array, c: Array, radius: float, slack: float = 1e-12
) -> bool:
    """Whether the line search takes a step.

    ``KL <= δ``; ``ΔL_c <= max(-c, 0)``: a met constraint may use up its slack and a broken one must not
    get worse; and the surrogate reward has to rise only while every constraint is met with some slack.

    Args:
        kl: mean KL(old ‖ new), nats.
        reward_gain: change of the surrogate reward.
        cost_change: ``[m]`` changes ΔL_c of the surrogate costs.
        c: ``[m]`` as for :func:`trust_region_step`.
        radius: δ, nats.
        slack: share of rounding left to each comparison.
    """
    if not (np.isfinite(kl) and np.isfinite(reward_gain) and np.isfinite(cost_change).all()):
        return False
    if kl > radius * (1.0 + slack):
        return False
    if (cost_change > np.maximum(-c, 0.0) + slack).any():
        return False
    return bool((c >= 0.0).any()) or reward_gain > 0.0
