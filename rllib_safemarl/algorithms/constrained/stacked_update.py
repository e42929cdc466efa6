"""The clipped step of many policies as one batched step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays, sum_gradients
from rllib_safemarl.algorithms.constrained.policy_data import Part, PolicyData
from rllib_safemarl.algorithms.constrained.policy_update import (
    CostBound,
    StepResult,
    StepSettings,
    moved_rows,
    surrogate_gains,
)
from rllib_safemarl.algorithms.constrained.stacked_policies import StackedPolicies
from rllib_safemarl.algorithms.minibatches import member_minibatches
from rllib_safemarl.functional.surrogates import surrogate_change


@dataclass(frozen=True)
class Members:
    """What M members of a stack bring to their update.

    Attributes:
        data: each one's rows, ``[T * N, G, ...]``.
        advantages: ``[T * N, G]`` M · A_λ of each.
        keys: seeds each one's shuffling.
        settings: of each one's step; only ``target_kl`` may differ, and members that are not to be trained
            have 0.
        bounds: on each one's costs; empty for none.
    """

    data: Sequence[PolicyData]
    advantages: Sequence[Tensor]
    keys: Sequence[tuple[int, ...]]
    settings: Sequence[StepSettings]
    bounds: Sequence[CostBound] = ()


def stacked_update(
    stack: StackedPolicies,
    members: Members,
    copy_ids: NDArray[np.int64],
    clip_gradients: Callable[[Sequence[torch.nn.Parameter]], None],
) -> list[StepResult]:
    """Maximise the clipped surrogates of M policies, each as :func:`clipped_update` would its own.

    Args:
        stack: the policies; their parameters and optimisers are stepped in place.
        members: what each brings.
        copy_ids: ``[N]`` the copies' numbers.
        clip_gradients: called on the stacked parameters before each step, clips each member by itself.
    """
    stack.load()
    step = _StackedStep(stack, members)
    losses = np.zeros(len(stack))
    for epoch in range(members.settings[0].num_epochs):
        if epoch:
            step.rest()
        if not step.active.any():
            break
        losses = np.where(step.moving, step.epoch(epoch, copy_ids, clip_gradients), losses)
    stack.store()
    return step.results(losses)


class _StackedStep:
    """The state of one batched update; ``active [M]`` members still go on."""

    def __init__(self, stack: StackedPolicies, members: Members) -> None:
        self._stack, self._members, self._settings = stack, members, members.settings[0]
        self._data = _side_by_side(members.data)
        self._advantage = torch.cat(list(members.advantages))
        self._weights = None if bool(self._data.mask.all()) else self._data.mask
        self._acting = self._per_member(self._data.mask.sum(1)).cpu().numpy()
        self._radius = np.array([settings.target_kl for settings in members.settings])
        self._costs: Tensor | None = None
        if members.bounds:
            costs = torch.cat([bound.costs for bound in members.bounds], 1)
            self._costs = (costs * self._data.mask).flatten(1)
            self._slack = np.stack([bound.slack for bound in members.bounds], 1)
        self.moving = self._radius > 0.0
        self.active = torch.from_numpy(self.moving).to(self._data.mask.device)
        self.epochs = np.zeros(len(stack))

    def _per_member(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(self._stack), -1)

    def epoch(
        self, epoch: int, copy_ids: NDArray[np.int64], clip_gradients: Callable[..., None]
    ) -> NDArray[np.float64]:
        """One pass over the data; the members' mean losses ``[M]``."""
        settings, optimizer, losses = self._settings, self._stack.optimizer, []
        keys = [(*key, epoch) for key in self._members.keys]
        batches = member_minibatches(
            keys, copy_ids, settings.num_minibatches, self._acting, self._data.views.device
        )
        for rows, count in batches:
            gains = surrogate_gains(
                self._stack, self._data, self._advantage, self._weights, Part(rows), settings
            )
            loss = -self._per_member(gains).sum(1) / count.to(gains)
            optimizer.zero_grad()
            loss.sum().backward()
            sum_gradients(optimizer.parameters)
            clip_gradients(optimizer.parameters)
            optimizer.step(self.active)
            losses.append(loss.detach())
        self.epochs += self.moving
        return torch.stack(losses).mean(0).double().cpu().numpy()

    def rest(self) -> None:
        """Let those rest that have moved as far as they may."""
        if self._costs is None and not np.isfinite(self._radius).any():
            return
        with torch.no_grad():
            log_ratio, kl, _, _ = moved_rows(self._stack, self._data, self._settings.clip)
        sums = [kl] if self._costs is None else [kl, *surrogate_change(log_ratio, self._costs)]
        moved = self._means(*sums)
        beyond = moved[0] > self._radius
        if self._costs is not None:
            beyond |= (moved[1:] > self._slack).any(0)
        self.moving &= ~beyond
        self.active = torch.from_numpy(self.moving).to(self.active.device)

    def _means(self, *rows: Tensor) -> NDArray[np.float64]:
        """Means ``[k, M]`` of k columns ``[M * T * N * G]`` over all learners' acting rows."""
        sums = torch.stack([self._per_member(column).sum(1) for column in (*rows, self._data.mask)])
        (total,) = sum_arrays(sums.double().cpu().numpy())
        return total[:-1] / np.maximum(total[-1], 1.0)

    @torch.no_grad()
    def results(self, losses: NDArray[np.float64]) -> list[StepResult]:
        """What the update did to each member."""
        log_ratio, kl, entropy, outside = moved_rows(self._stack, self._data, self._settings.clip)
        means = self._means(kl, entropy, outside)
        lead = len(self._stack), -1, self._data.mask.shape[1]
        rows = zip(log_ratio.view(lead), kl.view(lead), strict=True)
        return [
            StepResult(
                log_ratio=ratios,
                kl_rows=kls,
                kl=float(means[0, m]),
                entropy=float(means[1, m]),
                clip_fraction=float(means[2, m]),
                loss=float(losses[m]),
                epochs=int(self.epochs[m]),
            )
            for m, (ratios, kls) in enumerate(rows)
        ]


def _side_by_side(parts: Sequence[PolicyData]) -> PolicyData:
    """The rows ``[M * T * N, G, ...]`` of all members, one after another."""

    def join(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    inputs = None if parts[0].inputs is None else join("inputs")
    return PolicyData(join("views"), join("actions"), inputs, join("log_prob"), join("mask"))
