"""How rows do over all environments, and what is left of them where they were not trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rllib_safemarl.evaluation.comparison_rows import RowSummary
from rllib_safemarl.evaluation.controllers import RANDOM
from rllib_safemarl.evaluation.statistics import Estimate
from rllib_safemarl.evaluation.statistics_bootstrap import Float, bootstrap_interval, enough, over_seeds
from rllib_safemarl.evaluation.statistics_profiles import probability_of_improvement
from rllib_safemarl.evaluation.suite_trials import TRAINED_IN
from rllib_safemarl.functional.safety_metrics import generalisation_ratio, normalised_return


@dataclass(frozen=True)
class Generalisation:
    """What is left of a row's return where it was not trained.

    Attributes:
        name: the row, with its variant.
        trained_in: the environment it was trained in.
        trained: return there, 0 being random actions' and 1 the best other controller's.
        unseen: unseen environment → the same there.
        ratio: mean over unseen environments of what is left.
    """

    name: str
    trained_in: str
    trained: Estimate
    unseen: Mapping[str, Estimate]
    ratio: Estimate


def generalisations(
    rows: Sequence[RowSummary], controllers: Sequence[str], unseen: Sequence[str]
) -> list[Generalisation]:
    """How rows do elsewhere, between random actions and the best controller.

    Args:
        rows: of a comparison.
        controllers: its controllers; without ``random`` and another one there is no scale.
        unseen: names of its unseen environments.
    """
    scales = _scales(rows, controllers)
    found = []
    for row in rows:
        if row.row in controllers or is_elsewhere(row.environment, unseen) or row.environment not in scales:
            continue
        there = {
            r.environment.split(TRAINED_IN)[0]: _normalised(r, scales[r.environment])
            for r in rows
            if r.name == row.name
            and r.environment in scales
            and is_elsewhere(r.environment, unseen, row.environment)
        }
        if there:
            found.append(_generalisation(row, _normalised(row, scales[row.environment]), there))
    return found


def _generalisation(
    row: RowSummary, here: Mapping[Any, float], there: Mapping[str, Mapping[Any, float]]
) -> Generalisation:
    ratios = [
        float(np.mean([generalisation_ratio(values[seed], here[seed]) for values in there.values()]))
        for seed in here
        if all(seed in values for values in there.values())
    ]
    return Generalisation(
        row.name,
        row.environment,
        over_seeds(list(here.values())),
        {label: over_seeds(list(values.values())) for label, values in there.items()},
        over_seeds([ratio for ratio in ratios if math.isfinite(ratio)]),
    )


def is_elsewhere(environment: str, unseen: Sequence[str], trained_in: str | None = None) -> bool:
    """Whether rows were not trained there, but (in particular) in ``trained_in``."""
    label, _, origin = environment.partition(TRAINED_IN)
    return label in unseen and (trained_in is None or origin in ("", trained_in))


def _scales(rows: Sequence[RowSummary], controllers: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Environment → return of random actions, and the best return of another controller."""
    returns: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.row in controllers and row.seeds_done:
            returns.setdefault(row.environment, {})[row.row] = row.of("return").mean
    return {
        environment: (of[RANDOM], max(value for name, value in of.items() if name != RANDOM))
        for environment, of in returns.items()
        if RANDOM in of and len(of) > 1
    }


def _normalised(row: RowSummary, scale: tuple[float, float]) -> dict[Any, float]:
    """Seed → return between random actions and the best controller."""
    seeds = row.lines["seed"].tolist()
    return {s: normalised_return(v, *scale) for s, v in zip(seeds, row.values("return"), strict=True)}


@dataclass(frozen=True)
class Overall:
    """A row over all environments that it was trained in.

    Attributes:
        row: its name.
        scores: one array of runs per environment: returns, 0 the least and 1 the greatest of any row there.
        costs: the same of worst agents' costs over their limits; empty without limits everywhere.
        score: interquartile mean with its stratified bootstrap interval.
        improvement: chance that a run of the first row is better.
        seeds_held: runs within their limits; None without limits.
        runs: of all environments.
    """

    row: str
    scores: Sequence[Float]
    costs: Sequence[Float]
    score: Estimate
    improvement: Estimate
    seeds_held: int | None
    runs: int


def over_environments(
    rows: Sequence[RowSummary], controllers: Sequence[str], unseen: Sequence[str]
) -> list[Overall]:
    """Trained rows, as they were trained, over all environments in which every one of them has runs."""
    trained = [row for row in rows if _is_as_trained(row, controllers, unseen)]
    names = list(dict.fromkeys(row.row for row in trained))
    by_place: dict[str, dict[str, RowSummary]] = {}
    for row in trained:
        by_place.setdefault(row.environment, {})[row.row] = row
    shared = [place for place in by_place.values() if set(place) == set(names)]
    if not shared:
        return []
    scores = {name: list(_scores(shared, name)) for name in names}
    return [_overall(name, [place[name] for place in shared], scores, names[0]) for name in names]


def _is_as_trained(row: RowSummary, controllers: Sequence[str], unseen: Sequence[str]) -> bool:
    learned = "steps" in row.lines and bool(row.lines["steps"].notna().any())
    other = bool(row.variant) or row.row in controllers or is_elsewhere(row.environment, unseen)
    return learned and not other


def _scores(places: Sequence[Mapping[str, RowSummary]], name: str) -> Iterator[Float]:
    """Per environment the row's returns on the scale of all rows."""
    for place in places:
        everything = np.concatenate([row.values("return") for row in place.values()])
        low, high = float(everything.min()), float(everything.max())
        values = place[name].values("return")
        yield np.array([normalised_return(v, low, high) if high > low else 0.5 for v in values])


def _overall(name: str, rows: Sequence[RowSummary], scores: Mapping[str, list[Float]], first: str) -> Overall:
    sizes = [len(task) for task in scores[name]]
    mean = bootstrap_interval(scores[name])
    held = [row.seeds_held for row in rows if row.seeds_held is not None]
    limited = all(np.isfinite(row.limit) and row.limit > 0.0 for row in rows)
    return Overall(
        name,
        scores[name],
        [np.array(row.values("worst_agent_cost")) / row.limit for row in rows] if limited else [],
        mean if enough(sizes) else Estimate(mean.mean, math.nan, math.nan, mean.count, mean.method),
        probability_of_improvement(scores[first], scores[name]),
        sum(held) if held else None,
        sum(sizes),
    )
