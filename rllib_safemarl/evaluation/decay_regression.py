"""Value regressors of κ-hop views, all of equal capacity and learnt at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.evaluation.decay_rows import Rows
from rllib_safemarl.nn.stacked import StackedMLP

SEEDS = 2
"""Regressors of every radius; the noise is what two of the whole team differ by."""


@dataclass(frozen=True)
class RegressionSettings:
    """How regressors learn.

    Attributes:
        hiddens: widths of the hidden layers.
        steps: of the optimiser.
        checks: how often it is looked how good each is on episodes that its seed does not learn from; the
            best is kept.
        batch: rows per step.
        lr: of Adam, falling to 0 along a cosine.
        decay: of the weights, per unit of lr; it halves the noise of a fit and hardly moves what is left.
    """

    hiddens: tuple[int, ...] = (64, 64)
    steps: int = 1500
    checks: int = 20
    batch: int = 256
    lr: float = 3e-3
    decay: float = 1.0


class Regressors:
    """V_κ of one kind of agents for K radii, S signals and two seeds.

    Every regressor has the inputs of the whole team, in which agents beyond its radius are as good as
    absent, so that all have the same capacity. A seed gives initial weights, order, and the episodes to
    learn from: they are drawn with replacement, so that two seeds differ by as much as two datasets would.
    What they differ by is then the noise of a fit, and its removal leaves no trace of it (exactly so for
    nested least squares).

    Args:
        rows: to learn from.
        radii: ``[K]`` hops.
        settings: how to learn.
        seed: of everything.
    """

    def __init__(self, rows: Rows, radii: Sequence[float], settings: RegressionSettings, seed: int) -> None:
        self._radii = torch.tensor(radii)
        self._settings = settings
        self._shape = SEEDS, len(radii), rows.returns.shape[1]
        self._own, self._slots = _Scale.of(rows.own), _Scale.of(rows.slots, rows.present)
        self._target = _Scale.of(rows.returns)
        width = rows.own.shape[1] + rows.slots.shape[1] * (rows.slots.shape[2] + 1)
        self._net = StackedMLP(
            math.prod(self._shape), width, settings.hiddens, generator=torch.Generator().manual_seed(seed)
        )
        self._learn(rows, np.random.default_rng(seed))

    def __call__(self, rows: Rows) -> NDArray[np.float32]:
        """Values ``[2, K, S, B]`` in the signals' units."""
        parts = self._parts(rows)
        with torch.no_grad():
            out = [
                self._values(*(part[at].expand(SEEDS, *part[at].shape) for part in parts))
                for at in torch.arange(len(rows)).split(self._settings.batch)
            ]
        values = torch.cat(out, -1).numpy()
        return values * self._target.deviation[:, None] + self._target.mean[:, None]

    def _parts(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        # Nobody is within any radius, not even an infinite one, of who is not there.
        hops = np.where(rows.present, rows.hops, np.nan).astype(np.float32)
        parts = self._own(rows.own), self._slots(rows.slots), hops
        return tuple(map(torch.from_numpy, parts))  # type: ignore[return-value]

    def _values(self, own: Tensor, slots: Tensor, hops: Tensor) -> Tensor:
        """``[2, K, S, B]`` of ``[2, B, …]``, one row set per seed; normalised."""
        _, radii, signals = self._shape
        visible = (hops[:, None] <= self._radii[:, None, None]).float()
        seen = (slots[:, None] * visible[..., None]).flatten(3)
        inputs = torch.cat([own[:, None].expand(-1, radii, -1, -1), seen, visible], -1)
        inputs = inputs[:, :, None].expand(-1, -1, signals, -1, -1).flatten(0, 2)
        return self._net(inputs).unflatten(0, self._shape).squeeze(-1)

    def _learn(self, rows: Rows, random: np.random.Generator) -> None:
        settings, target = self._settings, torch.from_numpy(self._target(rows.returns))
        parts = self._parts(rows)
        drawn, left = _draw_rows(rows.episode, random)
        optimizer = torch.optim.AdamW(
            self._net.parameters(), settings.lr, weight_decay=settings.decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
        best = torch.full((self._net.weights[0].shape[0],), torch.inf)
        kept = [p.detach().clone() for p in self._net.parameters()]
        interval = max(1, settings.steps // settings.checks)
        for step, at in enumerate(_batches(drawn, random, settings), 1):
            error = self._values(*(part[at] for part in parts)) - target[at].movedim(-1, 1)[:, None]
            optimizer.zero_grad(set_to_none=True)
            error.square().mean(-1).sum().backward()
            optimizer.step()
            schedule.step()
            if step % interval == 0 or step == settings.steps:
                best = self._keep_better(best, kept, parts, target, left)
        with torch.no_grad():
            for parameter, value in zip(self._net.parameters(), kept, strict=True):
                parameter.copy_(value)

    @torch.no_grad()
    def _keep_better(
        self,
        best: Tensor,
        kept: list[Tensor],
        parts: tuple[Tensor, ...],
        target: Tensor,
        left: Tensor,
    ) -> Tensor:
        """Remember the weights of regressors that now err less on what their seed does not learn from."""
        error = self._values(*(part[left] for part in parts)) - target[left].movedim(-1, 1)[:, None]
        loss = error.square().mean(-1).flatten()
        better = loss < best
        for parameter, value in zip(self._net.parameters(), kept, strict=True):
            value[better] = parameter[better]
        return torch.minimum(loss, best)


_MOST_LEFT = 4096
"""Rows by which the best pass is chosen, at most."""


def _draw_rows(episode: NDArray[np.intp], random: np.random.Generator) -> tuple[NDArray[np.intp], Tensor]:
    """Per seed, rows of as many episodes as there are, drawn with replacement; and rows of the others.

    Returns:
        ``[2, B]`` rows to learn from and ``[2, B']`` rows of episodes that were not drawn; both cut to equal
        numbers, the second to 4096.
    """
    names, rows_at = np.unique(episode, return_inverse=True)
    by_episode = np.split(np.argsort(rows_at, kind="stable"), np.cumsum(np.bincount(rows_at))[:-1])
    drawn, left = [], []
    for _ in range(SEEDS):
        chosen = random.integers(len(names), size=len(names))
        others = np.setdiff1d(np.arange(len(names)), chosen)
        drawn.append(random.permutation(np.concatenate([by_episode[e] for e in chosen])))
        rest = np.concatenate([by_episode[e] for e in others]) if len(others) else drawn[-1]
        left.append(random.permutation(rest)[:_MOST_LEFT])

    def stacked(of_seeds: list[NDArray[np.intp]]) -> NDArray[np.intp]:
        return np.stack([rows[: min(map(len, of_seeds))] for rows in of_seeds])

    return stacked(drawn), torch.from_numpy(stacked(left))


def _batches(
    rows: NDArray[np.intp], random: np.random.Generator, settings: RegressionSettings
) -> Iterator[Tensor]:
    """Rows ``[2, batch]`` of every step, pass after pass in other orders."""
    size = min(settings.batch, rows.shape[1])
    per_pass = rows.shape[1] // size
    for step in range(settings.steps):
        if step % per_pass == 0:
            order = torch.from_numpy(random.permuted(rows, axis=1))
        at = step % per_pass * size
        yield order[:, at : at + size]


@dataclass(frozen=True)
class _Scale:
    """Means and deviations ``[F]`` of features; one that does not vary is left at 0."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float32], where: NDArray[np.bool_] | None = None) -> _Scale:
        """Of ``values [..., F]``, where they count."""
        flat = values.reshape(-1, values.shape[-1]) if where is None else values[where]
        deviation = flat.std(0, dtype=np.float64)
        varies = deviation > 1e-6
        mean = flat.mean(0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(varies, deviation, 1.0).astype(np.float32))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return (values - self.mean) / self.deviation
