"""`ColumnBatch`: what N copies did during T steps, as arrays ``[T, N, A, ...]``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.sequences import SequenceStates, map_leaves, sequence_starts

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class ObservationColumns:
    """Observations of a block of moments; ``[...]`` stands for the leading axes of that block.

    Attributes:
        values: kind → ``[..., A_kind, D_kind]``.
        alive: ``[..., A]`` agents that take part.
        positions: ``[..., A, P]`` or ``None``.
        edges: ``[..., A, E]`` 1-hop neighbours of a moving graph, ``-1`` for none, or ``None``.
    """

    values: Mapping[str, Float]
    alive: Bool
    positions: Float | None = None
    edges: NDArray[np.int32] | None = None

    def __getitem__(self, key: Any) -> ObservationColumns:
        """Index every array alike along the leading axes."""
        return ObservationColumns(
            {kind: array[key] for kind, array in self.values.items()},
            self.alive[key],
            None if self.positions is None else self.positions[key],
            None if self.edges is None else self.edges[key],
        )


@dataclass(frozen=True)
class GroupColumns:
    """What the G agents of one policy did.

    Attributes:
        actions: ``[T, N, G, ...]`` as the policy chose them, before they are scaled for the environment.
        log_prob: ``[T, N, G]`` of those actions, in nats, or ``None`` where they follow from inputs.
        inputs: ``[T, N, G, P]`` distribution inputs, or ``None`` where the module gives none.
        flags: name → ``[T, N, G]`` what is noted of every decision.
        states: in which recurrent policies began every sequence, else ``None``.
    """

    actions: NDArray
    log_prob: Float | None
    inputs: Float | None
    flags: Mapping[str, Bool] = field(default_factory=dict)
    states: SequenceStates | None = None


@dataclass(frozen=True)
class ColumnBatch:
    """T steps of N copies with A agents and C costs.

    Attributes:
        observations: ``[T + 1, N, ...]``; row t is what step t acted on, row T what follows.
        groups: policy → what its agents did.
        reward: ``[T, N, A]`` per step.
        cost: ``[T, N, A, C]`` per step.
        terminated: ``[T, N, A]`` the agent reached a terminal state in this step.
        truncated: ``[T, N]`` the time limit ended the copy's episode.
        ended: ``[T, N]`` the copy's episode ended, by either.
        final: ``[M, ...]`` final observations of the M episodes that ended.
        final_step: ``[M]`` step t in which each ended.
        final_copy: ``[M]`` copy n of each.
        copy_ids: ``[N]`` numbers of the copies among all env runners, for reproducible shuffling.
        ended_lengths: lengths of the episodes that ended, in steps.
        weights_seq_no: the weights that acted.
        margin: ``[T, N, A]`` signed distance to danger after each step, where an evaluation keeps it; else
            ``None``.
    """

    observations: ObservationColumns
    groups: Mapping[str, GroupColumns]
    reward: Float
    cost: Float
    terminated: Bool
    truncated: Bool
    ended: Bool
    final: ObservationColumns
    final_step: NDArray[np.intp]
    final_copy: NDArray[np.intp]
    copy_ids: NDArray[np.int64]
    ended_lengths: NDArray[np.int64]
    weights_seq_no: int = 0
    margin: Float | None = None

    @property
    def steps(self) -> int:
        """T."""
        return int(self.reward.shape[0])

    @property
    def copies(self) -> int:
        """N."""
        return int(self.reward.shape[1])

    @property
    def acted(self) -> Bool:
        """``[T, N, A]`` agents that acted in each step."""
        return self.observations.alive[:-1]

    def env_steps(self) -> int:
        """Environment steps, over all copies."""
        return self.steps * self.copies

    def agent_steps(self) -> int:
        """Actions taken by single agents."""
        return int(self.acted.sum())

    def select_copies(self, start: int, stop: int) -> ColumnBatch:
        """The batch of copies ``start … stop - 1``; agents stay aligned row by row."""
        mine = (self.final_copy >= start) & (self.final_copy < stop)
        part = slice(start, stop)
        along_copies = {
            name: getattr(self, name)[:, part]
            for name in ("reward", "cost", "terminated", "truncated", "ended", "margin")
            if getattr(self, name) is not None
        }
        return replace(
            self,
            **along_copies,
            observations=self.observations[:, part],
            groups={
                policy: GroupColumns(
                    group.actions[:, part],
                    None if group.log_prob is None else group.log_prob[:, part],
                    None if group.inputs is None else group.inputs[:, part],
                    {name: flag[:, part] for name, flag in group.flags.items()},
                    self._select_states(group.states, start, stop),
                )
                for policy, group in self.groups.items()
            },
            final=self.final[mine],
            final_step=self.final_step[mine],
            final_copy=self.final_copy[mine] - start,
            copy_ids=self.copy_ids[part],
            ended_lengths=self.ended_lengths[mine],
        )

    def _select_states(self, states: SequenceStates | None, start: int, stop: int) -> SequenceStates | None:
        if states is None:
            return None
        _, copy, _ = sequence_starts(self.ended, states.length)
        return states[(copy >= start) & (copy < stop)]

    def shards(self, count: int) -> list[ColumnBatch]:
        """Split along copies into ``count`` parts whose sizes differ by at most one copy."""
        bounds = np.linspace(0, self.copies, count + 1).round().astype(int)
        return [self.select_copies(a, b) for a, b in itertools.pairwise(bounds)]


def join_copies(batches: Sequence[ColumnBatch]) -> ColumnBatch:
    """Put the copies of several env runners side by side; all must have the same T."""
    if len(batches) == 1:
        return batches[0]
    offsets = np.cumsum([0, *(batch.copies for batch in batches[:-1])])
    joined = {
        each.name: _join([getattr(batch, each.name) for batch in batches], each.name)
        for each in fields(ColumnBatch)
        if each.name not in ("final_copy", "weights_seq_no")
    }
    return ColumnBatch(
        **joined,
        final_copy=np.concatenate(
            [batch.final_copy + offset for batch, offset in zip(batches, offsets, strict=True)]
        ),
        weights_seq_no=min(batch.weights_seq_no for batch in batches),
    )


_PER_EPISODE = ("final", "final_step", "copy_ids", "ended_lengths")


def _join(parts: list[Any], name: str) -> Any:
    axis = 0 if name in _PER_EPISODE else 1
    return _join_at(parts, axis)


def _join_at(parts: list[Any], axis: int) -> Any:
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, SequenceStates):
        # Sequences are in the order of their copies.
        values = map_leaves(lambda *leaves: np.concatenate(leaves), *(part.values for part in parts))
        return SequenceStates(first.length, values)
    if isinstance(first, Mapping):
        return {key: _join_at([part[key] for part in parts], axis) for key in first}
    if is_dataclass(first):
        make: Any = type(first)
        return make(
            **{
                each.name: _join_at([getattr(part, each.name) for part in parts], axis)
                for each in fields(first)
            }
        )
    return np.concatenate(parts, axis)
