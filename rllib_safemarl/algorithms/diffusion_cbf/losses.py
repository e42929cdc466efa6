"""Losses of the three stages: the barrier, the critics, and the plans."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rllib_safemarl.algorithms.diffusion_cbf.prepare import (
    DANGER,
    INITIAL,
    LEAST_MARGIN,
    NEXT_DANGER,
)
from rllib_safemarl.algorithms.diffusion_cbf.rows import Rows
from rllib_safemarl.functional.barrier import barrier_loss, future_margin_loss
from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_training import (
    denoising_loss,
    drop_conditions,
    training_pair,
    training_steps,
)
from rllib_safemarl.functional.expectile import expectile_loss
from rllib_safemarl.functional.masked_means import masked_mean
from rllib_safemarl.functional.plan_windows import loss_weights, to_plan
from rllib_safemarl.functional.window_returns import (
    continuation,
    critic_target,
    penalised_reward,
    safe_set,
    window_least_barrier,
    window_returns,
)
from rllib_safemarl.policies.planner import CONDITIONS, Planner
from rllib_safemarl.policies.planning import TARGETS

BARRIER_WEIGHTS = (1.0, 1.0, 0.3)
"""Of the initial, danger and condition terms of eq. (12)."""

INVERSE_STEPS = 2
"""First steps of a window that inverse dynamics learn from; more are costly, and of other windows anyway."""


def barrier_losses(planner: Planner, rows: Rows, config: Any) -> dict[str, Tensor]:
    """Eq. (12), the regression on the margin to come, and shares of states that the barrier has right."""
    h = planner.barrier_along(rows.x[:, :2], rows.mask)
    parts = barrier_loss(
        h[:, 0],
        h[:, 1],
        rows.now(INITIAL),
        rows.now(DANGER),
        rows.counted[:, 0],
        config.barrier_margin,
        config.alpha,
        float(planner.rate) / config.alpha,
    )
    losses = {"barrier_loss": parts.total(BARRIER_WEIGHTS)}
    if config.future_margin_coef:
        ahead = future_margin_loss(h[:, 0], rows.now(LEAST_MARGIN), 1.0)
        losses["future_margin_loss"] = config.future_margin_coef * ahead
    shares = {
        "barrier_accuracy/safe": parts.initial_right,
        "barrier_accuracy/danger": parts.danger_right,
        "barrier_accuracy/condition": parts.condition_right,
    }
    return {**losses, **{name: share.detach() for name, share in shares.items()}}


def critic_losses(planner: Planner, rows: Rows, config: Any, floor: float) -> dict[str, Tensor]:
    """Eqs. (15) and (16) on the safe set."""
    x, mask = rows.x, rows.mask
    action = planner.action.encode(rows.actions[:, 0])
    with torch.no_grad():
        h = planner.barrier_along(x[:, :2], mask)
        inside = safe_set(h[:, 0], rows.now(DANGER)) & rows.counted[:, 0]
        next_danger = rows.now(NEXT_DANGER)
        target = critic_target(
            penalised_reward(rows.now("rewards"), next_danger, config.danger_penalty),
            planner.value(x[:, 1], mask),
            safe_set(h[:, 1], next_danger),
            rows.now("terminals"),
            config.gamma,
            floor,
        )
        wanted = planner.target_q.smaller(x[:, 0], action, mask)
    value = planner.value(x[:, 0], mask)
    twins = planner.q(x[:, 0], action, mask)
    return {
        "value_loss": masked_mean(expectile_loss(wanted - value, config.expectile), inside),
        "q_loss": masked_mean((twins - target).square().sum(0), inside),
    }


@torch.no_grad()
def window_conditions(planner: Planner, rows: Rows, config: Any, floor: float) -> tuple[Tensor, Tensor]:
    """Least barrier ``[M]`` of every window's moments to come, and its return ``[M]``."""
    h = planner.barrier_along(rows.x, rows.mask)
    next_danger = rows.along(NEXT_DANGER)
    reward = penalised_reward(rows.along("rewards"), next_danger, config.danger_penalty)
    terminated = (rows.along("terminals") & rows.counted).any(1)
    safe = safe_set(h[:, -1], next_danger[:, -1])
    end = continuation(planner.value(rows.x[:, -1], rows.mask), safe, terminated, floor)
    return window_least_barrier(h), window_returns(reward, rows.counted, end, config.gamma)


def diffusion_loss(
    planner: Planner, rows: Rows, y: Tensor, config: Any, generator: torch.Generator
) -> Tensor:
    """First term of eq. (10), over plans of one agent each.

    Args:
        planner: learns.
        rows: windows.
        y: ``[M, 2]`` their conditions.
        config: of DIFFUSION_CBF.
        generator: of noise, on the CPU.
    """
    plan = to_plan(rows.x, planner.plan_scales)
    condition, context = planner.told(y, rows.mask)
    known = planner.known(rows.x[:, 0])
    return denoise(planner, plan, (condition, context), known, rows.plan_counted, config, generator)


def denoise(
    planner: Planner,
    plan: Tensor,
    told: tuple[Tensor, Tensor | None],
    known: Inpainting,
    counted: Tensor,
    config: Any,
    generator: torch.Generator,
) -> Tensor:
    """The denoiser's loss on plans ``[M, ..., H + 1, V]``; the loss counts where ``counted``, shaped so."""
    device, (condition, context) = plan.device, told
    noise = torch.randn(plan.shape, generator=generator).to(device)
    steps = training_steps(len(plan), planner.schedule.num_steps, config.noise_bias, generator).to(device)
    noised, target = training_pair(plan, noise, steps, planner.schedule, config.prediction, known)
    entries = (len(condition), len(CONDITIONS))
    dropped = drop_conditions(entries, config.drop_together, config.drop_each, generator)
    for entry, name in enumerate(TARGETS):
        if getattr(config, name) is None:
            dropped[:, entry] = True
    dropped = dropped.to(device).view(len(condition), *[1] * (condition.dim() - 2), -1).expand_as(condition)
    mixed = config.mixed_precision and device.type == "cuda"
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        output = planner.denoiser(noised, steps, condition, dropped, context)
    own = planner.layout.sets.own_size
    moments, features = plan.shape[-2:]
    weights = loss_weights(moments, features, own, config.action_weight).to(device)
    return denoising_loss(output.to(target.dtype), target, counted, weights)


def plan_losses(planner: Planner, rows: Rows, y: Tensor, config: Any) -> dict[str, Tensor]:
    """Inverse dynamics, second term of eq. (10); the one-step model; what the data reach.

    Args:
        planner: learns.
        rows: windows.
        y: ``[M, 2]`` their conditions.
        config: of DIFFUSION_CBF.
    """
    x, mask, counted = rows.x, rows.mask, rows.counted
    own = planner.layout.sets.own_size
    reach = planner.reach(x[:, 0], mask)
    model = planner.model(x[:, 0], planner.action.encode(rows.actions[:, 0]), mask)
    return {
        "inverse_loss": planner.inverse.loss(
            x[:, :INVERSE_STEPS, :own],
            x[:, 1 : INVERSE_STEPS + 1, :own],
            rows.actions[:, :INVERSE_STEPS],
            counted[:, :INVERSE_STEPS],
        ),
        "model_loss": masked_mean((model - x[:, 1]).square().mean(-1), counted[:, 0]),
        "reach_loss": masked_mean(expectile_loss(y - reach, config.reach_expectile).mean(-1), counted[:, 0]),
    }
