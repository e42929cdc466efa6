"""Suites: which rows are compared, on which environments, under which seeds; read without Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.published import PublishedTable, read_published
from rllib_safemarl.evaluation.suite_figures import SuiteFigures, read_figures
from rllib_safemarl.evaluation.suite_grids import Choices, read_tuning
from rllib_safemarl.evaluation.suite_parts import (
    chosen,
    mapping,
    positive,
    read_all_variants,
    read_controllers,
    read_seeds,
    some,
)
from rllib_safemarl.evaluation.suite_rows import TrialMaker
from rllib_safemarl.evaluation.suite_trials import SHIELD, SuiteEvaluation, SuiteTrial, evaluations_of

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
    "tuning",
    "figures",
    "published",
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
BUDGET_KEYS = (
    "rows",
    "controllers",
    "environments",
    "unseen",
    "variants",
    "seeds",
    "evaluation_episodes",
    "tuning",
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
        tuning: evaluations of every point of the grids of rows, on seeds of their own.
        tuning_episodes: of each of these.
        figures: what is drawn beside the usual.
        published: tables that others printed, to stand below ours.
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
    tuning: tuple[SuiteEvaluation, ...] = ()
    tuning_episodes: int = 0
    figures: SuiteFigures = field(default_factory=SuiteFigures)
    published: tuple[PublishedTable, ...] = ()


def read_suite(
    name: str,
    document: Any,
    read_file: Callable[[str], Any] | None = None,
    budget: str | None = None,
    choices: Choices | None = None,
) -> Suite:
    """Read a suite.

    Args:
        name: the suite's.
        document: what its file holds.
        read_file: reads the tuned config that ``base`` names.
        budget: which of its budgets to apply.
        choices: points of grids that were chosen; without one a row has no trials yet.

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
    asked = {"seeds": 1, "evaluation_episodes": EPISODES, **document, **limits}
    controllers = read_controllers(asked.get("controllers"), rows, where)
    seeds = read_seeds(asked["seeds"], where)
    episodes = positive(asked["evaluation_episodes"], f"evaluation_episodes of {where}")
    tuning = read_tuning(asked.get("tuning"), seeds, episodes, where)
    maker = TrialMaker(where, base, limits, environments, seeds, choices or {})
    given = read_all_variants(document.get("variants"), rows, limits.get("variants"), where)
    trials, several = (*maker.of_rows(rows), *maker.of_controllers(controllers)), len(environments) > 1
    variants = _without_waiting(given, rows, trials)
    evaluations = [
        evaluation
        for trial in trials
        for evaluation in evaluations_of(trial, unseen, variants.get(trial.row, {}), several, trials)
    ]
    return Suite(
        name=name,
        title=str(document.get("title") or name),
        budget=budget or "",
        rows=(*rows, *controllers),
        environments=tuple(environments),
        unseen=tuple(unseen),
        controllers=tuple(controllers),
        seeds=seeds,
        episodes=episodes,
        trials=trials,
        evaluations=tuple(evaluations),
        tuning=tuple(maker.of_grids(rows, tuning)),
        tuning_episodes=tuning.episodes,
        figures=read_figures(document.get("figures"), document["rows"], where),
        published=read_published(document.get("published"), where),
    )


def _without_waiting(
    variants: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Any], trials: Sequence[SuiteTrial]
) -> dict[str, dict[str, Any]]:
    """Variants less those whose shield is a row with a grid, of which no point has been chosen yet."""
    waiting = {row for row, spec in rows.items() if isinstance(spec, Mapping) and "tune" in spec}
    waiting -= {trial.row for trial in trials}
    return {
        row: {name: changes for name, changes in own.items() if str(changes.get(SHIELD)) not in waiting}
        for row, own in variants.items()
    }


def _read_unseen(
    document: Mapping[str, Any], limits: Mapping[str, Any], environments: Mapping[str, Any], where: str
) -> dict[str, Any]:
    unseen = chosen(document.get("unseen"), limits.get("unseen"), f"unseen of {where}")
    for name in unseen:
        if name in environments:
            raise SafeMARLError(f"{where} has {name!r} both among its environments and as unseen.")
    return unseen


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
