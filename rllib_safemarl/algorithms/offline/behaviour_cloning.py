"""Multi-agent behaviour cloning: maximum likelihood of recorded actions, of all episodes or safe ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ALL_MODULES

from rllib_safemarl.algorithms.collectives import sum_arrays, sum_gradients
from rllib_safemarl.algorithms.limits import safe_episodes
from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.algorithms.offline.config import OfflineConfig
from rllib_safemarl.algorithms.offline.learner import OfflineLearner
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.source import Prepare
from rllib_safemarl.offline.windows import WindowBatch

LOSS = "total_loss"
"""RLlib's name; here nats per action."""


class BehaviourCloningLearner(OfflineLearner):
    """One Adam step per policy and batch on the mean negative log-likelihood of the acting agents."""

    last_moment = False

    def build(self) -> None:
        """Build the policies."""
        if self._is_built:
            return
        super().build()
        self._losses: dict[str, list[torch.Tensor]] = {group.policy: [] for group in self.groups}

    def learn(self, windows: WindowBatch) -> None:
        """One step of every policy that is trained."""
        views = self.views(windows)
        groups = [group for group in self.groups if self.should_module_be_updated(group.policy)]
        masks = [self.acting(windows, group) for group in groups]
        (counts,) = sum_arrays(np.array([float(mask.sum()) for mask in masks]))
        for group, mask, count in zip(groups, masks, counts, strict=True):
            policy = self._policies[group.policy]
            seen = torch.from_numpy(np.ascontiguousarray(group.pick(views[group.kind]))).to(self._device)
            actions = self.actions(windows, group)
            inputs = policy.inputs(seen.flatten(0, 1))
            log_prob = policy.distribution.log_prob(inputs, actions.flatten(0, 1))
            loss = -(log_prob * mask.flatten()).sum() / max(float(count), 1.0)
            optimizer = self.get_optimizer(group.policy)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            sum_gradients(policy.parameters)
            self.clipper(group.policy)(policy.parameters)
            optimizer.step()
            self._losses[group.policy].append(loss.detach())

    def report(self) -> None:
        """Mean loss per policy, and over policies."""
        means = {
            policy: float(torch.stack(losses).mean()) for policy, losses in self._losses.items() if losses
        }
        for policy, loss in means.items():
            # Each learner's loss is its share of the sum over all.
            (mean,) = sum_arrays(loss)
            means[policy] = float(mean)
            if not np.isfinite(means[policy]):
                raise SafeMARLError(f"policy {policy!r} diverged (loss {loss}); lower lr or set grad_clip.")
            self.metrics.log_value((policy, LOSS), means[policy], window=1)
        self.metrics.log_value((ALL_MODULES, LOSS), float(np.mean(list(means.values()))), window=1)
        for losses in self._losses.values():
            losses.clear()


class MABCConfig(OfflineConfig):
    """Multi-agent behaviour cloning of all episodes."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MABC)

    def get_default_learner_class(self) -> type:
        """Maximum likelihood."""
        return BehaviourCloningLearner


class MABCSafeConfig(MABCConfig):
    """Multi-agent behaviour cloning of the episodes in which every agent kept to every limit."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MABCSafe)

    def preparation(self) -> Prepare:
        """Keeps the episodes whose undiscounted cost is within the limit for every agent."""

        def keep(dataset: Dataset) -> Dataset:
            safe = safe_episodes(dataset, self.cost_limit)
            if not safe.any():
                raise SafeMARLError(
                    f"none of the {dataset.num_episodes} episodes keeps to cost_limit={self.cost_limit!r}: "
                    "raise it, or learn from all of them by MABC."
                )
            return dataset.select(safe)

        return keep

    def validate(self) -> None:
        """RLlib's checks and ours."""
        super().validate()
        if self.cost_limit is None:
            raise SafeMARLError(
                "MABC_SAFE needs a limit to tell safe episodes: .safety(cost_limit=…), undiscounted cost per "
                "episode and agent."
            )


class MABC(OfflineAlgorithm):
    """See :class:`MABCConfig`."""

    config_class: Any = MABCConfig


class MABCSafe(OfflineAlgorithm):
    """See :class:`MABCSafeConfig`."""

    config_class: Any = MABCSafeConfig
