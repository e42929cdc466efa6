"""The nearest action that keeps the barrier's condition after one step.

``min ‖a - â‖²`` subject to ``c(a) = h̃(f(x, a)) - (1 - αΔt) h̃(x) ≥ 0`` and bounds. Linearised in a, this is a
quadratic program with one half-space and a box, solved exactly without a solver; because c is no linear
function, the solution is tried and linearised anew, and candidate actions stand by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Constraint = Callable[[Tensor], Tensor]
"""``actions [B, N, D] -> c [B, N]``; c ≥ 0 is allowed."""


@dataclass(frozen=True)
class Projection:
    """Projected actions.

    Attributes:
        actions: ``[B, D]``.
        value: ``[B]`` c of them.
        changed: ``[B]`` the wanted action was not allowed.
        satisfied: ``[B]`` the action taken is; elsewhere it is the one of largest c that was found.
    """

    actions: Tensor
    value: Tensor
    changed: Tensor
    satisfied: Tensor


def project_to_half_space(
    actions: Tensor, gradient: Tensor, value: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """``min ‖a - â‖²`` subject to ``value + gᵀ(a - â) ≥ 0`` and ``low ≤ a ≤ high``, exactly.

    The solution is ``clip(â + μ g)`` with the least μ ≥ 0 that is enough; gᵀ(clip(â + μ g) - â) rises with μ
    and is linear between the D values at which an entry meets its bound.

    Args:
        actions: ``[B, D]`` â.
        gradient: ``[B, D]`` g.
        value: ``[B]`` of the constraint at â.
        low: ``[D]`` bounds, possibly infinite.
        high: ``[D]`` likewise.

    Returns:
        ``[B, D]``; where nothing within the bounds is enough, what comes nearest to it.
    """
    inside = actions.clamp(low, high)
    need = -value - (gradient * (inside - actions)).sum(-1)
    towards = torch.where(gradient > 0.0, high, low)
    moves = gradient != 0.0
    safe = torch.where(moves, gradient, 1.0)
    # Entry d rests at its bound until μ = first, moves, and meets the other one at μ = last.
    away = torch.where(gradient > 0.0, low, high)
    first = torch.where(moves, (away - actions) / safe, 0.0).clamp_min(0.0)
    last = torch.where(moves, (towards - actions) / safe, 0.0).clamp_min(0.0)
    knots = torch.cat([first, last], -1)
    knots = torch.where(knots.isfinite(), knots, 0.0).sort(-1).values
    gain = (
        gradient[:, None]
        * ((actions[:, None] + knots[..., None] * gradient[:, None]).clamp(low, high) - inside[:, None])
    ).sum(-1)
    # The last knot whose gain is not enough; beyond it the gain rises at a constant rate up to the next.
    reached = (gain < need[:, None]).sum(-1, keepdim=True)
    at = (reached - 1).clamp_min(0)
    start, have = knots.gather(-1, at), gain.gather(-1, at)
    moving = moves & (first <= start) & (last > start)
    rate = (gradient.square() * moving).sum(-1, keepdim=True)
    extra = torch.where(rate > 0.0, (need[:, None] - have) / rate.clamp_min(1e-30), 0.0).clamp_min(0.0)
    step = torch.where(need[:, None] > 0.0, start + extra, 0.0)
    return (actions + step * gradient).clamp(low, high)


def project_actions(
    wanted: Tensor,
    constraint: Constraint,
    low: Tensor,
    high: Tensor,
    candidates: Tensor | None = None,
    rounds: int = 3,
    tolerance: float = 0.0,
) -> Projection:
    """The nearest allowed action among linearised solutions; of candidates where none of these is allowed.

    Args:
        wanted: ``[B, D]`` â, within the bounds.
        constraint: c, differentiable in the actions.
        low: ``[D]`` bounds.
        high: ``[D]`` bounds.
        candidates: ``[N, D]`` or ``[B, N, D]`` further actions to try, none where not given.
        rounds: linearisations at most, each at the solution before; the last is that which changes nothing,
            or which ends on the constraint's edge.
        tolerance: c counts as satisfied from ``-tolerance`` on, and as its edge up to ``tolerance``, in units
            of h.
    """
    leaf, value = _evaluate(constraint, wanted)
    allowed = value.detach() >= -tolerance
    if bool(allowed.all()):
        return Projection(wanted, value.detach(), ~allowed, allowed)
    actions, value = _linearised(wanted, leaf, value, constraint, (low, high), rounds, tolerance)
    if candidates is not None and not bool((value >= -tolerance).any(1).all()):
        actions, value = _with_candidates(actions, value, constraint, candidates, tolerance)
    good = value >= -tolerance
    distance = (actions - wanted[:, None]).square().sum(-1)
    satisfied = good.any(1)
    index = torch.where(satisfied, torch.where(good, distance, math.inf).argmin(1), value.argmax(1))
    rows = torch.arange(len(wanted), device=wanted.device)
    return Projection(actions[rows, index], value[rows, index], ~allowed, satisfied)


def _linearised(
    wanted: Tensor,
    leaf: Tensor,
    value: Tensor,
    constraint: Constraint,
    bounds: tuple[Tensor, Tensor],
    rounds: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """The wanted actions and the solutions after them ``[B, 1 + K, D]``, and c of all."""
    tried, values, done = [wanted], [value.detach()], value.detach() >= -tolerance
    for _ in range(rounds):
        at, gradient = leaf.detach(), torch.autograd.grad(value, leaf, torch.ones_like(value))[0]
        # The half-space of the linearisation at `at`, with the distance still measured from `wanted`.
        offset = values[-1] + (gradient * (wanted - at)).sum(-1)
        after = project_to_half_space(wanted, gradient, offset, *bounds)
        # What is done stays: nobody's action depends on who else is in the batch.
        after = torch.where(done[:, None], at, after)
        if torch.equal(after, at):
            break
        leaf, value = _evaluate(constraint, after)
        tried.append(after)
        values.append(value.detach())
        done = done | (values[-1].abs() <= tolerance)
        if bool(done.all()):
            break
    return torch.stack(tried, 1), torch.stack(values, 1)


def _with_candidates(
    actions: Tensor, value: Tensor, constraint: Constraint, candidates: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Actions ``[B, K + N, D]`` and their c; that of candidates only where no other action is allowed."""
    further = candidates.expand(len(actions), *candidates.shape[-2:])
    with torch.no_grad():
        theirs = constraint(further)
    found = (value >= -tolerance).any(1, keepdim=True)
    theirs = torch.where(found, -math.inf, theirs)
    return torch.cat([actions, further], 1), torch.cat([value, theirs], 1)


def project_choices(score: Tensor, value: Tensor, tolerance: float = 0.0) -> tuple[Tensor, Tensor]:
    """The best allowed one of N discrete actions, else the one of largest c.

    Args:
        score: ``[B, N]`` larger is better, such as log-probabilities.
        value: ``[B, N]`` c of each.
        tolerance: as in :func:`project_actions`.

    Returns:
        ``[B]`` the choice, and ``[B]`` whether it is allowed.
    """
    good = value >= -tolerance
    satisfied = good.any(1)
    best = torch.where(good, score, -math.inf).argmax(1)
    return torch.where(satisfied, best, value.argmax(1)), satisfied


def _evaluate(constraint: Constraint, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Actions ``[B, D]`` as a leaf, and the constraint ``[B]`` of them, for gradients."""
    with torch.enable_grad():
        leaf = actions.detach().requires_grad_()
        return leaf, constraint(leaf[:, None])[:, 0]
