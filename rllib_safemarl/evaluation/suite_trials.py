"""What a suite asks for: rows on environments under seeds, and the evaluations of each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.suite_parts import ELSEWHERE_KEYS, mapping, merged

_DIGITS = 10
SHIELD = "shield"
"""Key of a variant that names the row whose planners correct what the policies choose."""
TRAINED_IN = ", trained in "
"""Between the name of an unseen environment and that of the one a row was trained in, where several are."""
EVALUATION_SEED, VALIDATION_SEED = 1_000_000, 2_000_000
"""Added to a trial's seed: episodes of the test, and of choosing settings, are none of the training."""


@dataclass(frozen=True)
class SuiteTrial:
    """A trial of a suite.

    Attributes:
        row: name of its row.
        environment: name of its environment in the suite.
        seed: its seed.
        env: Ray's name of the environment.
        config: of the algorithm, seed included; of a controller only what the environment needs.
        run: the algorithm's name; None for a controller and a dataset.
        stop: metric → value from which on training stops.
        controller: the controller's name; None for an algorithm.
        max_failures: how often Tune starts it again.
        data: path of a dataset whose episodes are taken as they are; None for all else.
        split: of that dataset, or ``all``.
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
    data: str | None = None
    split: str = ""

    @property
    def digest(self) -> str:
        """Of everything that the result depends on, so that a changed row is another trial."""
        content = {
            "run": self.run,
            "controller": self.controller,
            "env": self.env,
            "config": self.config,
            "stop": self.stop,
            **({"data": self.data, "split": self.split} if self.data else {}),
        }
        return _digest(content)

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{_words(f'{self.row}-{self.environment}')}-seed{self.seed}-{self.digest}"

    @property
    def limit(self) -> Any:
        """``cost_limit`` of its config: a number, a dict from cost name to limit, or None."""
        return self.config.get("cost_limit")


@dataclass(frozen=True)
class SuiteEvaluation:
    """Episodes of a trial: where it was trained or elsewhere, as it was trained or in a variant.

    Attributes:
        trial: the trial.
        environment: name of the environment in the suite, the trial's own or an unseen one.
        env: Ray's name of it.
        env_config: its settings.
        variant: name of the variant; empty for none.
        changes: config keys that only hold in this evaluation.
        shield: trial of planners that correct what this one's policies choose; None for none.
        point: of the row's grid, which this evaluation is to be chosen by; empty for a test.
    """

    trial: SuiteTrial
    environment: str
    env: str
    env_config: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    shield: SuiteTrial | None = None
    point: str = ""

    @property
    def seed(self) -> int:
        """Seed of the episodes, equal for all rows; tests and choices share none."""
        return (VALIDATION_SEED if self.point else EVALUATION_SEED) + self.trial.seed

    @property
    def trials(self) -> tuple[SuiteTrial, ...]:
        """Every trial that must be trained before."""
        return (self.trial,) if self.shield is None else (self.trial, self.shield)

    @property
    def is_own(self) -> bool:
        """Whether it is of the trial as it was trained, where it was trained."""
        return not self.variant and self.environment == self.trial.environment

    @property
    def row(self) -> str:
        """Name of its line in a table."""
        return ", ".join(filter(None, [self.trial.row, self.variant, self.point]))

    @property
    def file(self) -> str:
        """Name of its record in the trial's folder."""
        if self.is_own:
            return "validation.npz" if self.point else "evaluation.npz"
        content = {"env": self.env, "config": self.env_config, "changes": self.changes}
        if self.shield is not None:
            content["shield"] = self.shield.digest
        return f"evaluation-{_words(f'{self.environment}-{self.variant}')}-{_digest(content)}.npz"


def evaluations_of(
    trial: SuiteTrial,
    unseen: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    several: bool,
    trials: Sequence[SuiteTrial] = (),
) -> Iterator[SuiteEvaluation]:
    """A trial's evaluations: where it was trained and elsewhere, as it is and in variants.

    Args:
        trial: the trial.
        unseen: name → environment that it was not trained in.
        variants: name → changes, among which ``shield`` names a row.
        several: whether the suite trains in several environments.
        trials: all of the suite, for shields.

    Raises:
        SafeMARLError: an environment does not fit, or a shield names no row that is trained.
    """
    config = dict(trial.config.get("env_config") or {})
    places = {trial.environment: (trial.env, config)}
    for name, spec in unseen.items() if trial.data is None else ():
        named = f"unseen environment {name!r}"
        spec = mapping(spec or {}, named, ELSEWHERE_KEYS)
        settings = mapping(spec.get("env_config") or {}, f"env_config of {named}")
        # Of an environment of another name the settings have other meanings.
        own = config if spec.get("env", trial.env) == trial.env else {}
        label = f"{name}{TRAINED_IN}{trial.environment}" if several else name
        places[label] = (str(spec.get("env", trial.env)), merged(own, settings))
    for environment, (env, env_config) in places.items():
        for variant, changes in {"": {}, **variants}.items():
            kept = {name: value for name, value in changes.items() if name != SHIELD}
            shield = _shield_of(trial, variant, changes[SHIELD], trials) if SHIELD in changes else None
            yield SuiteEvaluation(trial, environment, env, env_config, variant, kept, shield)


def _shield_of(trial: SuiteTrial, variant: str, row: Any, trials: Sequence[SuiteTrial]) -> SuiteTrial:
    """The trial of a row with the environment and the seed of another trial."""
    rows = {other.row: other for other in trials if other.run is not None}
    if row not in rows:
        raise SafeMARLError(
            f"variant {variant!r} of row {trial.row!r}: its shield {row!r} is no row that is "
            f"trained.{nearest_name(str(row), rows)}"
        )
    found = (t for t in trials if (t.row, t.environment, t.seed) == (row, trial.environment, trial.seed))
    return next(found)


def trial_names(evaluations: Sequence[SuiteEvaluation]) -> dict[str, str]:
    """Folder of every trial → name for a person, with the environment only where there are several."""
    several = len({evaluation.trial.environment for evaluation in evaluations}) > 1
    names = {}
    for evaluation in evaluations:
        trial = evaluation.trial
        if evaluation.is_own:
            where = f", {trial.environment}" if several else ""
            names[trial.folder] = f"{evaluation.row}{where}, seed {trial.seed}"
    return names


def evaluation_name(evaluation: SuiteEvaluation) -> str:
    """An evaluation in words."""
    trial = evaluation.trial
    where = "" if evaluation.environment == trial.environment else f" in {evaluation.environment}"
    return f"{evaluation.row}{where}, seed {trial.seed}"


def _words(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_-")


def _digest(content: Any) -> str:
    text = json.dumps(_canonical(content), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _canonical(value: Any) -> Any:
    """Keys as text, so that they can be sorted."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(below) for below in value]
    # A limit of 1 and one of 1.0 are the same.
    return int(value) if isinstance(value, float) and value.is_integer() else value
