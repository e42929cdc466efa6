"""The sampling loop: observe, view, act, step, write columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import Observation, Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.policies.actor import Actor, joint_actions
from rllib_safemarl.rollout.block import Block
from rllib_safemarl.rollout.checks import check_block, check_observations, check_step
from rllib_safemarl.rollout.columns import ColumnBatch


class EnvironmentFailedError(SafeMARLError):
    """An environment's own code raised an error; creating it anew may help."""


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
        flags: name → ``[A]`` decisions of which it was noted; NaN for agents of whom it is not.
    """

    copy: int
    length: int
    returns: NDArray[np.float64]
    costs: NDArray[np.float64]
    agent_steps: NDArray[np.int64]
    metrics: Mapping[str, float]
    flags: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        """Name → share of all decisions of which it was noted."""
        return {f"{name}_share": flag_share([self], name) for name in self.flags}


def flag_share(
    episodes: Sequence[Episode], name: str, agents: NDArray[np.intp] | slice = slice(None)
) -> float:
    """Share of the decisions of some agents of which something was noted; NaN where there were none."""
    if not episodes:
        return float("nan")
    noted = np.array([episode.flags[name][agents] for episode in episodes])
    taken = np.where(np.isnan(noted), 0.0, [episode.agent_steps[agents] for episode in episodes])
    return float(np.nansum(noted) / taken.sum()) if taken.any() else float("nan")


class Collector:
    """Runs the copies of an environment and remembers where they are.

    Args:
        env: the copies.
        views: what the policies see.
        first_copy: number of copy 0 among the copies of all env runners.
        keeps_margins: whether batches hold the margins that the environment tells.
    """

    def __init__(
        self, env: VectorEnv, views: ViewBuilder, first_copy: int = 0, keeps_margins: bool = False
    ) -> None:
        self.env = env
        self._keeps_margins = keeps_margins
        self.views = views
        self._copy_ids = np.arange(first_copy, first_copy + env.num_copies)
        self._sizes = {kind.name: len(kind.agents) for kind in env.kinds}
        self._now: Observation | None = None
        self._first = True
        n, a, c = env.num_copies, env.num_agents, len(env.cost_names)
        self._alive = np.ones((n, a), bool)
        self._sums = np.zeros((n, a, c + 2))
        self._lengths = np.zeros(n, np.int64)

    @property
    def started(self) -> bool:
        """Whether episodes are running."""
        return self._now is not None

    def stop(self) -> None:
        """Drop the running episodes; :meth:`reset` comes next."""
        self._now = None

    def reset(self, seed: int) -> None:
        """Begin anew in every copy.

        Raises:
            SafeMARLError: the environment failed.
        """
        try:
            self._now = self.env.reset(seed)
        except SafeMARLError:
            raise
        except Exception as error:
            raise _failure("reset()", error) from error
        self._first = True
        self._alive = self.env.active()
        self._sums[:] = 0.0
        self._lengths[:] = 0

    def collect(
        self,
        num_steps: int,
        actors: Sequence[Actor],
        explore: bool,
        generator: torch.Generator,
        weights_seq_no: int = 0,
        watch: Callable[[Block, int], None] | None = None,
    ) -> tuple[ColumnBatch, list[Episode]]:
        """Take ``num_steps`` steps in every copy.

        Args:
            num_steps: T.
            actors: the policies.
            explore: sample actions, or take their mode.
            generator: source of the samples.
            weights_seq_no: stamped on the batch.
            watch: called with the block and t after every step.

        Returns:
            The columns, and the episodes that ended in them in order of their end.

        Raises:
            SafeMARLError: the environment failed or broke a contract.
        """
        assert self._now is not None, "reset() first"
        block = Block(self.env, num_steps, self._now, self._alive, self._keeps_margins)
        for actor in actors:
            actor.open()
        with torch.inference_mode():
            for t in range(num_steps):
                views = self.views(self._now.values, self._alive, self._now.positions, self._now.edges)
                try:
                    acted = [actor.act(views, explore, generator) for actor in actors]
                except Exception:
                    # Many a distribution refuses NaN in words that tell nothing of observations.
                    check_observations({k: v[None] for k, v in self._now.values.items()}, self.env, t)
                    raise
                step = self._step(joint_actions(self._sizes, actors, acted), t)
                block.write(t, acted, step)
                self._now, self._alive = step.observation, step.active
                if step.ending is not None:
                    for actor in actors:
                        actor.restart(step.ending.copies)
                if watch is not None:
                    watch(block, t)
        batch, endings = block.finish(actors, self._copy_ids, self._lengths, weights_seq_no)
        check_block(batch, self.env)
        return batch, self._sum_up(batch, actors, endings)

    def _step(self, actions: dict[str, NDArray], t: int) -> Step:
        """Act in all copies; the shapes of what comes back are looked at once after every reset."""
        try:
            step = self.env.step(actions)
        except SafeMARLError:
            raise
        except Exception as error:
            raise _failure(f"step {t} of this block", error) from error
        if self._first:
            check_step(step, self.env)
            self._first = False
        return step

    def _sum_up(
        self, batch: ColumnBatch, actors: Sequence[Actor], endings: Sequence[Mapping[str, float]]
    ) -> list[Episode]:
        """Episodes that ended in the block, and the running sums after it."""
        names, flags = _flags(batch, actors)
        columns = (batch.reward[..., None], batch.cost, batch.acted[..., None], flags)
        parts = np.concatenate(columns, -1)
        if self._sums.shape[-1] < parts.shape[-1]:
            self._sums = np.concatenate([self._sums, np.zeros((*self._sums.shape[:2], len(names)))], -1)
        at = 1 + batch.cost.shape[-1]
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
                    costs=sums[:, 1:at],
                    agent_steps=sums[:, at].round().astype(np.int64),
                    metrics=endings[m],
                    flags=dict(zip(names, sums[:, at + 1 :].T, strict=True)),
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


def _flags(batch: ColumnBatch, actors: Sequence[Actor]) -> tuple[list[str], NDArray]:
    """Names of what is noted, and ``[T, N, A, F]`` of it; NaN for agents of whom something is not."""
    names = list(dict.fromkeys(name for actor in actors for name in actor.flags))
    flags = np.full((*batch.reward.shape, len(names)), np.nan, np.float32)
    for actor in actors:
        for group in actor.groups:
            for name in actor.flags:
                noted = batch.groups[group.policy].flags[name] & batch.acted[..., group.agents]
                flags[..., group.agents, names.index(name)] = noted
    return names, flags


def _failure(where: str, error: Exception) -> EnvironmentFailedError:
    said = next(iter(str(error).splitlines()), "")
    return EnvironmentFailedError(
        f"the environment failed in {where} ({type(error).__name__}: {said}); mend it, or have it created "
        "anew by .fault_tolerance(restart_failed_sub_environments=True)."
    )
