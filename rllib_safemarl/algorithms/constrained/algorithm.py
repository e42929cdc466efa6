"""The training step of constrained policy optimisation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ray
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
    WEIGHTS_SEQ_NO,
)
from ray.util.debug import log_once

from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.files import FOLDER, save_policy
from rllib_safemarl.policies.team_policy import PolicySettings, TeamPolicy
from rllib_safemarl.rollout.actor import policy_mlps
from rllib_safemarl.rollout.columns import ColumnBatch, join_copies
from rllib_safemarl.rollout.distributions import distribution_of

logger = logging.getLogger(__name__)


class ConstrainedPolicyOptimization(PPO):
    """Sample columns, update the team, send the weights.

    Attributes:
        config_class: the preset's config.
    """

    config_class: type[ConstrainedConfig] = ConstrainedConfig

    @classmethod
    def get_default_config(cls) -> ConstrainedConfig:
        """The preset."""
        return cls.config_class()

    def __repr__(self) -> str:
        """RLlib's, which fails before ``setup()`` and so kills the actor instead of reporting its error."""
        return type(self).__name__ if self.config is None else super().__repr__()

    def training_step(self) -> None:
        """One batch through sampling, learning and weight sync."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            batch = self._sample()
        if batch is None:
            return
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                training_data=self._shard(batch),
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.metrics.peek(
                        (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
                    )
                },
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner.set_state(self.weights())

    def team_policy(self) -> TeamPolicy:
        """The present policies, ready to act without Ray.

        Raises:
            SafeMARLError: a policy is an RLModule of the user's own.
        """
        runner, config = self.env_runner, self.config
        networks = policy_mlps(runner.groups, runner.module)
        foreign = [group.policy for group in runner.groups if group.policy not in networks]
        if foreign:
            name = type(runner.module[foreign[0]]).__name__
            raise SafeMARLError(
                f"policy {foreign[0]!r} is a {name}; only MLPs of the default RLModule become policy files."
            )
        return TeamPolicy(
            runner.team,
            networks,
            {policy: distribution_of(runner.module[policy]) for policy in networks},
            PolicySettings(
                config.policy_radius,
                config.max_neighbours,
                config.normalize_actions,
                config.clip_actions,
            ),
        )

    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """RLlib's checkpoint, with the policies as small files in ``policy/`` beside it."""
        saved = super().save_to_path(path, **kwargs)
        if not Path(saved).is_dir():
            return saved
        try:
            save_policy(self.team_policy(), Path(saved) / FOLDER)
        except SafeMARLError as error:
            if log_once(f"no_policy_file_{id(self)}"):
                logger.warning("No policy file beside the checkpoint: %s", error)
        return saved

    def _sample(self) -> ColumnBatch | None:
        """A batch from the local runner, or from all healthy remote ones under current weights."""
        group = self.env_runner_group
        if group.num_remote_env_runners() == 0:
            (batch,) = self.env_runner.sample()
            self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
            return batch
        weights = self.weights()
        results = group.foreach_env_runner(
            "sample_with_weights",
            kwargs={
                "weights": ray.put(weights[COMPONENT_RL_MODULE]),
                "weights_seq_no": weights[WEIGHTS_SEQ_NO],
            },
            local_env_runner=False,
            timeout_seconds=self.config.sample_timeout_s,
        )
        if not results:
            return None
        batches, metrics = zip(*results, strict=True)
        self.metrics.aggregate(list(metrics), key=ENV_RUNNER_RESULTS)
        return join_copies(batches)

    def weights(self) -> dict[str, Any]:
        """The learners' present weights, as env runners take them over in ``set_state``."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER]
        return {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}

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
