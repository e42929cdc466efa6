"""The clipped step of one policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays, sum_gradients
from rllib_safemarl.algorithms.constrained.policy_data import Part, Policy, PolicyData
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.functional.surrogates import clipped_surrogate, surrogate_change


@dataclass(frozen=True)
class StepSettings:
    """Settings of the clipped step.

    Attributes:
        clip: ε of the clipped surrogate.
        entropy_coeff: weight of the entropy, reward per nat.
        num_epochs: passes over the data.
        num_minibatches: per pass.
        target_kl: stop before a pass once KL(old ‖ new) exceeds it, nats; ``inf`` never stops, and with 0 the
            policy stays where it is.
    """

    clip: float
    entropy_coeff: float
    num_epochs: int
    num_minibatches: int
    target_kl: float = float("inf")


@dataclass(frozen=True)
class CostBound:
    """Where passes stop because of what they do to the costs.

    Attributes:
        costs: ``[m, T * N, G]`` centred cost advantages, cost per step.
        slack: ``[m]`` by how much the agents' mean surrogate cost may rise, cost per step.
    """

    costs: Tensor
    slack: NDArray[np.float64]

    def exceeded(self, log_ratio: Tensor, mask: Tensor) -> bool:
        """Whether a policy that has moved by ``log_ratio [T * N, G]`` is beyond it."""
        change = surrogate_change(log_ratio, self.costs * mask).sum((1, 2)).double().cpu().numpy()
        total, count = sum_arrays(change, float(mask.sum()))
        return bool((total / max(float(count), 1.0) > self.slack).any())


@dataclass(frozen=True)
class StepResult:
    """What a policy's update did.

    Attributes:
        log_ratio: ``[T * N, G]`` log of new over old probability, 0 where an agent did not act.
        kl_rows: ``[T * N, G]`` KL(old ‖ new), nats, 0 where an agent did not act.
        kl: mean KL(old ‖ new) over rows, nats.
        entropy: mean entropy after the update, nats.
        clip_fraction: share of rows whose ratio ended outside 1 ± ε.
        loss: mean surrogate loss of the last pass.
        epochs: passes taken.
        details: more figures to report, by name.
    """

    log_ratio: Tensor
    kl_rows: Tensor
    kl: float
    entropy: float
    clip_fraction: float
    loss: float = 0.0
    epochs: int = 0
    details: Mapping[str, float] = field(default_factory=dict)


def clipped_update(
    policy: TrainablePolicy,
    data: PolicyData,
    advantage: Tensor,
    copy_ids: NDArray[np.int64],
    key: tuple[int, ...],
    settings: StepSettings,
    optimizer: torch.optim.Optimizer,
    clip_gradients: Callable[[Sequence[torch.nn.Parameter]], None],
    bound: CostBound | None = None,
) -> StepResult:
    """Maximise the clipped surrogate of one policy by minibatches of time steps.

    Args:
        policy: the policy; its parameters are stepped in place.
        data: its rows.
        advantage: ``[T * N, G]`` M · A_λ, A_λ normalised.
        copy_ids: ``[N]`` the copies' numbers, for reproducible shuffling.
        key: seeds the shuffling.
        settings: of the step.
        optimizer: of the policy's parameters.
        clip_gradients: called on the parameters before each step.
        bound: on the costs, or ``None``.
    """
    if isinstance(policy.module, torch.nn.Module):
        policy.module.train()
    acting = data.mask.sum(1).cpu().numpy()
    weights = None if bool(data.mask.all()) else data.mask
    loss, epochs = 0.0, 0
    bounded = bound is not None or math.isfinite(settings.target_kl)
    for epoch in range(settings.num_epochs if settings.target_kl > 0.0 else 0):
        if epoch and bounded and _is_beyond(policy, data, settings, bound):
            break
        losses = []
        for part, count in data.parts((*key, epoch), copy_ids, settings.num_minibatches, acting):
            gains = surrogate_gains(policy, data, advantage, weights, part, settings)
            losses.append(-gains.sum() / count)
            optimizer.zero_grad(set_to_none=True)
            losses[-1].backward()
            sum_gradients(policy.parameters)
            clip_gradients(policy.parameters)
            optimizer.step()
        loss, epochs = float(torch.stack(losses).detach().mean()), epoch + 1
    return replace(measure(policy, data, settings.clip), loss=loss, epochs=epochs)


def _is_beyond(
    policy: TrainablePolicy, data: PolicyData, settings: StepSettings, bound: CostBound | None
) -> bool:
    """Whether a policy has moved further than it may."""
    moved = measure(policy, data, settings.clip)
    if moved.kl > settings.target_kl:
        return True
    return bound is not None and bound.exceeded(moved.log_ratio, data.mask)


def surrogate_gains(
    policy: Policy,
    data: PolicyData,
    advantage: Tensor,
    weights: Tensor | None,
    part: Part,
    settings: StepSettings,
) -> Tensor:
    """The surrogate ``[R * G]`` of the rows of a part, 0 where an agent did not act."""

    def pick(columns: Tensor) -> Tensor:
        return columns.index_select(0, part.rows).flatten(0, 1)

    inputs = data.new_inputs(policy, part)
    ratio = (policy.distribution.log_prob(inputs, pick(data.actions)) - pick(data.log_prob)).exp()
    gain = clipped_surrogate(ratio, pick(advantage), settings.clip)
    if settings.entropy_coeff:
        gain = gain + settings.entropy_coeff * policy.distribution.entropy(inputs)
    if weights is not None:
        gain = gain * pick(weights)
    return gain


@torch.no_grad()
def measure(policy: TrainablePolicy, data: PolicyData, clip: float) -> StepResult:
    """How far the policy has moved from the one that acted, over all learners' rows."""
    lead = data.mask.shape
    log_ratio, kl, entropy, outside = moved_rows(policy, data, clip)
    sums = [float(x.sum()) for x in (kl, entropy, outside, data.mask)]
    (kl_sum, entropy_sum, outside_sum, count) = sum_arrays(np.array(sums))[0]
    count = max(count, 1.0)
    return StepResult(
        log_ratio=log_ratio.view(lead),
        kl_rows=kl.view(lead),
        kl=kl_sum / count,
        entropy=entropy_sum / count,
        clip_fraction=outside_sum / count,
    )


