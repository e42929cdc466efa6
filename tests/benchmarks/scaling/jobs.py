"""The job that is measured, and the env runners that stand in for many, or sleep."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml
from ray.tune.registry import register_env

from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.rollout.runner import ColumnarEnvRunner

JOB = Path(__file__).parents[3] / "tuned_configs" / "online" / "crossing" / "remote.yaml"
SLEEPING = "scaling/sleeping"
FEW_CPUS = 0.1
"""That an actor asks Ray for, so that as many start as a check wants."""


def job(copy_steps: int, runners: int = 0, learners: int = 0) -> Any:
    """The config of :data:`JOB`, without its evaluation.

    Args:
        copy_steps: steps of every copy in an iteration.
        runners: remote env runners; 0 samples in the driver.
        learners: remote learners; 0 learns in the driver.
    """
    (experiment,) = yaml.safe_load(JOB.read_text(encoding="utf-8")).values()
    settings = {k: v for k, v in experiment["config"].items() if not k.startswith("evaluation")}
    config = ALGORITHMS[experiment["run"]].get_default_config().environment(experiment["env"])
    config.update_from_dict(settings)
    steps = copy_steps * config.num_envs_per_env_runner * max(1, runners)
    config.env_runners(num_env_runners=runners, num_cpus_per_env_runner=FEW_CPUS)
    config.learners(num_learners=learners, num_cpus_per_learner=FEW_CPUS)
    return config.training(train_batch_size_per_learner=-(-steps // max(1, learners)))


class Adjustable(ColumnarEnvRunner):
    """Samples as many steps as it is told to, and answers later than it could.

    Attributes:
        copy_steps: steps of every copy in a share; 0 for the config's.
        delay: seconds.
    """

    copy_steps = 0
    delay = 0.0

    def _fragment_steps(self, num_timesteps: int | None) -> int:
        return self.copy_steps or super()._fragment_steps(num_timesteps)

    def sample_with_weights(self, *args: Any, **request: Any) -> Any:
        time.sleep(self.delay)
        return super().sample_with_weights(*args, **request)


class StandIn(Adjustable):
    """Answers every request with what it sampled for the first one.

    Attributes:
        kept: the answer.
    """

    kept: Any = None

    def sample_with_weights(self, *args: Any, **request: Any) -> Any:
        if self.kept is None:
            self.kept = super().sample_with_weights(*args, **request)
        return self.kept


def set_runners(algo: Any, **values: Any) -> None:
    """Set attributes of all remote env runners."""
    algo.env_runner_group.foreach_env_runner(
        lambda runner: [setattr(runner, name, value) for name, value in values.items()],
        local_env_runner=False,
    )


def keep_runners(algo: Any, count: int) -> None:
    """Let RLlib forget all remote env runners but the first ones; the others stay alive and idle."""
    manager = algo.env_runner_group._worker_manager
    for actor in manager.actor_ids()[count:]:
        manager.remove_actor(actor)


class SleepingVectorEnv(CrossingVectorEnv):
    """The crossing, whose copies take so long one after another, without using the CPU.

    Args:
        num_copies: N.
        step_seconds: of each copy's step.
        settings: the crossing's.
    """

    def __init__(self, num_copies: int = 1, step_seconds: float = 0.0, **settings: Any) -> None:
        super().__init__(num_copies, **settings)
        self._seconds = step_seconds * num_copies

    def step(self, actions: Any) -> Any:
        time.sleep(self._seconds)
        return super().step(actions)


class _Sleeping:
    def __init__(self, settings: Any) -> None:
        self._settings = dict(settings)

    def make_vector(self, num_copies: int) -> SleepingVectorEnv:
        return SleepingVectorEnv(num_copies, **self._settings)


def register_sleeping() -> None:
    """Make :data:`SLEEPING` known to Ray."""
    register_env(SLEEPING, _Sleeping)
