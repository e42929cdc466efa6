"""Reward and cost critics of all policies, stacked where their shapes agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays, sum_gradients
from rllib_safemarl.algorithms.minibatches import minibatches
from rllib_safemarl.functional.moments import RunningMoments
from rllib_safemarl.nn.stacked import StackedMLP


@dataclass(frozen=True)
class CriticTargets:
    """What the critics of P policies shall learn.

    Attributes:
        views: ``[P, T, N, G, V]``.
        returns: ``[P, 1 + C, T, N, G]`` discounted, in the units of reward and of each cost.
        mask: ``[P, T, N, G]`` rows that count.
    """

    views: Tensor
    returns: NDArray[np.float32]
    mask: NDArray[np.bool_]


class CriticStack:
    """Critics of P policies with views of one length and groups of one size.

    Each policy has a reward critic and one critic per cost, each with its own normaliser: the networks
    learn targets of mean 0 and deviation 1, and when a normaliser moves, the last layer moves with it
    so that values stay what they were (PopArt, van Hasselt et al. 2016).
    """

    def __init__(self, policies: Sequence[str], num_costs: int, net: StackedMLP) -> None:
        self.policies = tuple(policies)
        self.signals = 1 + num_costs
        self.net = net
        self.moments = RunningMoments(len(policies) * self.signals)

    @torch.no_grad()
    def values(self, views: Tensor) -> NDArray[np.float32]:
        """Values ``[P, 1 + C, R]`` of views ``[P, R, V]``, in the signals' own units."""
        predicted = self.net(self._repeat(views)).squeeze(-1).cpu().numpy()
        mean, deviation = self.moments.mean[:, None], self.moments.deviation[:, None]
        values = (predicted * deviation + mean).astype(np.float32)
        return values.reshape(len(self.policies), self.signals, -1)

    def _repeat(self, views: Tensor) -> Tensor:
        """``[P, R, V]`` for each signal: ``[P * (1 + C), R, V]``."""
        return views.repeat_interleave(self.signals, 0)

    def fit(
        self,
        targets: CriticTargets,
        copy_ids: NDArray[np.int64],
        key: tuple[int, ...],
        num_epochs: int,
        num_minibatches: int,
        optimizer: torch.optim.Optimizer,
        clip_gradients: Callable[[Sequence[torch.nn.Parameter]], None],
        error_clip: float = float("inf"),
    ) -> float:
        """Regress all critics on their targets by minibatches of time steps.

        Args:
            targets: of all policies of this stack.
            copy_ids: ``[N]`` the copies' numbers.
            key: seeds the shuffling.
            num_epochs: passes over the data.
            num_minibatches: per pass.
            optimizer: steps the stacked parameters.
            clip_gradients: called on them before each step.
            error_clip: squared errors above it (in the signals' units) give no gradient.

        Returns:
            The mean squared error of the last minibatch, normalised, averaged over critics.
        """
        policies, steps, copies, agents, size = targets.views.shape
        mask = np.repeat(targets.mask, self.signals, 0).reshape(-1, steps * copies, agents)
        goal = torch.from_numpy(self._normalised(targets.returns, mask))
        views = targets.views.reshape(policies, steps * copies, agents * size)
        weight = torch.from_numpy(mask.astype(np.float32)).to(views.device)
        goal = goal.to(views.device)
        acting = targets.mask.sum(-1).reshape(policies, -1).repeat(self.signals, 0)
        weight = None if targets.mask.all() else weight
        bound = torch.from_numpy(error_clip / self.moments.deviation**2).float()[:, None].to(goal)
        parameters = list(self.net.parameters())
        loss = torch.zeros(())
        for epoch in range(num_epochs):
            for rows, count in minibatches((*key, epoch), copy_ids, num_minibatches, acting, views.device):
                x = views.index_select(1, rows).reshape(policies, -1, size)
                error = self.net(self._repeat(x)).squeeze(-1)
                error = (error - goal.index_select(1, rows).flatten(1)).square()
                if np.isfinite(error_clip):
                    error = torch.minimum(error, bound)
                if weight is not None:
                    error = error * weight.index_select(1, rows).flatten(1)
                loss = (error.sum(1) / torch.as_tensor(count).to(error)).sum()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                sum_gradients(parameters)
                clip_gradients(parameters)
                optimizer.step()
        return float(loss.detach()) / mask.shape[0]

    def _normalised(self, returns: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Targets ``[P * (1 + C), T * N, G]`` after the normalisers took them in."""
        flat = returns.reshape(mask.shape)
        kept = np.where(mask, flat, 0.0).astype(np.float64)
        total, squares, count = sum_arrays(
            kept.sum((1, 2)), (kept**2).sum((1, 2)), mask.sum((1, 2)).astype(float)
        )
        before = self.moments.mean, self.moments.deviation
        self.moments.update(total, squares, count)
        mean, deviation = self.moments.mean, self.moments.deviation
        self.net.rescale_output(before[1] / deviation, (before[0] - mean) / deviation)
        return ((flat - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)

    def get_state(self) -> dict[str, Any]:
        """Weights and normalisers as arrays."""
        weights = {name: p.detach().cpu().numpy().copy() for name, p in self.net.named_parameters()}
        return {"weights": weights, "moments": self.moments.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        weights = {name: torch.from_numpy(np.array(w)) for name, w in state["weights"].items()}
        self.net.load_state_dict(weights)
        self.moments.set_state(state["moments"])
