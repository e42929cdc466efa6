"""The state of a `ColumnarEnvRunner`: what goes into a checkpoint, and whose it is."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO

from rllib_safemarl.policies.actor import Actor
from rllib_safemarl.rollout.collector import Collector
from rllib_safemarl.rollout.episode_hooks import EpisodeHooks
from rllib_safemarl.rollout.episode_metrics import EpisodeMetrics

logger = logging.getLogger(__name__)

EPISODES = "episodes"
OWNER = "owner"
MEMORIES = "memories"
"""Key of running episodes under which stands what every recurrent actor remembers."""


class RunnerState(Checkpointable):
    """Weights, counters, seeds and running episodes of an env runner.

    Attributes:
        seed: every seed of this runner follows from it; the config's, or drawn once where it has none.
        worker_index: 0 for the local runner.
    """

    config: Any
    worker_index: int
    seed: int
    module: MultiRLModule | None
    num_env_steps_sampled_lifetime: int
    _actors: list[Actor]
    _collector: Collector | None
    _episode_metrics: EpisodeMetrics
    _generator: torch.Generator
    _hooks: EpisodeHooks
    _resets: int
    _weights_seq_no: int

    @property
    def owner(self) -> str:
        """Whose state this is: RLlib hands the training runner's to the evaluation runner."""
        return f"{'evaluation' if self.config.in_evaluation else 'training'}-{self.worker_index}"

    def _draw_seed(self, purpose: str) -> int:
        """A seed for one purpose from (seed, worker, training or evaluation)."""
        key = (self.seed, self.worker_index, int(self.config.in_evaluation), *purpose.encode())
        return int(np.random.SeedSequence(key).generate_state(1)[0])

    def _reset(self) -> None:
        """Begin new episodes: the same ones at every evaluation, others at every restart of training."""
        assert self._collector is not None
        if self.config.in_evaluation:
            self._generator.manual_seed(self._draw_seed("evaluation-actions"))
            purpose = "evaluation"
        else:
            purpose = f"training-{self._resets}"
        self._resets += 1
        for actor in self._actors:
            actor.begin()
        self._collector.reset(self._draw_seed(purpose))
        self._hooks.forget()

    # RLlib's state.

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Weights, counters, generator and, where the environment can, every running episode."""
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            assert self.module is not None
            state[COMPONENT_RL_MODULE] = self.module.get_state(
                components=self._get_subcomponents(COMPONENT_RL_MODULE, components),
                not_components=self._get_subcomponents(COMPONENT_RL_MODULE, not_components),
                **kwargs,
            )
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        if self._check_component(EPISODES, components, not_components):
            state[OWNER] = self.owner
            state[EPISODES] = self.save_episodes()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state; running episodes only if they are this runner's own."""
        if COMPONENT_RL_MODULE in state:
            # RLlib skips weights whose number is not newer, and so those of a restored checkpoint.
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):
                weights = ray.get(weights)
            assert self.module is not None
            self.module.set_state(weights)
            for actor in self._actors:
                actor.refresh()
            self._weights_seq_no = state.get(WEIGHTS_SEQ_NO, 0)
        if NUM_ENV_STEPS_SAMPLED_LIFETIME in state:
            self.num_env_steps_sampled_lifetime = state[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        if state.get(OWNER) == self.owner:
            reason = self.restore_episodes(state[EPISODES])
            if reason is not None:
                logger.warning(
                    "The episodes of the checkpoint do not go on and others begin, from seeds that follow "
                    "the checkpoint: %s.",
                    reason,
                )

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """The modules."""
        return [(COMPONENT_RL_MODULE, self.module)]

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """Arguments that build this runner again."""
        return (), {"config": self.config}

    # Episodes.

    def save_episodes(self) -> dict[str, Any]:
        """Generator, seeds, the window of finished episodes, and where every running one stands.

        Evaluation begins anew each time, so that of its episodes nothing is kept.
        """
        running = self._collector is not None and not self.config.in_evaluation
        return {
            "seed": self.seed,
            "generator": self._generator.get_state().numpy(),
            "resets": self._resets,
            "finished": [] if self.config.in_evaluation else list(self._episode_metrics.episodes),
            "copies": None if self._collector is None else self._collector.env.num_copies,
            "running": self._pause() if running else None,
        }

    def _pause(self) -> dict[str, Any] | None:
        """Where every running episode stands, or ``None`` where the environment cannot tell."""
        assert self._collector is not None
        state = self._collector.get_state()
        memories = [actor.memory() for actor in self._actors]
        if state is not None and any(memory is not None for memory in memories):
            state[MEMORIES] = memories
        return state

    def _go_on(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`_pause` told."""
        assert self._collector is not None
        self._collector.set_state(state)
        memories = state.get(MEMORIES) or [None] * len(self._actors)
        for actor, memory in zip(self._actors, memories, strict=True):
            actor.remember(memory)

    def restore_episodes(
        self, state: Mapping[str, Any] | None, seed: int | None = None, resets: int = 0
    ) -> str | None:
        """Go on with saved episodes.

        Args:
            state: from :meth:`save_episodes`, or ``None`` if nothing was saved of this runner.
            seed: as in :meth:`restart_episodes`, for a runner without state.
            resets: likewise.

        Returns:
            Why new episodes begin instead, or ``None`` if the saved ones go on.
        """
        if state is None:
            self.restart_episodes(self.seed if seed is None else seed, resets)
            return "it holds nothing of some env runners"
        self.seed, self._resets = state["seed"], state["resets"]
        self._generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._episode_metrics.episodes.clear()
        self._episode_metrics.episodes.extend(state["finished"])
        if self._collector is None or self.config.in_evaluation:
            return None
        self._hooks.forget()
        if self._resets == 0:
            self._collector.stop()
            return None
        if state["copies"] != self._collector.env.num_copies:
            reason = f"it holds {state['copies']} copies per env runner, not {self._collector.env.num_copies}"
        elif state["running"] is None:
            reason = "this environment cannot save its state"
        else:
            self._go_on(state["running"])
            return None
        self._reset()
        return reason

    def restart_episodes(self, seed: int, resets: int) -> None:
        """Begin new episodes.

        Args:
            seed: what all seeds of this runner follow from.
            resets: tells these episodes from those that came before.
        """
        self.seed, self._resets = seed, resets
        self._generator.manual_seed(self._draw_seed(f"actions-{self._resets}"))
        self._episode_metrics.episodes.clear()
        if self._collector is not None:
            self._reset()
