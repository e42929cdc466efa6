"""`ColumnarEnvRunner`: RLlib's EnvRunner that samples N copies in columns."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import NUM_ENV_STEP_FAILURES_LIFETIME, EnvRunner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, SAMPLE_TIMER, WEIGHTS_SEQ_NO

from rllib_safemarl.envs.team import TEAM, Team, describe_team, make_groups, make_views
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.actor import Actor
from rllib_safemarl.rollout.actor import make_actors
from rllib_safemarl.rollout.collector import Collector, EnvironmentFailedError, Episode
from rllib_safemarl.rollout.columns import ColumnBatch
from rllib_safemarl.rollout.episode_hooks import Callbacks, EpisodeHooks
from rllib_safemarl.rollout.episode_metrics import EpisodeMetrics
from rllib_safemarl.rollout.make_env import make_vector_env
from rllib_safemarl.rollout.runner_state import RunnerState

logger = logging.getLogger(__name__)

MOST_FAILURES = 10
"""So many times in a row an environment is created anew before its failure is raised after all."""
EVALUATION_STEPS = 16
"""Steps per block while episodes are counted; at most so many are wasted per evaluation."""


class ColumnarEnvRunner(RunnerState, EnvRunner):
    """Samples ``num_envs_per_env_runner`` copies at once; see ``rollout/columns.py`` for what it returns."""

    def __init__(
        self,
        *,
        config: Any,
        env_creator: Any = None,
        spaces: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(config=config, **kwargs)
        self.worker_index: int = kwargs.get("worker_index") or 0
        self._env_creator = env_creator
        self._spaces = spaces
        self._weights_seq_no = 0
        self._resets = 0
        self._failures = 0
        given = self.config.seed
        self.seed = int(np.random.SeedSequence().generate_state(1)[0] if given is None else given)
        self._callbacks = Callbacks(self.config)
        self.module: MultiRLModule | None = None
        self.team: Team | None = spaces[TEAM] if spaces else None
        self._collector: Collector | None = None
        self._generator = torch.Generator().manual_seed(self._draw_seed("actions"))
        remote = self.config.num_env_runners > 0
        if self.worker_index > 0 or not remote or self.config.create_env_on_local_worker:
            self.make_env()
        self.make_module()

    # Building.

    def make_env(self) -> None:
        """Create the copies from the config; also called after an environment failed."""
        if self.env is not None:
            self.env.close()
        self.env: VectorEnv = make_vector_env(
            self._env_creator, self.config, self._env_context(), self.config.num_envs_per_env_runner
        )
        self.team = self.describe_team()
        self.config.check_team(self.team)
        self._collector = None
        if self.module is not None:
            self._connect()
        self._callbacks.call(
            "on_environment_created",
            env_runner=self,
            metrics_logger=self.metrics,
            env=self.env,
            env_context=self._env_context(),
        )

    def describe_team(self) -> Team:
        """The team of the environment."""
        return describe_team(self.env, self.config.policy_mapping, self.config.agent_graph)

    def make_module(self) -> None:
        """Build the inference-only modules, the views and the acting side."""
        assert self.team is not None
        team = self.team
        self._views = make_views(team, self.config.policy_radius, self.config.max_neighbours)
        self.groups = make_groups(team, self._views, self.config.has_own_modules)
        spec = self.config.get_multi_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        self._actors = self.make_actors()
        self._move(self.device)
        # Several runners together make up the window; an evaluation averages over all it ran.
        episodes = (
            self.config.evaluation_duration
            if self.config.in_evaluation and isinstance(self.config.evaluation_duration, int)
            else self.config.metrics_num_episodes_for_smoothing
        )
        window = max(1, -(-episodes // max(1, self.config.num_env_runners)))
        limits = None if self.config.cost_limit is None else self.config.limits(team)
        self._episode_metrics = EpisodeMetrics(
            self.metrics, team, self._actors, window, self.config.report_per_agent, limits
        )
        self._connect()

    @property
    def device(self) -> torch.device:
        """Where policies act: on a GPU if ``num_gpus_per_env_runner`` asks for one and there is one."""
        samples = self.worker_index > 0 or not self.config.num_env_runners
        gpu = samples and self.config.num_gpus_per_env_runner > 0 and torch.cuda.is_available()
        return torch.device("cuda" if gpu else "cpu")

    def _move(self, device: torch.device) -> None:
        if device.type == "cpu":
            return
        assert self.module is not None
        for policy in self.module.keys():
            module = self.module[policy]
            if isinstance(module, torch.nn.Module):
                module.to(device)
        for actor in self._actors:
            actor.move(device)

    def make_actors(self) -> list[Actor]:
        """The acting side of all policies."""
        assert self.module is not None
        return make_actors(self.groups, self.module, self.config.normalize_actions, self.config.clip_actions)

    def _connect(self) -> None:
        """Join environment and modules: a collector without episodes, and the hooks that watch it."""
        assert self.team is not None
        self._hooks = EpisodeHooks(
            self._callbacks,
            self.team,
            {"env_runner": self, "metrics_logger": self.metrics, "env": self.env, "rl_module": self.module},
        )
        if self.env is not None:
            for actor in self._actors:
                actor.meet(self.env)
            first_copy = max(0, self.worker_index - 1) * self.env.num_copies
            self._collector = Collector(self.env, self._views, first_copy, self.config.in_evaluation)

    def _env_context(self) -> EnvContext:
        return EnvContext(
            self.config.env_config,
            worker_index=self.worker_index,
            num_workers=self.config.num_env_runners,
        )

    def get_spaces(self) -> dict[str, Any]:
        """Spaces of the environment and of every module, and the team itself."""
        if self.env is None:
            assert self._spaces is not None
            return self._spaces
        assert self.team is not None
        spaces = self.team.spaces
        return {
            INPUT_ENV_SPACES: spaces,
            INPUT_ENV_SINGLE_SPACES: spaces,
            TEAM: self.team,
            **{g.policy: (g.observation_space, g.action_space) for g in self.groups},
        }

    # Sampling.

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[ColumnBatch]:
        """Sample steps, or whole episodes with a fixed quota per copy.

        Args:
            num_timesteps: environment steps over all copies, rounded up to whole steps of all.
            num_episodes: episodes; copy n contributes its first ``num_episodes // N`` (+ 1) after a
                reset, whether short or long, so that short ones are not favoured.
            explore: sample actions (True) or take their mode; None takes the config's.
            random_actions: not supported in columns.
            force_reset: start new episodes first.

        Returns:
            One batch per block.

        Raises:
            SafeMARLError: the environment failed or broke a contract.
        """
        if self._collector is None or self.module is None:
            raise SafeMARLError(f"env runner {self.worker_index} has no environment to sample from.")
        if random_actions:
            raise SafeMARLError("sample(random_actions=True) is not supported; see safemarl record.")
        explore = self.config.explore if explore is None else explore
        with self.metrics.log_time(SAMPLE_TIMER):
            while True:
                try:
                    if num_episodes is not None:
                        batches = self._sample_episodes(num_episodes, explore)
                    else:
                        batches = [self._sample_steps(num_timesteps, explore, force_reset)]
                except EnvironmentFailedError as error:
                    self._recreate_env(error)
                else:
                    self._failures = 0
                    return batches

    def _sample_steps(self, num_timesteps: int | None, explore: bool, force_reset: bool) -> ColumnBatch:
        assert self._collector is not None
        if force_reset or not self._collector.started:
            self._reset()
        batch, episodes = self._collect(self._fragment_steps(num_timesteps), explore)
        self._log_steps(batch)
        self._episode_metrics.add(episodes)
        return batch

    def _fragment_steps(self, num_timesteps: int | None) -> int:
        if num_timesteps is None:
            return self.config.steps_per_iteration
        return max(1, -(-num_timesteps // self.env.num_copies))

    def _collect(
        self, steps: int, explore: bool, quota: NDArray[np.int64] | None = None
    ) -> tuple[ColumnBatch, list[Episode]]:
        assert self._collector is not None
        watch = self._hooks.watch(self._actors, quota) if self._hooks.needed else None
        collected = self._collector.collect(
            steps, self._actors, explore, self._generator, self._weights_seq_no, watch
        )
        if self._hooks.needed:
            self._hooks.end_sample()
        return collected

    def _recreate_env(self, error: EnvironmentFailedError) -> None:
        """Make the environment anew, as RLlib does if the config says so; else raise the error."""
        self._failures += 1
        if not self.config.restart_failed_sub_environments or self._failures > MOST_FAILURES:
            raise error
        self.metrics.log_value(NUM_ENV_STEP_FAILURES_LIFETIME, 1, reduce="lifetime_sum")
        logger.warning("%s It is created anew, and its episodes begin anew.", error)
        self.make_env()

    def run_episodes(self, num_episodes: int, explore: bool) -> tuple[list[Episode], list[ColumnBatch]]:
        """Run whole episodes with a fixed quota per copy.

        Returns:
            Their sums, in order of their end, and the columns, in which more episodes may have begun.
        """
        batches = self._sample_episodes(num_episodes, explore)
        return list(self._episode_metrics.episodes), batches

    def _sample_episodes(self, num_episodes: int, explore: bool) -> list[ColumnBatch]:
        assert self._collector is not None
        copies = self.env.num_copies
        quota = np.full(copies, num_episodes // copies)
        quota[: num_episodes % copies] += 1
        interrupted = None if self.config.in_evaluation else self._pause()
        self._reset()
        batches: list[ColumnBatch] = []
        counted: list[Episode] = []
        while quota.any():
            batch, ended = self._collect(EVALUATION_STEPS, explore, quota.copy())
            batches.append(batch)
            for episode in ended:
                if quota[episode.copy] > 0:
                    quota[episode.copy] -= 1
                    counted.append(episode)
            self._log_steps(batch)
        self._episode_metrics.replace(counted)
        if interrupted is not None:
            self._go_on(interrupted)
        else:
            self._reset()
        return batches

    def _log_steps(self, batch: ColumnBatch) -> None:
        self.num_env_steps_sampled_lifetime += batch.env_steps()
        self._episode_metrics.log_steps(batch)
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)

    def sample_with_weights(
        self, weights: Any, weights_seq_no: int, env_steps: int
    ) -> tuple[ColumnBatch, Any] | SafeMARLError:
        """Take over weights and the count of all steps, sample a share, and return it with the metrics.

        One remote call instead of three, so that what is sampled is on-policy by construction. Bad input
        comes back as a value: raised, RLlib would restart this runner forever and tell nobody.
        """
        state = {COMPONENT_RL_MODULE: weights, WEIGHTS_SEQ_NO: weights_seq_no}
        self.set_state({**state, NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps})
        try:
            (batch,) = self.sample()
        except EnvironmentFailedError:
            raise
        except SafeMARLError as error:
            return error
        return batch, self.get_metrics()

    def get_metrics(self) -> Any:
        """Counts since the last call, and means over the last episodes."""
        self._episode_metrics.log_window()
        return self.metrics.reduce()

    # Health.

    def assert_healthy(self) -> None:
        """Environment and modules are there."""
        assert self.env is not None and self.module is not None

    def stop(self) -> None:
        """Release the environment."""
        if self.env is not None:
            self.env.close()
