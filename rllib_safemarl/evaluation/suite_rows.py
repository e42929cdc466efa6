"""Rows of suites as trials: base, row, environment, budget and grid put together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.suite_grids import Choices, Tuning, read_grid
from rllib_safemarl.evaluation.suite_parts import ENVIRONMENT_KEYS, mapping, merged, refuse_grid, without
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation, SuiteTrial

ROW_KEYS = ("run", "config", "without", "stop", "variants", "tune")
DATA_KEYS = ("data", "split")


@dataclass(frozen=True)
class TrialMaker:
    """Puts base, row, environment, budget and the chosen point of a grid together, later ones going first.

    What a row does without and does not set itself, a budget does not set for it either.

    Attributes:
        where: the suite, for errors.
        base: of the suite.
        limits: of the budget.
        environments: by name.
        seeds: of the trials.
        choices: points of grids that were chosen.
    """

    where: str
    base: Mapping[str, Any]
    limits: Mapping[str, Any]
    environments: Mapping[str, Any]
    seeds: tuple[int, ...]
    choices: Choices = field(default_factory=dict)

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
        """Trials of a row that is trained; of one with a grid only where a point was chosen."""
        for environment, points in self._points(row, spec, where).items():
            chosen = points.get(self.choices.get((row, environment), ""))
            if chosen is not None:
                yield from (_seeded(chosen, seed) for seed in self.seeds)

    def of_grids(self, rows: Mapping[str, Any], tuning: Tuning) -> Iterator[SuiteEvaluation]:
        """Evaluations of every point of every row with a grid, where it was trained."""
        for row, spec in rows.items():
            if not isinstance(spec, Mapping) or "tune" not in spec:
                continue
            for environment, points in self._points(row, spec, f"row {row!r} of {self.where}").items():
                for point, trial in points.items():
                    env_config = dict(trial.config.get("env_config") or {})
                    for seed in tuning.seeds:
                        yield SuiteEvaluation(
                            _seeded(trial, seed), environment, trial.env, env_config, point=point
                        )

    def _points(self, row: str, spec: Any, where: str) -> dict[str, dict[str, SuiteTrial]]:
        """Environment → point of the row's grid, or an empty name without one → trial without a seed."""
        if isinstance(spec, Mapping) and "algorithm" in spec:
            raise SafeMARLError(f"{where} has no key 'algorithm': it is called run, as in tuned configs.")
        spec = mapping(spec or {}, where, ROW_KEYS)
        left_out = spec.get("without") or []
        config = without(self.base["config"], left_out, where)
        config = merged(config, mapping(spec.get("config") or {}, f"config of {where}"))
        if "seed" in config:
            raise SafeMARLError(f"{where} sets seed: seeds stand in the suite itself, for every row.")
        run = spec.get("run", self.base.get("run"))
        if not isinstance(run, str):
            raise SafeMARLError(f"{where} names no algorithm: add run: SCAL_MAPPO_L there, or to its base.")
        stop = self.limits.get("stop", spec.get("stop", self.base.get("stop")))
        if not isinstance(stop, Mapping) or not stop:
            raise SafeMARLError(f"{where} has no stop, such as stop: {{training_iteration: 100}}.")
        grid = read_grid(spec["tune"], where) if "tune" in spec else {"": {}}
        failures = int(self.base.get("max_failures") or 0)
        return {
            environment: {
                name: SuiteTrial(
                    row, environment, 0, env, merged(there, point), run, dict(stop), max_failures=failures
                )
                for name, point in grid.items()
            }
            for environment, env, there in self._on_environments(config, where, {*left_out} - {*config})
        }

    def of_controllers(self, controllers: list[str]) -> Iterator[SuiteTrial]:
        """Controllers, which are not trained."""
        for controller in controllers:
            for environment, env, config in self._on_environments(self.base["config"], self.where):
                for seed in self.seeds:
                    kept = {**_without_training(config), "seed": seed}
                    yield SuiteTrial(controller, environment, seed, env, kept, controller=controller)

    def _on_environments(
        self, config: Mapping[str, Any], where: str, left_out: Collection[str] = ()
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every environment: its name, Ray's name of it, the config there; no budget sets ``left_out``."""
        for name, spec in self.environments.items():
            named = f"environment {name!r} of {self.where}"
            spec = mapping(spec or {}, named, ENVIRONMENT_KEYS)
            env = spec.get("env", self.base.get("env"))
            if not isinstance(env, str):
                raise SafeMARLError(
                    f"{named} names none: add env: safemarl/crossing there, or to the base of the suite."
                )
            settings = mapping(spec.get("env_config") or {}, f"env_config of {named}")
            own = mapping(spec.get("config") or {}, f"config of {named}")
            there = merged(merged(config, own), {"env_config": settings} if settings else {})
            if "seed" in own:
                raise SafeMARLError(f"{named} sets seed: seeds stand in the suite itself, for every row.")
            over = mapping(self.limits.get("config") or {}, f"config of the budget of {self.where}")
            there = merged(there, {key: value for key, value in over.items() if key not in left_out})
            refuse_grid(there, where)
            there.pop("env", None)
            yield name, env, there


def _seeded(trial: SuiteTrial, seed: int) -> SuiteTrial:
    return replace(trial, config={**trial.config, "seed": seed}, seed=seed)


def _without_training(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("env_config", "cost_limit") if key in config}
