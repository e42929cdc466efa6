"""Settings of Safe multi-agent MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from rllib_safemarl.envs.mujoco.partitions import GRAPHS
from rllib_safemarl.envs.mujoco.tasks import TASKS
from rllib_safemarl.errors import SafeMARLError, nearest_name

COSTS = ("team", "per_agent")


@dataclass(frozen=True)
class MujocoConfig:
    """Settings of ``safemarl/mujoco`` (``env_config``).

    Attributes:
        task: a key of ``TASKS``, such as ``half_cheetah``.
        partition: how joints are dealt to agents, such as ``2x3``; ``None`` takes the task's first.
        graph: ``joint`` joins agents whose joints touch a common part, ``chain`` each agent to the next.
        cost: ``team`` tells every agent 1 if any part is in danger; ``per_agent`` only those whose own part
            is, where parts can be blamed (ManyAgent Ant, ManyAgent Swimmer, Coupled HalfCheetah).
        threshold: where danger begins: metres of distance, or metres per second; ``None`` takes the task's.
        legacy: replay the published environment: its observation, cost and partition, faults included.
        time_limit: steps per episode.
        threads: of the simulation; more than one pays with many copies and idle cores.
    """

    task: str = "half_cheetah"
    partition: str | None = None
    graph: str = "joint"
    cost: str = "team"
    threshold: float | None = None
    legacy: bool = False
    time_limit: int = 1000
    threads: int = 1

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> MujocoConfig:
        """Read ``env_config``, refusing unknown names and values that do not fit."""
        names = [f.name for f in fields(cls)]
        for name in settings:
            if name not in names:
                raise SafeMARLError(
                    f"safemarl/mujoco has no env_config key {name!r}."
                    f"{nearest_name(name, names)} It knows: {', '.join(names)}."
                )
        config = cls(**settings)
        config._check_names()
        config._check_numbers()
        task = TASKS[config.task]
        config._check_legacy(task.legacy)
        return config if config.partition else replace(config, partition=task.partition)

    def _check_names(self) -> None:
        for key, value, known in (
            ("task", self.task, TASKS),
            ("graph", self.graph, GRAPHS),
            ("cost", self.cost, COSTS),
        ):
            if value not in known:
                raise SafeMARLError(
                    f"safemarl/mujoco: {key}={value!r} is not one of {', '.join(known)}."
                    f"{nearest_name(value, known)}"
                )
        task = TASKS[self.task]
        if self.partition and not task.any_partition and self.partition not in task.partitions:
            raise SafeMARLError(
                f"safemarl/mujoco: {self.task} has no partition {self.partition!r}."
                f"{nearest_name(self.partition, task.partitions)} It has: {', '.join(task.partitions)}."
            )

    def _check_numbers(self) -> None:
        for key in ("time_limit", "threads"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SafeMARLError(f"safemarl/mujoco: {key}={value!r} must be a whole number of at least 1.")
        threshold = self.threshold
        if threshold is not None and not (isinstance(threshold, (int, float)) and threshold > 0):
            unit = TASKS[self.task].unit
            raise SafeMARLError(
                f"safemarl/mujoco: threshold={threshold!r} must be a number above 0, in {unit}."
            )
        if not isinstance(self.legacy, bool):
            raise SafeMARLError(f"safemarl/mujoco: legacy={self.legacy!r} must be true or false.")

    def _check_legacy(self, published: bool) -> None:
        if not self.legacy:
            return
        if not published:
            raise SafeMARLError(
                f"safemarl/mujoco: {self.task} has no published observation to replay; leave out legacy."
            )
        for key, default in (("cost", "team"), ("threshold", None)):
            if getattr(self, key) != default:
                raise SafeMARLError(
                    f"safemarl/mujoco: {key}={getattr(self, key)!r} does not go with legacy=True, which "
                    "replays the published cost; leave out one of them."
                )
