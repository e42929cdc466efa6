"""Suites: which rows are compared, on which environments, under which seeds; read without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.suite_trials import SuiteTrial

EPISODES = 100
"""Evaluation episodes of a trial where the suite does not say."""
SUITE_KEYS = (
    "title",
    "base",
    "rows",
    "controllers",
    "environments",
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
ROW_KEYS = ("run", "config", "without", "stop")
ENVIRONMENT_KEYS = ("env", "env_config")
BUDGET_KEYS = ("rows", "controllers", "environments", "seeds", "evaluation_episodes", "config", "stop")


@dataclass(frozen=True)
class Suite:
    """A comparison under one of its budgets.

    Attributes:
        name: the file's, without its ending.
        title: for a person.
        budget: the budget's name, or empty.
        rows: names in the order of the table, controllers last.
        environments: names.
        seeds: of the trials.
        episodes: evaluation episodes of each trial.
        trials: every row on every environment under every seed.
    """

    name: str
    title: str
    budget: str
    rows: tuple[str, ...]
    environments: tuple[str, ...]
    seeds: tuple[int, ...]
    episodes: int
    trials: tuple[SuiteTrial, ...]


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
    document = _mapping(document, where, SUITE_KEYS)
    base = _read_base(document.get("base"), where, read_file)
    limits = _read_budget(document, budget, where)
    rows = _chosen(document.get("rows"), limits.get("rows"), f"rows of {where}")
    environments = _chosen(
        document.get("environments") or {str(base.get("env", "environment")): {}},
        limits.get("environments"),
        f"environments of {where}",
    )
    controllers = _read_controllers(limits.get("controllers", document.get("controllers")), rows, where)
    seeds = _read_seeds(limits.get("seeds", document.get("seeds", 1)), where)
    maker = _TrialMaker(where, base, limits, tuple(environments.items()))
    trials = [
        *(trial for row, spec in rows.items() for trial in maker.of_row(row, spec, seeds)),
        *(trial for controller in controllers for trial in maker.of_controller(controller, seeds)),
    ]
    episodes = limits.get("evaluation_episodes", document.get("evaluation_episodes", EPISODES))
    return Suite(
        name=name,
        title=str(document.get("title") or name),
        budget=budget or "",
        rows=(*rows, *controllers),
        environments=tuple(environments),
        seeds=seeds,
        episodes=_positive(episodes, f"evaluation_episodes of {where}"),
        trials=tuple(trials),
    )


@dataclass(frozen=True)
class _TrialMaker:
    """Puts base, row, environment and budget together, the later going before the earlier."""

    where: str
    base: Mapping[str, Any]
    limits: Mapping[str, Any]
    environments: tuple[tuple[str, Any], ...]

    def of_row(self, row: str, spec: Any, seeds: tuple[int, ...]) -> Iterator[SuiteTrial]:
        """Trials of a row that is trained."""
        where = f"row {row!r} of {self.where}"
        if isinstance(spec, Mapping) and "algorithm" in spec:
            raise SafeMARLError(f"{where} has no key 'algorithm': it is called run, as in tuned configs.")
        spec = _mapping(spec or {}, where, ROW_KEYS)
        config = _without(self.base["config"], spec.get("without") or [], where)
        config = merged(config, _mapping(spec.get("config") or {}, f"config of {where}"))
        if "seed" in config:
            raise SafeMARLError(f"{where} sets seed: seeds stand in the suite itself, for every row.")
        run = spec.get("run", self.base.get("run"))
        if not isinstance(run, str):
            raise SafeMARLError(f"{where} names no algorithm: add run: SCAL_MAPPO_L there, or to its base.")
        stop = self.limits.get("stop", spec.get("stop", self.base.get("stop")))
        if not isinstance(stop, Mapping) or not stop:
            raise SafeMARLError(f"{where} has no stop, such as stop: {{training_iteration: 100}}.")
        for environment, env, merged_config in self._on_environments(config, where):
            for seed in seeds:
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

    def of_controller(self, controller: str, seeds: tuple[int, ...]) -> Iterator[SuiteTrial]:
        """Evaluations of a controller, which is not trained."""
        for environment, env, config in self._on_environments(self.base["config"], self.where):
            kept: dict[str, Any] = {key: config[key] for key in ("env_config", "cost_limit") if key in config}
            for seed in seeds:
                yield SuiteTrial(
                    controller, environment, seed, env, {**kept, "seed": seed}, controller=controller
                )

    def _on_environments(
        self, config: Mapping[str, Any], where: str
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every environment: its name, Ray's name of it, and the config there."""
        for name, spec in self.environments:
            named = f"environment {name!r} of {self.where}"
            spec = _mapping(spec or {}, named, ENVIRONMENT_KEYS)
            env = spec.get("env", self.base.get("env"))
            if not isinstance(env, str):
                raise SafeMARLError(
                    f"{named} names none: add env: safemarl/crossing there, or to the base of the suite."
                )
            settings = _mapping(spec.get("env_config") or {}, f"env_config of {named}")
            there = merged(config, {"env_config": settings} if settings else {})
            over = self.limits.get("config") or {}
            there = merged(there, _mapping(over, f"config of the budget of {self.where}"))
            _refuse_grid(there, where)
            there.pop("env", None)
            yield name, env, there


def merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``config`` with ``over`` in it, nested mappings key by key."""
    both = dict(config)
    for key, value in over.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        both[key] = value
    return both


def _read_base(base: Any, where: str, read_file: Callable[[str], Any] | None) -> dict[str, Any]:
    """Keys of the experiment that rows vary, its config always there and without seed."""
    named = f"base of {where}"
    if isinstance(base, str) and read_file is not None:
        file, base = base, read_file(base)
        if not isinstance(base, Mapping) or len(base) != 1:
            raise SafeMARLError(f"{named}: {file} must hold exactly one experiment.")
        base = next(iter(base.values()))
    if base is None:
        raise SafeMARLError(f"{where} has no base: name a tuned config, or give run, env, stop and config.")
    kept = {key: value for key, value in _mapping(base, named).items() if key not in UNUSED_BASE_KEYS}
    _mapping(kept, named, BASE_KEYS)
    config = dict(_mapping(kept.get("config") or {}, f"config of the {named}"))
    config.pop("seed", None)
    if "env" in config:
        kept.setdefault("env", config.pop("env"))
    return {**kept, "config": config}


def _read_budget(document: Mapping[str, Any], budget: str | None, where: str) -> dict[str, Any]:
    budgets = _mapping(document.get("budgets") or {}, f"budgets of {where}")
    checked = {
        str(name): _mapping(limits or {}, f"budget {name!r} of {where}", BUDGET_KEYS)
        for name, limits in budgets.items()
    }
    if budget is None:
        return {}
    if budget not in checked:
        known = f"It has: {', '.join(checked)}." if checked else "It has none."
        raise SafeMARLError(f"{where} has no budget {budget!r}.{nearest_name(budget, checked)} {known}")
    return dict(checked[budget])


def _chosen(entries: Any, names: Any, where: str) -> dict[str, Any]:
    """Entries by name, all of them or those that a budget names."""
    entries = {str(name): spec for name, spec in _mapping(entries or {}, where).items()}
    if not entries:
        raise SafeMARLError(f"{where}: there are none.")
    if names is None:
        return entries
    for name in names:
        if name not in entries:
            raise SafeMARLError(f"{where}: there is none called {name!r}.{nearest_name(name, entries)}")
    return {name: entries[name] for name in names}


def _read_controllers(controllers: Any, rows: Iterable[str], where: str) -> list[str]:
    controllers = [] if controllers is None else controllers
    if not isinstance(controllers, list) or not all(isinstance(name, str) for name in controllers):
        raise SafeMARLError(f"controllers of {where} must be a list of names, such as [random, stand_still].")
    for name in controllers:
        if name in rows:
            raise SafeMARLError(f"{where} has a row and a controller that are both called {name!r}.")
    return list(dict.fromkeys(controllers))


def _read_seeds(seeds: Any, where: str) -> tuple[int, ...]:
    """A list of seeds, or how many, which counts from 0."""
    if isinstance(seeds, list):
        if not seeds or not all(_is_whole(seed) for seed in seeds) or len(set(seeds)) < len(seeds):
            raise SafeMARLError(f"seeds of {where} must be different whole numbers, and are {seeds!r}.")
        return tuple(seeds)
    return tuple(range(_positive(seeds, f"seeds of {where}")))


def _positive(value: Any, where: str) -> int:
    if not _is_whole(value) or value < 1:
        raise SafeMARLError(f"{where} must be a whole number of at least 1, and is {value!r}.")
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _mapping(value: Any, where: str, known: tuple[str, ...] | None = None) -> Mapping[str, Any]:
    """The value, if it is a mapping of known keys."""
    if not isinstance(value, Mapping):
        raise SafeMARLError(f"{where} must be a mapping, and is {value!r}.")
    for key in value:
        if known is not None and key not in known:
            raise SafeMARLError(
                f"{where} has no key {key!r}.{nearest_name(key, known)} It knows: {', '.join(known)}."
            )
    return value


def _without(config: Mapping[str, Any], keys: Any, where: str) -> dict[str, Any]:
    for key in keys:
        if key not in config:
            raise SafeMARLError(
                f"{where}: without names {key!r}, which the base does not set.{nearest_name(key, config)}"
            )
    return {key: value for key, value in config.items() if key not in keys}


def _refuse_grid(config: Any, where: str, path: str = "config") -> None:
    if isinstance(config, Mapping):
        if "grid_search" in config:
            raise SafeMARLError(f"{where}: {path} is a grid_search; make a row of every value instead.")
        for key, value in config.items():
            _refuse_grid(value, where, f"{path}.{key}")
