"""One row of a suite on one environment under one seed, and the digest that tells whether it is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DIGITS = 10
EVALUATION_SEED = 1_000_000
"""Added to a trial's seed: episodes of the evaluation are none of the training."""


@dataclass(frozen=True)
class SuiteTrial:
    """A trial of a suite.

    Attributes:
        row: name of its row.
        environment: name of its environment in the suite.
        seed: its seed.
        env: Ray's name of the environment.
        config: of the algorithm, seed included; of a controller only what the environment needs.
        run: the algorithm's name; None for a controller.
        stop: metric → value from which on training stops.
        controller: the controller's name; None for an algorithm.
        max_failures: how often Tune starts it again.
    """

    row: str
    environment: str
    seed: int
    env: str
    config: Mapping[str, Any]
    run: str | None = None
    stop: Mapping[str, Any] = field(default_factory=dict)
    controller: str | None = None
    max_failures: int = 0

    @property
    def digest(self) -> str:
        """Of everything that the result depends on, so that a changed row is another trial."""
        content = {
            "run": self.run,
            "controller": self.controller,
            "env": self.env,
            "config": self.config,
            "stop": self.stop,
        }
        text = json.dumps(_canonical(content), sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def folder(self) -> str:
        """Name of its folder."""
        words = re.sub(r"[^\w.-]+", "_", f"{self.row}-{self.environment}").strip("_")
        return f"{words}-seed{self.seed}-{self.digest}"

    @property
    def limit(self) -> Any:
        """``cost_limit`` of its config: a number, a dict from cost name to limit, or None."""
        return self.config.get("cost_limit")

    @property
    def evaluation_seed(self) -> int:
        """Seed of the evaluation, equal for all rows."""
        return EVALUATION_SEED + self.seed


def trial_names(trials: tuple[SuiteTrial, ...]) -> dict[str, str]:
    """Folder → name for a person, with the environment only where there are several."""
    several = len({trial.environment for trial in trials}) > 1
    return {
        trial.folder: f"{trial.row}{f', {trial.environment}' if several else ''}, seed {trial.seed}"
        for trial in trials
    }


def _canonical(value: Any) -> Any:
    """Keys as text, so that they can be sorted."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(below) for below in value]
    # A limit of 1 and one of 1.0 are the same.
    return int(value) if isinstance(value, float) and value.is_integer() else value
