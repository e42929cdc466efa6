"""Measured spatial decay of a team's values: how much of what far agents do reaches an agent's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team, make_views
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.decay_regression import SEEDS, RegressionSettings, Regressors
from rllib_safemarl.evaluation.decay_rows import Moments, Rows, moments_of, rows_of
from rllib_safemarl.functional.rewards import seen_rewards
from rllib_safemarl.functional.spatial_decay import Decay, measure_decay
from rllib_safemarl.rollout.columns import ColumnBatch

REWARD = "reward"
"""Name of the first signal; the others are costs."""
LEAST_EPISODES = 8


@dataclass(frozen=True)
class DecaySettings:
    """What is measured, and how.

    Attributes:
        gamma: discount per step.
        reward_scope: reward that an agent learns from, see :func:`seen_rewards`.
        reward_radius: of the scope ``neighbourhood``, hops.
        max_hops: the largest κ; None takes the diameter.
        most_rows: of either half of the episodes, an agent at a moment each; of more a random part is taken.
        seed: of the halves, the regressors and the standard errors.
        regression: how regressors learn.
    """

    gamma: float = 0.99
    reward_scope: str = "own"
    reward_radius: float = 1.0
    max_hops: int | None = None
    most_rows: int = 40_000
    seed: int = 0
    regression: RegressionSettings = field(default_factory=RegressionSettings)


@dataclass(frozen=True)
class SignalDecay:
    """The decay of one signal's value.

    Attributes:
        signal: ``reward``, or a cost's name.
        decay: errors and rate.
        unseen: ``[K]`` other agents beyond κ hops, mean over rows.
        spread: standard deviation of V_∞ over rows, in the unit of the errors.
    """

    signal: str
    decay: Decay
    unseen: NDArray[np.float64]
    spread: float

    def verdict(self) -> str:
        """What it came to, in one line."""
        found, count = self.decay, int(self.decay.used.sum())
        match found.verdict.name:
            case "NOTHING":
                return "nothing beyond the own observation is above the noise: there is nothing to decay"
            case "TOO_FEW":
                return "only κ = 0 is above the noise: no rate can be fitted, the error is gone from κ = 1 on"
        share = "" if np.isnan(found.r_squared) else f", R² {found.r_squared:.3f}"
        rate = (
            f"β̂ = {found.rate:.2f} ± {2 * found.rate_deviation:.2f} per hop over κ = 0…{count - 1}{share} "
            f"({found.alike_rate:.2f} if all agents mattered alike)"
        )
        return f"{'decay' if found.verdict.name == 'DECAY' else 'no decay'}: {rate}"


def team_decay(
    batches: Sequence[ColumnBatch], quota: NDArray[np.int64], team: Team, settings: DecaySettings
) -> list[SignalDecay]:
    """Measure the decay of the values of reward and of every cost.

    Args:
        batches: the columns in which a team played, from a reset on.
        quota: ``[N]`` episodes of each copy.
        team: whose.
        settings: what is measured.

    Raises:
        SafeMARLError: there are too few episodes, no graph, or one agent.
    """
    episodes = int(quota.sum())
    if episodes < LEAST_EPISODES:
        raise SafeMARLError(
            f"{episodes} episodes are too few for two halves: measure decay over at least {LEAST_EPISODES}."
        )
    signals = [_signals(batch, team, settings) for batch in batches]
    moments = moments_of(batches, signals, quota, settings.gamma)
    random = np.random.default_rng(settings.seed)
    learning = np.isin(moments.episode, random.permutation(episodes)[: episodes // 2])
    most = max(1, settings.most_rows // len(team.agents))
    halves = [_some(moments, half, most, random) for half in (learning, ~learning)]
    known, held = (rows_of(team, half) for half in halves)
    reach = max(rows.diameter() for rows in (*known, *held))
    last = reach if settings.max_hops is None else min(reach, settings.max_hops)
    radii = [*map(float, range(last + 1)), inf]
    sums = _Sums(episodes, len(radii) - 1, len(team.cost_names) + 1)
    for k, (mine, theirs) in enumerate(zip(known, held, strict=True)):
        seed = int(np.random.SeedSequence((settings.seed, k)).generate_state(1)[0])
        sums.add(theirs, Regressors(mine, radii, settings.regression, seed)(theirs), radii)
    return sums.decays([REWARD, *team.cost_names], settings.seed)


def _signals(batch: ColumnBatch, team: Team, settings: DecaySettings) -> NDArray[np.float32]:
    """Reward as an agent sees it and its costs, ``[T, N, A, S]``."""
    near = None
    if settings.reward_scope == "neighbourhood":
        edges = batch.observations.edges
        views = make_views(team, settings.reward_radius, len(team.agents))
        near = views.neighbours(None if edges is None else edges[:-1])
    reward = seen_rewards(batch.reward, settings.reward_scope, near)
    return np.concatenate([reward[..., None], batch.cost], -1)


def _some(moments: Moments, half: NDArray[np.bool_], most: int, random: np.random.Generator) -> Moments:
    rows = np.flatnonzero(half)
    return moments[rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))]


class _Sums:
    """Sums over the rows of every held-out episode, over all kinds."""

    def __init__(self, episodes: int, radii: int, signals: int) -> None:
        self._differences = np.zeros((SEEDS, episodes, radii, signals))
        self._gains = np.zeros((episodes, radii, signals))
        self._noise = np.zeros((episodes, signals))
        self._rows = np.zeros(episodes)
        self._unseen = np.zeros(radii)
        self._values = np.zeros((2, signals))

    def add(self, rows: Rows, values: NDArray[np.float32], radii: Sequence[float]) -> None:
        """Take in values ``[2, K + 1, S, B]``, of the whole team last."""
        whole = values[:, -1]
        # Of different seeds: only those differ by their noise as the two of the whole team do.
        pairs = np.square(values[:, :-1] - whole[::-1, None])
        for differences, pair in zip(self._differences, pairs, strict=True):
            np.add.at(differences, rows.episode, np.moveaxis(pair, -1, 0))
        errors = np.square(rows.returns.T - values).mean(0)
        np.add.at(self._gains, rows.episode, np.moveaxis(errors[:-1] - errors[-1], -1, 0))
        np.add.at(self._noise, rows.episode, np.square(whole[0] - whole[1]).T)
        self._rows += np.bincount(rows.episode, minlength=len(self._rows))
        self._unseen += rows.unseen(radii[:-1])
        mean = whole.mean(0, dtype=np.float64)
        self._values += np.stack([mean.sum(-1), np.square(mean).sum(-1)])

    def decays(self, signals: Sequence[str], seed: int) -> list[SignalDecay]:
        """The decay of every signal."""
        held = self._rows > 0
        total, unseen = self._rows.sum(), self._unseen / self._rows.sum()
        mean, squares = self._values / total
        return [
            SignalDecay(
                name,
                measure_decay(
                    self._differences[:, held][..., s],
                    self._noise[held, s],
                    self._gains[held, :, s],
                    self._rows[held],
                    unseen,
                    seed,
                ),
                unseen,
                float(np.sqrt(max(squares[s] - mean[s] ** 2, 0.0))),
            )
            for s, name in enumerate(signals)
        ]


def decay_table(found: Sequence[SignalDecay]) -> pd.DataFrame:
    """A row per signal and κ, with what was fitted repeated in each."""
    rows: list[dict[str, Any]] = []
    for each in found:
        decay = each.decay
        for kappa in range(len(decay.squared)):
            rows.append(
                {
                    "signal": each.signal,
                    "kappa": kappa,
                    "unseen_agents": each.unseen[kappa],
                    "error": float(np.sqrt(max(decay.squared[kappa], 0.0))),
                    "squared_error": decay.squared[kappa],
                    "squared_error_deviation": decay.deviation[kappa],
                    "noise": decay.noise,
                    "value_deviation": each.spread,
                    "above_noise": bool(decay.used[kappa]),
                    "verdict": decay.verdict.value,
                    "rate": decay.rate,
                    "rate_deviation": decay.rate_deviation,
                    "intercept": decay.intercept,
                    "r_squared": decay.r_squared,
                    "alike_rate": decay.alike_rate,
                }
            )
    return pd.DataFrame(rows)
