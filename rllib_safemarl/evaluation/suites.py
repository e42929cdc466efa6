"""Suites: which rows are compared, on which environments, under which seeds; read without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.suite_parts import (
    ENVIRONMENT_KEYS,
    chosen,
    mapping,
    merged,
    positive,
    read_all_variants,
    read_controllers,
    read_seeds,
    refuse_grid,
    some,
    without,
)
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial, evaluations_of

EPISODES = 100
"""Evaluation episodes of a trial where the suite does not say."""
SUITE_KEYS = (
    "title",
    "base",
    "rows",
    "controllers",
    "environments",
    "unseen",
    "variants",
    "seeds",
    "evaluation_episodes",
    "budgets",
)
BASE_KEYS = ("run", "env", "stop", "config", "max_failures")
UNUSED_BASE_KEYS = frozenset(
    {
        "storage_path",
        "checkpoint_config",
        "checkpoint_freq",
        "checkpoint_at_end",
        "keep_checkpoints_num",
        "checkpoint_score_attr",
        "num_samples",
        "log_to_file",
        "export_formats",
        "sync_config",
    }
)
"""Keys of a tuned config that say where and how often things are saved, which a suite decides itself."""
ROW_KEYS = ("run", "config", "without", "stop", "variants")
DATA_KEYS = ("data", "split")
BUDGET_KEYS = (
    "rows",
    "controllers",
    "environments",
    "unseen",
    "variants",
    "seeds",
    "evaluation_episodes",
    "config",
    "stop",
)


@dataclass(frozen=True)
class Suite:
    """A comparison under one of its budgets.

    Attributes:
        name: the file's, without its ending.
        title: for a person.
        budget: the budget's name, or empty.
        rows: names in the order of the table, controllers last.
        environments: names of those that are trained in.
        unseen: names of those that are only evaluated in.
        controllers: names of the rows that need no training.
        seeds: of the trials.
        episodes: of each evaluation.
        trials: every row on every environment under every seed.
        evaluations: every trial as it is, in every variant and every unseen environment.
    """

    name: str
    title: str
    budget: str
    rows: tuple[str, ...]
    environments: tuple[str, ...]
    unseen: tuple[str, ...]
    controllers: tuple[str, ...]
    seeds: tuple[int, ...]
    episodes: int
    trials: tuple[SuiteTrial, ...]
    evaluations: tuple[SuiteEvaluation, ...]


def read_suite(
    name: str, document: Any, read_file: Callable[[str], Any] | None = None, budget: str | None = None
) -> Suite:
    """Read a suite.

    Args:
        name: the suite's.
        document: what its file holds.
        read_file: reads the tuned config that ``base`` names.
        budget: which of its budgets to apply.

    Raises:
        SafeMARLError: a key or a value does not fit; one line that names it.
    """
    where = f"suite {name!r}"
    document = mapping(document, where, SUITE_KEYS)
    base = _read_base(document.get("base"), where, read_file)
    limits = _read_budget(document, budget, where)
    named = f"rows of {where}"
    rows = some(chosen(document.get("rows"), limits.get("rows"), named), named)
    environments = chosen(
        document.get("environments") or {str(base.get("env", "environment")): {}},
        limits.get("environments"),
        f"environments of {where}",
    )
    unseen = _read_unseen(document, limits, environments, where)
    controllers = read_controllers(limits.get("controllers", document.get("controllers")), rows, where)
    seeds = read_seeds(limits.get("seeds", document.get("seeds", 1)), where)
    maker = _TrialMaker(where, base, limits, environments, seeds)
    variants = read_all_variants(document.get("variants"), rows, limits.get("variants"), where)
    trials, several = (*maker.of_rows(rows), *maker.of_controllers(controllers)), len(environments) > 1
    evaluations = [
        evaluation
        for trial in trials
        for evaluation in evaluations_of(trial, unseen, variants.get(trial.row, {}), several, trials)
    ]
    episodes = limits.get("evaluation_episodes", document.get("evaluation_episodes", EPISODES))
    return Suite(
        name=name,
        title=str(document.get("title") or name),
        budget=budget or "",
        rows=(*rows, *controllers),
        environments=tuple(environments),
        unseen=tuple(unseen),
        controllers=tuple(controllers),
        seeds=seeds,
        episodes=positive(episodes, f"evaluation_episodes of {where}"),
        trials=trials,
        evaluations=tuple(evaluations),
    )


@dataclass(frozen=True)
class _TrialMaker:
    """Puts base, row, environment and budget together, the later going before the earlier."""

    where: str
    base: Mapping[str, Any]
    limits: Mapping[str, Any]
    environments: Mapping[str, Any]
    seeds: tuple[int, ...]

    def of_rows(self, rows: Mapping[str, Any]) -> Iterator[SuiteTrial]:
        """Trials of all rows: those that are trained, and datasets."""
        for row, spec in rows.items():
            is_data = isinstance(spec, Mapping) and "data" in spec
            yield from (self._of_data if is_data else self._of_row)(row, spec, f"row {row!r} of {self.where}")

    def _of_data(self, row: str, spec: Any, where: str) -> Iterator[SuiteTrial]:
        """What a dataset holds, which has no seeds."""
        spec = mapping(spec, where, DATA_KEYS)
        if not isinstance(spec["data"], str):
            raise SafeMARLError(f"{where}: data must be the path of a dataset, and is {spec['data']!r}.")
        for environment, env, config in self._on_environments(self.base["config"], self.where):
            yield SuiteTrial(
                row,
                environment,
                self.seeds[0],
                env,
                _without_training(config),
                data=spec["data"],
                split=str(spec.get("split", "all")),
            )

    def _of_row(self, row: str, spec: Any, where: str) -> Iterator[SuiteTrial]:
        """Trials of a row that is trained."""
        if isinstance(spec, Mapping) and "algorithm" in spec:
            raise SafeMARLError(f"{where} has no key 'algorithm': it is called run, as in tuned configs.")
        spec = mapping(spec or {}, where, ROW_KEYS)
        config = without(self.base["config"], spec.get("without") or [], where)
        config = merged(config, mapping(spec.get("config") or {}, f"config of {where}"))
        if "seed" in config:
            raise SafeMARLError(f"{where} sets seed: seeds stand in the suite itself, for every row.")
        run = spec.get("run", self.base.get("run"))
        if not isinstance(run, str):
            raise SafeMARLError(f"{where} names no algorithm: add run: SCAL_MAPPO_L there, or to its base.")
        stop = self.limits.get("stop", spec.get("stop", self.base.get("stop")))
        if not isinstance(stop, Mapping) or not stop:
            raise SafeMARLError(f"{where} has no stop, such as stop: {{training_iteration: 100}}.")
        for environment, env, merged_config in self._on_environments(config, where):
            for seed in self.seeds:
                yield SuiteTrial(
                    row=row,
                    environment=environment,
                    seed=seed,
                    env=env,
                    config={**merged_config, "seed": seed},
                    run=run,
                    stop=dict(stop),
                    max_failures=int(self.base.get("max_failures") or 0),
                )

    def of_controllers(self, controllers: list[str]) -> Iterator[SuiteTrial]:
        """Controllers, which are not trained."""
        for controller in controllers:
            for environment, env, config in self._on_environments(self.base["config"], self.where):
                for seed in self.seeds:
                    kept = {**_without_training(config), "seed": seed}
                    yield SuiteTrial(controller, environment, seed, env, kept, controller=controller)

    def _on_environments(
        self, config: Mapping[str, Any], where: str
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every environment: its name, Ray's name of it, and the config there."""
        for name, spec in self.environments.items():
            named = f"environment {name!r} of {self.where}"
            spec = mapping(spec or {}, named, ENVIRONMENT_KEYS)
            env = spec.get("env", self.base.get("env"))
            if not isinstance(env, str):
                raise SafeMARLError(
                    f"{named} names none: add env: safemarl/crossing there, or to the base of the suite."
                )
            settings = mapping(spec.get("env_config") or {}, f"env_config of {named}")
            there = merged(config, {"env_config": settings} if settings else {})
            over = self.limits.get("config") or {}
            there = merged(there, mapping(over, f"config of the budget of {self.where}"))
            refuse_grid(there, where)
            there.pop("env", None)
            yield name, env, there


