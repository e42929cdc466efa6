"""Columns of one call to sample, while they are being written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import MARGIN, Ending, Observation, Step, VectorEnv
from rllib_safemarl.policies.actor import Acted, Actor
from rllib_safemarl.rollout.columns import ColumnBatch, GroupColumns, ObservationColumns


class Block:
    """Columns under construction.

    Attributes are those of :class:`ColumnBatch`; beside them ``actors`` holds per actor its columns
    ``[P, T, N, G, ...]``, ``endings`` the steps in which copies ended, ``infos`` and ``signals`` per step
    what the environment said beyond columns.
    """

    def __init__(
        self, env: VectorEnv, steps: int, first: Observation, alive: NDArray, keeps_margins: bool = False
    ) -> None:
        n, a, c = env.num_copies, env.num_agents, len(env.cost_names)
        self.reward = np.empty((steps, n, a), np.float32)
        self.cost = np.empty((steps, n, a, c), np.float32)
        self.terminated = np.empty((steps, n, a), bool)
        self.truncated = np.empty((steps, n), bool)
        self.alive = np.empty((steps + 1, n, a), bool)
        self.values = {kind: np.empty((steps + 1, *v.shape), np.float32) for kind, v in first.values.items()}
        self.positions = self._like(first.positions, steps)
        self.edges = self._like(first.edges, steps)
        self.margins: list[NDArray] | None = [] if keeps_margins else None
        self.actors: list[dict[str, NDArray]] = []
        self.endings: list[tuple[int, Ending]] = []
        self.infos: list[Sequence[Mapping[Any, Mapping[str, Any]]] | None] = []
        self.signals: list[Mapping[str, NDArray]] = []
        self._observe(0, first, alive)

    @staticmethod
    def _like(array: NDArray | None, steps: int) -> NDArray | None:
        return None if array is None else np.empty((steps + 1, *array.shape), array.dtype)

    def _observe(self, t: int, observation: Observation, alive: NDArray) -> None:
        for kind, values in observation.values.items():
            self.values[kind][t] = values
        if self.positions is not None:
            self.positions[t] = observation.positions
        if self.edges is not None:
            self.edges[t] = observation.edges
        self.alive[t] = alive

    def _like_acted(self, act: Acted) -> dict[str, NDArray]:
        """Columns ``[P, T, N, G, ...]`` for what an actor returns."""
        return {
            name: np.empty((len(v), len(self.reward), *v.shape[1:]), v.dtype)
            for name, v in _parts(act).items()
            if v is not None
        }

    def write(self, t: int, acted: Sequence[Acted], step: Step) -> None:
        """Enter step t."""
        if not self.actors:
            self.actors = [self._like_acted(act) for act in acted]
        for columns, act in zip(self.actors, acted, strict=True):
            parts = _parts(act)
            for name, column in columns.items():
                column[:, t] = parts[name]
        self.reward[t], self.cost[t] = step.reward, step.cost
        self.terminated[t], self.truncated[t] = step.terminated, step.truncated
        self._observe(t + 1, step.observation, step.active)
        self.infos.append(step.infos)
        self.signals.append(step.info)
        if self.margins is not None and MARGIN in step.info:
            # Arrays of a step are valid until the next.
            self.margins.append(np.array(step.info[MARGIN], np.float32))
        if step.ending is not None:
            self.endings.append((t, step.ending))

    def _groups(self, actors: Sequence[Actor]) -> dict[str, GroupColumns]:
        return {
            group.policy: GroupColumns(
                columns["actions"][p],
                columns["log_prob"][p] if "log_prob" in columns else None,
                columns["inputs"][p] if "inputs" in columns else None,
                {name: columns[name][p] for name in actor.flags},
                actor.sequences(),
            )
            for actor, columns in zip(actors, self.actors, strict=True)
            for p, group in enumerate(actor.groups)
        }

    def finish(
        self,
        actors: Sequence[Actor],
        copy_ids: NDArray[np.int64],
        lengths: NDArray[np.int64],
        weights_seq_no: int,
    ) -> tuple[ColumnBatch, list[dict[str, float]]]:
        """The finished columns and each ending's metrics; ``lengths [N]`` are brought up to date."""
        steps, copies = self.truncated.shape
        ended = np.zeros((steps, copies), bool)
        final_step, final_copy, ended_lengths, metrics = [], [], [], []
        began = -lengths
        for t, ending in self.endings:
            for m, n in enumerate(ending.copies):
                ended[t, n] = True
                final_step.append(t)
                final_copy.append(int(n))
                ended_lengths.append(t + 1 - began[n])
                began[n] = t + 1
                metrics.append({name: float(v[m]) for name, v in ending.metrics.items()})
        lengths[:] = steps - began
        observations = ObservationColumns(self.values, self.alive, self.positions, self.edges)
        batch = ColumnBatch(
            observations=observations,
            groups=self._groups(actors),
            reward=self.reward,
            cost=self.cost,
            terminated=self.terminated,
            truncated=self.truncated,
            ended=ended,
            final=self._final(observations, np.array(final_step, np.intp)),
            final_step=np.array(final_step, np.intp),
            final_copy=np.array(final_copy, np.intp),
            copy_ids=copy_ids,
            ended_lengths=np.array(ended_lengths, np.int64),
            weights_seq_no=weights_seq_no,
            margin=np.stack(self.margins) if self.margins else None,
        )
        return batch, metrics

    def _final(self, observations: ObservationColumns, final_step: NDArray[np.intp]) -> ObservationColumns:
        """Final observations; an agent is alive in its own if it acted and did not terminate."""
        if not self.endings:
            return observations[:0, 0]
        parts = [ending.observation for _, ending in self.endings]
        copies = np.concatenate([ending.copies for _, ending in self.endings])
        alive = self.alive[final_step, copies] & ~self.terminated[final_step, copies]
        first = parts[0]
        return ObservationColumns(
            {kind: np.concatenate([p.values[kind] for p in parts]) for kind in first.values},
            alive,
            None if first.positions is None else np.concatenate([p.positions for p in parts]),
            None if first.edges is None else np.concatenate([p.edges for p in parts]),
        )


def _parts(act: Acted) -> dict[str, NDArray | None]:
    return {"actions": act.actions, "inputs": act.inputs, "log_prob": act.log_prob, **act.flags}