def moved_rows(policy: Policy, data: PolicyData, clip: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log ratio, KL(old ‖ new), entropy, and whether the ratio is outside 1 ± ε, ``[T * N * G]`` each.

    All are 0 where an agent did not act.
    """
    inputs = data.new_inputs(policy)
    mask = data.mask.flatten()
    log_prob = policy.distribution.log_prob(inputs, data.actions.flatten(0, 1))
    log_ratio = (log_prob - data.log_prob.flatten()) * mask
    if data.inputs is None:
        # Schulman's estimator r - 1 - log r, for modules that keep their distribution to themselves.
        kl = log_ratio.exp() - 1.0 - log_ratio
    else:
        kl = policy.distribution.kl(data.inputs.flatten(0, 1), inputs)
    outside = ((log_ratio.exp() - 1.0).abs() > clip).float()
    return log_ratio, kl * mask, policy.distribution.entropy(inputs) * mask, outside * mask


def moves(mask: Tensor, result: StepResult, costs: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each of G agents moved, and what that does to its surrogate costs, over all learners.

    Args:
        mask: ``[T * N, G]`` rows that count.
        result: of the agents' update.
        costs: ``[m, T * N, G]`` centred cost advantages, cost per step.

    Returns:
        ``[G]`` mean KL(old ‖ new), nats, and ``[m, G]`` mean of (r - 1) A_c, cost per step.
    """
    change = surrogate_change(result.log_ratio, costs * mask)
    kl, costs_sum, count = sum_arrays(
        *(x.double().cpu().numpy() for x in (result.kl_rows.sum(0), change.sum(1), mask.sum(0)))
    )
    count = np.maximum(count, 1.0)
    return kl / count, costs_sum / count
