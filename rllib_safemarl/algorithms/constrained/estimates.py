"""From columns to advantages: what every agent's critics say about a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.algorithms.constrained.critics import CriticStack
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.advantages import generalised_advantages
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch, ObservationColumns

Float = NDArray[np.float32]


@dataclass(frozen=True)
class GroupEstimates:
    """Critics' estimates for the G agents of one policy; signal 0 is the reward, then the costs.

    Attributes:
        views: ``[T + 1, N, G, V]`` what the critics saw.
        values: ``[1 + C, T, N, G]``.
        advantages: ``[1 + C, T, N, G]`` discounted, in each signal's own units.
        returns: ``[1 + C, T, N, G]`` targets: values plus advantages.
    """

    views: Float
    values: Float
    advantages: Float
    returns: Float


def critic_views(batch: ColumnBatch, views: ViewBuilder) -> tuple[dict[str, Float], dict[str, Float]]:
    """Views of all moments kind → ``[T + 1, N, A_kind, V]`` and of final ones kind → ``[M, …]``."""

    def build(columns: ObservationColumns) -> dict[str, Float]:
        return views(columns.values, columns.alive, columns.positions, columns.edges)

    return build(batch.observations), build(batch.final)


def estimate(
    batch: ColumnBatch,
    stack: CriticStack,
    groups: Sequence[Group],
    moments: tuple[Mapping[str, Float], Mapping[str, Float]],
    signals: Float,
    gamma: float,
    lambda_: float,
    device: torch.device | None = None,
) -> dict[str, GroupEstimates]:
    """Values and advantages of the policies of one stack.

    Args:
        batch: the columns.
        stack: their critics.
        groups: the stack's policies' groups, in its order.
        moments: from :func:`critic_views`.
        signals: ``[1 + C, T, N, A]`` reward as each agent sees it, then its costs, per step.
        gamma: discount per step.
        lambda_: GAE's λ.
        device: where the critics live.
    """
    shown, final = ([group.pick(views[group.kind]) for group in groups] for views in moments)
    steps, copies, agents = batch.steps, batch.copies, shown[0].shape[2]
    rows = [s.reshape(-1, s.shape[-1]) for s in shown]
    last = [f.reshape(-1, f.shape[-1]) for f in final]
    stacked = np.stack([np.concatenate(pair) for pair in zip(rows, last, strict=True)])
    values = stack.values(torch.from_numpy(stacked).to(device))
    cut_at = (steps + 1) * copies * agents
    everywhere = values[..., :cut_at].reshape(len(groups), -1, steps + 1, copies, agents)
    at_end = values[..., cut_at:].reshape(len(groups), everywhere.shape[1], -1, agents)
    return {
        group.policy: _group_estimates(
            batch, group, shown[p], everywhere[p], at_end[p], signals, gamma, lambda_
        )
        for p, group in enumerate(groups)
    }


def _group_estimates(
    batch: ColumnBatch,
    group: Group,
    views: Float,
    values: Float,
    final_values: Float,
    signals: Float,
    gamma: float,
    lambda_: float,
) -> GroupEstimates:
    next_values = values[:, 1:].copy()
    next_values[:, batch.final_step, batch.final_copy] = final_values
    terminated = batch.terminated[..., group.agents]
    left = ~batch.observations.alive[1:][..., group.agents]
    cut = terminated | batch.ended[..., None] | left
    # Time leads in the recursion; signals share terminations.
    along_time = generalised_advantages(
        np.moveaxis(signals[..., group.agents], 0, 1),
        np.moveaxis(values[:, :-1], 0, 1),
        np.moveaxis(next_values, 0, 1),
        terminated[:, None],
        cut[:, None],
        gamma,
        lambda_,
    )
    advantages = np.moveaxis(along_time, 1, 0)
    return GroupEstimates(views, values[:, :-1], advantages, values[:, :-1] + advantages)