def _read_unseen(
    document: Mapping[str, Any], limits: Mapping[str, Any], environments: Mapping[str, Any], where: str
) -> dict[str, Any]:
    unseen = chosen(document.get("unseen"), limits.get("unseen"), f"unseen of {where}")
    for name in unseen:
        if name in environments:
            raise SafeMARLError(f"{where} has {name!r} both among its environments and as unseen.")
    return unseen


def _without_training(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("env_config", "cost_limit") if key in config}


def _read_base(base: Any, where: str, read_file: Callable[[str], Any] | None) -> dict[str, Any]:
    """Keys of the experiment that rows vary, its config always there and without seed."""
    named = f"base of {where}"
    if isinstance(base, str) and read_file is not None:
        file, _, experiment = base.partition("#")
        base = read_file(file)
        if not isinstance(base, Mapping) or (not experiment and len(base) != 1):
            raise SafeMARLError(
                f"{named}: {file} must hold exactly one experiment; of several name one by {file}#NAME."
            )
        experiment = experiment or next(iter(base))
        if experiment not in base:
            raise SafeMARLError(f"{named}: {file} has no {experiment!r}.{nearest_name(experiment, base)}")
        base = base[experiment]
    if base is None:
        raise SafeMARLError(f"{where} has no base: name a tuned config, or give run, env, stop and config.")
    kept = {key: value for key, value in mapping(base, named).items() if key not in UNUSED_BASE_KEYS}
    mapping(kept, named, BASE_KEYS)
    config = dict(mapping(kept.get("config") or {}, f"config of the {named}"))
    config.pop("seed", None)
    if "env" in config:
        kept.setdefault("env", config.pop("env"))
    return {**kept, "config": config}


def _read_budget(document: Mapping[str, Any], budget: str | None, where: str) -> dict[str, Any]:
    budgets = mapping(document.get("budgets") or {}, f"budgets of {where}")
    checked = {
        str(name): mapping(limits or {}, f"budget {name!r} of {where}", BUDGET_KEYS)
        for name, limits in budgets.items()
    }
    if budget is None:
        return {}
    if budget not in checked:
        known = f"It has: {', '.join(checked)}." if checked else "It has none."
        raise SafeMARLError(f"{where} has no budget {budget!r}.{nearest_name(budget, checked)} {known}")
    return dict(checked[budget])
