"""What every online algorithm of ours does alike: sample columns, keep all state, say what it costs."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    WEIGHTS_SEQ_NO,
)

from rllib_safemarl.algorithms.results import complete_results
from rllib_safemarl.algorithms.team_algorithm import TeamAlgorithm
from rllib_safemarl.rollout.columns import ColumnBatch, join_copies
from rllib_safemarl.rollout.remote_episodes import restore_remote, save_remote
from rllib_safemarl.rollout.remote_sampling import RemoteSampling
from rllib_safemarl.rollout.runner import ColumnarEnvRunner

logger = logging.getLogger(__name__)

REMOTE_EPISODES = "remote_episodes"
"""Key of an algorithm's state under which the running episodes of remote env runners stand."""
SAMPLE_AGE_MAX = "sample_age_max"
"""Result: how many updates old the oldest weights were that sampled for the last update."""
DROPPED_STEPS = "num_env_steps_dropped_lifetime"
"""Result: environment steps so far that were too old to be learnt from."""

SAMPLED_STEPS = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
"""Where the metrics have the environment steps so far."""


class ColumnarAlgorithm(TeamAlgorithm):
    """Sampling in columns, and checkpoints with the state of all env runners."""

    _sampling: RemoteSampling | None = None
    _sample_age: int = 0

    # Training.

    def setup(self, config: Any) -> None:
        """RLlib's, which goes on without env runners that failed, and then only misses their spaces.

        Raises:
            SafeMARLError: why no remote env runner could be started.
        """
        try:
            super().setup(config)
        except IndexError:
            if self.config.num_env_runners > 0:
                # One more runner, in this process, fails as the remote ones did, but says why.
                ColumnarEnvRunner(config=self.config, env_creator=self.env_creator, worker_index=1)
            raise

    def step(self) -> dict[str, Any]:
        """RLlib's iteration, with limits and cost estimates in its results."""
        results = super().step()
        team, config = self.team, self.config
        limits = None if config.cost_limit is None else config.limits(team)
        complete_results(results, limits, team)
        figures = results[ENV_RUNNER_RESULTS]
        figures[SAMPLE_AGE_MAX] = self._sample_age
        figures[DROPPED_STEPS] = 0 if self._sampling is None else self._sampling.dropped_steps
        return results

    def sample(self) -> ColumnBatch | None:
        """A batch from the local runner, or from remote ones as :class:`RemoteSampling` has it.

        Returns:
            The copies of all runners side by side, in the order of the runners; ``None`` if all failed.

        Raises:
            SafeMARLError: the environment broke a contract, such as that of costs, or hangs.
        """
        if self.env_runner_group.num_remote_env_runners() == 0:
            (batch,) = self.env_runner.sample()
            self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
            return batch
        if self._sampling is None:
            self._sampling = RemoteSampling(self.env_runner_group, self.config)
        weights = self.weights()
        sampled = int(self.metrics.peek(SAMPLED_STEPS, default=0))
        shares = self._sampling.sample(weights[COMPONENT_RL_MODULE], weights[WEIGHTS_SEQ_NO], sampled)
        if not shares:
            return None
        self.metrics.aggregate([share.metrics for share in shares], key=ENV_RUNNER_RESULTS)
        batch = join_copies([share.batch for share in shares])
        self._sample_age = weights[WEIGHTS_SEQ_NO] - batch.weights_seq_no
        return batch

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """RLlib's; runners that came back begin other episodes than in their first life."""
        restored = super().restore_env_runners(env_runner_group)
        if restored and env_runner_group is self.env_runner_group:
            seed, resets = self.env_runner.seed, self.iteration + 1
            env_runner_group.foreach_env_runner(
                lambda runner: runner.restart_episodes(seed, resets),
                remote_worker_ids=restored,
                local_env_runner=False,
                timeout_seconds=self.config.env_runner_restore_timeout_s,
            )
        return restored

    # Checkpoints.

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and the running episodes of remote env runners."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(REMOTE_EPISODES, components, not_components):
            state[REMOTE_EPISODES] = save_remote(self.env_runner_group, self.config.sample_timeout_s)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`."""
        super().set_state(state)
        if REMOTE_EPISODES in state:
            restore_remote(self.env_runner_group, state[REMOTE_EPISODES], self.iteration + 1)
            if self._sampling is not None:
                self._sampling.forget()
