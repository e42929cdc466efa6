"""What a policy's agents saw and did, as the updates of policies read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.minibatches import minibatches
from rllib_safemarl.algorithms.sequences import Sequences
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.functional.distributions import ActionDistribution
from rllib_safemarl.rollout.columns import ColumnBatch


class Policy(Protocol):
    """What updates need of a policy, or of several that are updated as one."""

    distribution: ActionDistribution

    def inputs(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[B, P]`` for views ``[B, V]``."""
        ...


class Part(NamedTuple):
    """A minibatch: rows ``[R]`` of time and copy, and the sequences that they are, if they are some."""

    rows: Tensor
    sequences: Tensor | None = None


@dataclass(frozen=True)
class PolicyData:
    """What a policy's G agents saw and did, by rows of time and copy (T * N of them).

    Attributes:
        views: ``[T * N, G, V]``.
        actions: ``[T * N, G, ...]``.
        inputs: ``[T * N, G, P]`` distribution inputs that acted, or ``None``.
        log_prob: ``[T * N, G]`` under the policy that acted.
        mask: ``[T * N, G]`` 1 where the agent acted, else 0.
        sequences: of recurrent policies, else ``None``.
    """

    views: Tensor
    actions: Tensor
    inputs: Tensor | None
    log_prob: Tensor
    mask: Tensor
    sequences: Sequences | None = None

    def new_inputs(self, policy: Policy, part: Part | None = None) -> Tensor:
        """Distribution inputs ``[R * G, P]`` under the present weights, of a part's rows or of all."""
        if self.sequences is not None:
            assert isinstance(policy, TrainablePolicy), "recurrent policies are updated one by one"
            return self.sequences.inputs(policy, self.views, None if part is None else part.sequences)
        views = self.views if part is None else self.views.index_select(0, part.rows)
        return policy.inputs(views.flatten(0, 1))

    def parts(
        self, key: tuple[int, ...], copy_ids: NDArray[np.int64], num_minibatches: int, acting: NDArray
    ) -> Iterator[tuple[Part, float]]:
        """One pass: minibatches, and the rows ``acting [T * N]`` that count in each over all learners."""
        if self.sequences is not None:
            found = self.sequences.minibatches(key, copy_ids, num_minibatches, acting)
            yield from ((Part(rows, sequences), count) for rows, sequences, count in found)
            return
        for rows, count in minibatches(key, copy_ids, num_minibatches, acting, self.views.device):
            yield Part(rows), float(count)


def policy_data(
    policy: TrainablePolicy,
    batch: ColumnBatch,
    views: NDArray[np.float32],
    device: torch.device | None = None,
) -> PolicyData:
    """A policy's rows of a batch.

    Args:
        policy: whose.
        batch: the columns.
        views: ``[T, N, G, V]`` what its agents saw.
        device: where to put them.
    """
    columns = batch.groups[policy.group.policy]

    def rows(array: NDArray) -> Tensor:
        # Columns that came through Ray cannot be written to, which torch warns of; those are copied.
        flat = np.require(array, requirements=["C", "W"]).reshape(-1, *array.shape[2:])
        return torch.from_numpy(flat).to(device)

    actions = rows(columns.actions)
    inputs = None if columns.inputs is None else rows(columns.inputs)
    if columns.log_prob is not None:
        log_prob = rows(columns.log_prob)
    else:
        assert inputs is not None
        log_prob = policy.distribution.log_prob(inputs, actions)
    mask = rows(batch.acted[..., policy.group.agents].astype(np.float32))
    sequences = None if columns.states is None else Sequences(columns.states, batch.ended, device)
    return PolicyData(rows(views), actions, inputs, log_prob, mask, sequences)
