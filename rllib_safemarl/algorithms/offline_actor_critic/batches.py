"""Batches of steps as the agents of a policy and their critics see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.neighbourhoods import EMPTY, Neighbours
from rllib_safemarl.functional.rewards import seen_rewards
from rllib_safemarl.offline.windows import WindowBatch


@dataclass(frozen=True)
class Slots:
    """Whom the critics of a group see beside the agent itself, in B steps.

    Attributes:
        agents: ``[B, G, K]`` indices, any where nobody is.
        present: ``[B, G, K]``.
    """

    agents: Tensor
    present: Tensor

    def pick(self, joint: Tensor) -> Tensor:
        """Encoded actions ``[B G, K E]`` of those seen, of all agents' ``[B, A, E]``; 0 where nobody is."""
        steps, viewers, slots = self.agents.shape
        index = self.agents.flatten(1).unsqueeze(-1).expand(-1, -1, joint.shape[-1])
        picked = joint.gather(1, index).view(steps, viewers, slots, -1)
        return torch.where(self.present.unsqueeze(-1), picked, 0.0).reshape(steps * viewers, -1)


@dataclass(frozen=True)
class Transitions:
    """B steps of the G agents of one policy, an agent's step a row: ``M = B G``.

    Attributes:
        views: ``[M, V]`` what the policy sees before the step.
        next_views: ``[M, V]`` and after it.
        seen: ``[M, S]`` what critics see before the step.
        next_seen: ``[M, S]`` and after it.
        actions: ``[M, D]`` or choices ``[M, ...]``, as policies put them out.
        reward: ``[M]`` per step.
        cost: ``[M, C]`` per step, of all costs.
        ended: ``[M]`` nothing comes after the step.
        counted: ``[M]`` the agent acted, 1 or 0.
        slots: whom critics see in the step, where they see others' actions.
        next_slots: and after it.
    """

    views: Tensor
    next_views: Tensor
    seen: Tensor
    next_seen: Tensor
    actions: Tensor
    reward: Tensor
    cost: Tensor
    ended: Tensor
    counted: Tensor
    slots: Slots | None = None
    next_slots: Slots | None = None

    def others(self, joint: Tensor | None) -> Tensor | None:
        """Actions ``[M, O]`` of those that critics see in the step, of all agents' ``[B, A, E]``."""
        return None if self.slots is None or joint is None else self.slots.pick(joint)

    def next_others(self, joint: Tensor | None) -> Tensor | None:
        """And after it."""
        return None if self.next_slots is None or joint is None else self.next_slots.pick(joint)


class BatchReader:
    """Makes :class:`Transitions` of windows of one step.

    Args:
        learner: an :class:`OfflineLearner`; its ``viewers`` are the policies' views and the critics'.
    """

    def __init__(self, learner: Any) -> None:
        self._learner = learner

    def __call__(self, windows: WindowBatch) -> dict[str, Transitions]:
        """Policy → its agents' steps."""
        moments = self._learner.moments(windows, 2)
        policy_views, critic_views = self._learner.viewers
        seen = (moments.values, moments.alive, moments.positions)
        near = critic_views.shown(moments.edges, moments.positions) if critic_views.slots else None
        wide = narrow = critic_views(*seen, None, near)
        if policy_views is not critic_views:
            narrow = policy_views(*seen, moments.edges)
        alive = moments.alive.reshape(len(windows), 2, -1)
        index = None if near is None else _by_moment(near, alive.shape, critic_views.slots)
        now = None if near is None or index is None else Neighbours(index[:, 0], near.hops)
        reward = seen_rewards(windows["rewards"][:, 0], self._learner.config.reward_scope, now)
        found = {}
        for group in self._learner.groups:
            views = [self._of_moments(group.pick(each[group.kind])) for each in (narrow, wide)]
            slots: list[Slots | None] = [None, None]
            if index is not None and self._learner.config.critic_actions == "seen":
                slots = [self._slots(index[:, t], alive[:, t], group) for t in range(2)]
            found[group.policy] = Transitions(
                *views[0],
                *views[1],
                self._learner.actions(windows, group).flatten(0, 1),
                self._rows(reward[:, group.agents]),
                self._rows(windows["costs"][:, 0, group.agents]),
                self._rows(self._ended(windows, alive)[:, group.agents]),
                self._learner.acting(windows, group).flatten(),
                *slots,
            )
        return found

    def _of_moments(self, views: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Views ``[2 B, G, V]`` before and after the step, ``[B G, V]`` each."""
        both = views.reshape(-1, 2, *views.shape[1:])
        return self._rows(both[:, 0]), self._rows(both[:, 1])

    def _rows(self, column: NDArray) -> Tensor:
        """``[B, G, ...]`` as ``[B G, ...]``."""
        steps, agents, *tail = column.shape
        flat = np.ascontiguousarray(column).reshape(steps * agents, *tail)
        return torch.from_numpy(flat).to(self._learner.device)

    def _ended(self, windows: WindowBatch, alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``[B, A]`` whether anything comes after the step."""
        ended = windows["terminals"][:, 0] | ~alive[:, 1]
        if self._learner.config.bootstrap_timeouts:
            return ended
        return ended | windows["timeouts"][:, :1]

    def _slots(self, index: NDArray[np.int32], alive: NDArray[np.bool_], group: Group) -> Slots:
        mine = index[:, group.agents]
        agents = np.maximum(mine, 0).astype(np.int64)
        there = np.take_along_axis(alive[:, None], agents, -1)
        device = self._learner.device
        return Slots(torch.from_numpy(agents).to(device), torch.from_numpy(there & (mine >= 0)).to(device))


def _by_moment(near: Neighbours, shape: tuple[int, ...], slots: int) -> NDArray[np.int32]:
    """Slots ``[B, 2, A, K]`` of both moments, filled up with empty ones."""
    index = np.full((*shape, slots), EMPTY, np.int32)
    given = near.index if near.index.ndim == 2 else near.index.reshape(*shape, near.slots)
    index[..., : near.slots] = given
    return index
