"""Evaluations on disk: the figures of every episode in one small file, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.evaluation.statistics import upper_bound
from rllib_safemarl.functional.safety_metrics import (
    agent_costs,
    mean_severity,
    team_returns,
    within_limits,
)

if TYPE_CHECKING:
    from rllib_safemarl.evaluation.rollouts import EpisodeSet

FORMAT = "rllib_safemarl evaluation 2"
_METRIC, _SAFETY = "metric/", "safety/"
_MEANS = ("safe_share", "strict_safe_share", "violations", "violations_per_1000")


@dataclass(frozen=True)
class EvaluationRecord:
    """E evaluated episodes of one trial.

    Attributes:
        returns: ``[E, A]`` undiscounted reward of every agent.
        costs: ``[E, A, C]`` undiscounted cost of every agent.
        lengths: ``[E]`` steps.
        metrics: name → ``[E]`` the environment's own figures, and shares of what actors note of decisions.
        safety: name → ``[E]`` figures of ``functional.safety_metrics``; none where nothing tells danger.
        cost_names: ``[C]``.
        limits: ``[C]`` of the costs, inf where there is none.
        about: where it comes from (digest, seed, version, commit, date).
    """

    returns: NDArray[np.float64]
    costs: NDArray[np.float64]
    lengths: NDArray[np.float64]
    metrics: Mapping[str, NDArray[np.float64]]
    safety: Mapping[str, NDArray[np.float64]]
    cost_names: tuple[str, ...]
    limits: tuple[float, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def episodes(self) -> int:
        """E."""
        return len(self.returns)

    def figures(self, constraint: str | None = None) -> dict[str, Any]:
        """One number per column of a table; NaN or empty where there is none.

        Args:
            constraint: whose figures stand under ``cost``, ``worst_agent_cost``, ``worst_agent_bound``,
                ``limit`` and ``constraint``; None takes the one nearest to, or farthest above, its limit.
        """
        costs = [self._cost_figures(c) for c in range(self.costs.shape[2])]
        shown = [figures for figures in costs if constraint in (None, figures["constraint"])]
        tightest = max(shown, key=_tightness, default=_NO_COST)
        several = {f"cost_{c['constraint']}": c["cost"] for c in costs} if len(costs) > 1 else {}
        return {
            "return": float(team_returns(self.returns).mean()),
            "return_std": float(team_returns(self.returns).std(ddof=1)) if self.episodes > 1 else np.nan,
            **tightest,
            "limit_held": all(c["limit_held"] for c in costs) if self._has_limit else None,
            "within_limit": self.within_limit,
            **{name: float(np.nanmean(v)) for name, v in self.metrics.items() if not np.isnan(v).all()},
            **several,
            **self.safety_figures(),
            "episode_steps": float(self.lengths.mean()),
            "episodes": self.episodes,
        }

    def safety_figures(self) -> dict[str, float]:
        """Means over episodes; severity over all dangerous steps, NaN if there was none."""
        if "clean" not in self.safety:
            return {}
        dangerous = self.safety["clean"] == 0.0
        # Records of before they told dangerous steps weigh dangerous episodes alike.
        weights = self.safety.get("dangerous_steps", dangerous.astype(float))
        return {
            **{name: float(self.safety[name].mean()) for name in _MEANS if name in self.safety},
            "dangerous_episodes": float(dangerous.mean()),
            "severity": mean_severity(self.safety["severity"], weights),
        }

    def tightness(self) -> dict[str, float]:
        """Constraint → by what share of its limit the worst agent's bound is above it; -inf without one."""
        costs = [self._cost_figures(c) for c in range(self.costs.shape[2])]
        return {figures["constraint"]: _tightness(figures) for figures in costs}

    @property
    def within_limit(self) -> float:
        """Share of episodes in which every agent kept to every limit; NaN without limits."""
        held = within_limits(self.costs, np.array(self.limits))
        return float(held.mean()) if self._has_limit else np.nan

    @property
    def _has_limit(self) -> bool:
        return any(np.isfinite(limit) for limit in self.limits)

    def _cost_figures(self, c: int) -> dict[str, Any]:
        per_agent, limit = self.costs[:, :, c], self.limits[c]
        bound = max(upper_bound(per_agent[:, i]) for i in range(per_agent.shape[1]))
        return {
            "cost": float(agent_costs(per_agent).mean()),
            "worst_agent_cost": float(agent_costs(per_agent).max()),
            "worst_agent_bound": bound,
            "limit": limit,
            "constraint": self.cost_names[c],
            "limit_held": bound <= limit,
        }


_NO_COST: dict[str, Any] = {
    "cost": np.nan,
    "worst_agent_cost": np.nan,
    "worst_agent_bound": np.nan,
    "limit": np.nan,
    "constraint": "",
    "limit_held": None,
}


def _tightness(figures: Mapping[str, Any]) -> float:
    limit = figures["limit"]
    if not np.isfinite(limit):
        return -np.inf
    return (figures["worst_agent_bound"] - limit) / max(limit, 1e-9)


def make_record(episodes: EpisodeSet, limit: Any, about: Mapping[str, Any]) -> EvaluationRecord:
    """Put an evaluation into the form it is stored in.

    Args:
        episodes: what was evaluated.
        limit: of every cost, or a dict from cost name to limit; None for none.
        about: where it comes from.
    """
    limits = [limit.get(name) if isinstance(limit, Mapping) else limit for name in episodes.cost_names]
    safety = [asdict(entry) for entry in episodes.safety]
    names = list(safety[0]) if safety else []
    return EvaluationRecord(
        returns=episodes.returns,
        costs=episodes.costs,
        lengths=episodes.lengths,
        metrics=episodes.metrics,
        safety={name: np.array([float(entry[name]) for entry in safety]) for name in names},
        cost_names=tuple(episodes.cost_names),
        limits=tuple(np.inf if value is None else float(value) for value in limits),
        about=dict(about),
    )


def save_record(record: EvaluationRecord, path: Path) -> Path:
    """Write a record; it appears whole or not at all."""
    arrays = {
        "returns": record.returns,
        "costs": record.costs,
        "lengths": record.lengths,
        "limits": np.array(record.limits, float),
        **{_METRIC + name: values for name, values in record.metrics.items()},
        **{_SAFETY + name: values for name, values in record.safety.items()},
    }
    about = {"format": FORMAT, "cost_names": record.cost_names, "about": record.about}
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, description=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)
    return path


def load_record(path: Path) -> EvaluationRecord | None:
    """Read a record, or None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(str(arrays.pop("description")))
        if description["format"] != FORMAT:
            return None
        return EvaluationRecord(
            returns=arrays["returns"],
            costs=arrays["costs"],
            lengths=arrays["lengths"],
            metrics=_named(arrays, _METRIC),
            safety=_named(arrays, _SAFETY),
            cost_names=tuple(description["cost_names"]),
            limits=tuple(arrays["limits"].tolist()),
            about=description["about"],
        )
    except Exception:
        # A damaged archive can be wrong in any way; what it told is evaluated again.
        return None


def _named(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): v for name, v in arrays.items() if name.startswith(prefix)}
