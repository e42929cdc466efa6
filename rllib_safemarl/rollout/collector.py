"""The sampling loop: observe, view, act, step, write columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import Observation, Step, VectorEnv
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.actor import Acted, Actor
from rllib_safemarl.rollout.checks import check_block
from rllib_safemarl.rollout.columns import ColumnBatch, GroupColumns, ObservationColumns


@dataclass(frozen=True)
class Episode:
    """A finished episode, summed up.

    Attributes:
        copy: the copy it ran in.
        length: steps.
        returns: ``[A]`` undiscounted reward.
        costs: ``[A, C]`` undiscounted cost.
        agent_steps: ``[A]`` actions of each agent.
        metrics: the environment's own figures.
    """

    copy: int
    length: int
    returns: NDArray[np.float64]
    costs: NDArray[np.float64]
    agent_steps: NDArray[np.int64]
    metrics: Mapping[str, float]


class Collector:
    """Runs the copies of an environment and remembers where they are.

    Args:
        env: the copies.
        views: what the policies see.
        first_copy: number of copy 0 among the copies of all env runners.
    """

    def __init__(self, env: VectorEnv, views: ViewBuilder, first_copy: int = 0) -> None:
        self.env = env
        self.views = views
        self._copy_ids = np.arange(first_copy, first_copy + env.num_copies)
        self._now: Observation | None = None
        n, a, c = env.num_copies, env.num_agents, len(env.cost_names)
        self._alive = np.ones((n, a), bool)
        self._sums = np.zeros((n, a, c + 2))
        self._lengths = np.zeros(n, np.int64)

    @property
    def started(self) -> bool:
        """Whether episodes are running."""
        return self._now is not None

    def reset(self, seed: int) -> None:
        """Begin anew in every copy."""
        self._now = self.env.reset(seed)
        self._alive[:] = True
        self._sums[:] = 0.0
        self._lengths[:] = 0

    def collect(
        self,
        num_steps: int,
        actors: Sequence[Actor],
        explore: bool,
        generator: torch.Generator,
        weights_seq_no: int = 0,
    ) -> tuple[ColumnBatch, list[Episode]]:
        """Take ``num_steps`` steps in every copy.

        Returns:
            The columns, and the episodes that ended in them in order of their end.
        """
        assert self._now is not None, "reset() first"
        block = _Block(self.env, num_steps, self._now, self._alive)
        with torch.inference_mode():
            for t in range(num_steps):
                views = self.views(self._now.values, self._alive, self._now.positions, self._now.edges)
                acted = [actor.act(views, explore, generator) for actor in actors]
                step = self.env.step(env_actions(self.env, actors, acted))
                block.write(t, acted, step)
                self._now, self._alive = step.observation, step.active
        batch, endings = block.finish(actors, self._copy_ids, self._lengths, weights_seq_no)
        check_block(batch, self.env)
        return batch, self._sum_up(batch, endings)

    def _sum_up(self, batch: ColumnBatch, endings: Sequence[Mapping[str, float]]) -> list[Episode]:
        """Episodes that ended in the block, and the running sums after it."""
        acted = batch.acted
        parts = np.concatenate([batch.reward[..., None], batch.cost, acted[..., None]], -1)
        total = np.cumsum(parts, axis=0, dtype=np.float64)
        before = np.zeros_like(self._sums)
        episodes = []
        for m, (t, n) in enumerate(zip(batch.final_step, batch.final_copy, strict=True)):
            sums = self._sums[n] + total[t, n] - before[n]
            self._sums[n] = 0.0
            before[n] = total[t, n]
            episodes.append(
                Episode(
                    copy=int(n),
                    length=int(batch.ended_lengths[m]),
                    returns=sums[:, 0],
                    costs=sums[:, 1:-1],
                    agent_steps=sums[:, -1].round().astype(np.int64),
                    metrics=endings[m],
                )
            )
        self._sums += total[-1] - before
        return episodes

    def get_state(self) -> dict[str, Any] | None:
        """Where every copy stands, or ``None`` where the environment cannot tell."""
        env_state = self.env.get_state()
        if env_state is None or self._now is None:
            return None
        return {
            "env": env_state,
            "values": {kind: np.array(v) for kind, v in self._now.values.items()},
            "positions": None if self._now.positions is None else np.array(self._now.positions),
            "edges": None if self._now.edges is None else np.array(self._now.edges),
            "alive": np.array(self._alive),
            "sums": self._sums.copy(),
            "lengths": self._lengths.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self.env.set_state(state["env"])
        self._now = Observation(state["values"], state["positions"], state["edges"])
        self._alive = np.array(state["alive"])
        self._sums = np.array(state["sums"])
        self._lengths = np.array(state["lengths"])


def env_actions(env: VectorEnv, actors: Sequence[Actor], acted: Sequence[Acted]) -> dict[str, NDArray]:
    """Actions per kind ``[N, A_kind, ...]`` from actions per policy."""
    actions: dict[str, NDArray] = {}
    sizes = {kind.name: len(kind.agents) for kind in env.kinds}
    for actor, act in zip(actors, acted, strict=True):
        by_copy = act.env_actions.swapaxes(0, 1)
        chosen = by_copy.reshape(len(by_copy), -1, *by_copy.shape[3:])
        if actor.kind not in actions:
            shape = (len(chosen), sizes[actor.kind], *chosen.shape[2:])
            actions[actor.kind] = np.empty(shape, chosen.dtype)
        actions[actor.kind][:, actor.rows] = chosen
    return actions


class _Block:
    """Columns under construction."""

    def __init__(self, env: VectorEnv, steps: int, first: Observation, alive: NDArray) -> None:
        n, a, c = env.num_copies, env.num_agents, len(env.cost_names)
        self.reward = np.empty((steps, n, a), np.float32)
        self.cost = np.empty((steps, n, a, c), np.float32)
        self.terminated = np.empty((steps, n, a), bool)
        self.truncated = np.empty((steps, n), bool)
        self.alive = np.empty((steps + 1, n, a), bool)
        self.values = {kind: np.empty((steps + 1, *v.shape), np.float32) for kind, v in first.values.items()}
        self.positions = self._like(first.positions, steps)
        self.edges = self._like(first.edges, steps)
        self.actors: list[dict[str, NDArray]] = []
        self.endings: list[tuple[int, Any]] = []
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
        values = {"actions": act.actions, "inputs": act.inputs, "log_prob": act.log_prob}
        return {
            name: np.empty((len(v), len(self.reward), *v.shape[1:]), v.dtype)
            for name, v in values.items()
            if v is not None
        }

    def write(self, t: int, acted: Sequence[Acted], step: Step) -> None:
        """Enter step t."""
        if not self.actors:
            self.actors = [self._like_acted(act) for act in acted]
        for columns, act in zip(self.actors, acted, strict=True):
            for name, column in columns.items():
                column[:, t] = getattr(act, name)
        self.reward[t], self.cost[t] = step.reward, step.cost
        self.terminated[t], self.truncated[t] = step.terminated, step.truncated
        self._observe(t + 1, step.observation, step.active)
        if step.ending is not None:
            self.endings.append((t, step.ending))

    def _groups(self, actors: Sequence[Actor]) -> dict[str, GroupColumns]:
        return {
            group.policy: GroupColumns(
                columns["actions"][p],
                columns["log_prob"][p] if "log_prob" in columns else None,
                columns["inputs"][p] if "inputs" in columns else None,
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
