"""The training step of constrained policy optimisation."""

from __future__ import annotations

from ray.rllib.algorithms.ppo import PPO
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import (
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from rllib_safemarl.algorithms.columnar_algorithm import SAMPLED_STEPS, ColumnarAlgorithm
from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.columns import ColumnBatch


class ConstrainedPolicyOptimization(ColumnarAlgorithm, PPO):
    """Sample columns, update the team, send the weights.

    Attributes:
        config_class: the preset's config.
    """

    config_class: type[ConstrainedConfig] = ConstrainedConfig

    @classmethod
    def get_default_config(cls) -> ConstrainedConfig:
        """The preset."""
        return cls.config_class()

    def training_step(self) -> None:
        """One batch through sampling, learning and weight sync."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            batch = self.sample()
        if batch is None:
            return
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                training_data=self._shard(batch),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.metrics.peek(SAMPLED_STEPS)},
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner.set_state(self.weights())

    def _shard(self, batch: ColumnBatch) -> TrainingData:
        learners = self.config.num_learners
        if learners == 0:
            return TrainingData(batch=batch)
        if batch.copies < learners:
            raise SafeMARLError(
                f"{batch.copies} copies cannot be spread over num_learners={learners}; raise "
                "num_envs_per_env_runner or num_env_runners."
            )
        return TrainingData(batches=batch.shards(learners))
