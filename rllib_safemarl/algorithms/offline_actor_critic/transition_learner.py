"""What learners from single steps of a dataset do alike: read them, step, report, and survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ALL_MODULES
from torch import Tensor, nn

from rllib_safemarl.algorithms.collectives import num_learners, sum_arrays, sum_gradients
from rllib_safemarl.algorithms.offline.learner import OfflineLearner
from rllib_safemarl.algorithms.offline_actor_critic.batches import BatchReader, Transitions
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.offline.windows import WindowBatch

STATE = "offline_actor_critic"
"""Key of a learner's state under which ours stands."""


class TransitionLearner(OfflineLearner):
    """Learns from :class:`Transitions`.

    Attributes:
        generator: of all that is drawn, equal on every learner.
    """

    own_key = STATE
    extra_columns = ("rewards", "costs", "terminals", "timeouts")

    def build(self) -> None:
        """Build the policies, and what they learn with."""
        if self._is_built:
            return
        super().build()
        self.generator = torch.Generator().manual_seed(self._seed)
        self._reader = BatchReader(self)
        self._batches = 0
        self._counts: dict[str, float] = {}
        self._logged: dict[str, dict[str, list[Tensor]]] = {}

    @property
    def viewers(self) -> tuple[ViewBuilder, ...]:
        """The policies' views, and the critics'."""
        return self._policy_views, self._policy_views

    def read(self, windows: WindowBatch) -> dict[str, Transitions]:
        """Policy → its agents' steps, whose number over all learners is kept for means."""
        batch = self._reader(windows)
        (counts,) = sum_arrays(np.array([float(rows.counted.sum()) for rows in batch.values()]))
        self._counts = dict(zip(batch, np.maximum(counts, 1.0).tolist(), strict=True))
        return batch

    def means(self, policy: str, values: Mapping[str, Tensor], rows: Transitions) -> dict[str, Tensor]:
        """This learner's share of the means of ``[M]`` values over what all learners' agents did."""
        return {name: (each * rows.counted).sum() / self._counts[policy] for name, each in values.items()}

    def overall_mean(self, policy: str, values: Tensor, rows: Transitions) -> float:
        """Mean of ``[M]`` values over what all learners' agents did."""
        (total,) = sum_arrays(float((values * rows.counted).sum()))
        return float(total) / self._counts[policy]

    def step(
        self, policy: str, name: str | None, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
    ) -> None:
        """Take one step of an optimiser, the policy's own without a name, on the sum of losses."""
        optimizer = self.get_optimizer(policy, name) if name else self.get_optimizer(policy)
        loss = torch.stack(list(losses.values())).sum()
        # Not backward(): it would also find what the critics gain by being fooled.
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        sum_gradients(parameters)
        self.clipper(policy)(parameters)
        optimizer.step()
        self.log(policy, losses)

    # Reporting.

    def note(self, policy: str, values: Mapping[str, Tensor]) -> None:
        """Report values that all learners have alike."""
        self.log(policy, {name: value / num_learners() for name, value in values.items()})

    def log(self, policy: str, shares: Mapping[str, Tensor]) -> None:
        """Report values of which every learner has its share."""
        for name, value in shares.items():
            self._logged.setdefault(policy, {}).setdefault(name, []).append(value.detach())

    def report(self) -> None:
        """Means since the last report, over all learners."""
        totals = []
        for policy, logged in self._logged.items():
            (means,) = sum_arrays(np.array([float(torch.stack(values).mean()) for values in logged.values()]))
            found = dict(zip(logged, means.tolist(), strict=True))
            for name, value in found.items():
                self.metrics.log_value((policy, *name.split("/")), value, window=1)
            totals.append(sum(value for name, value in found.items() if name.endswith("_loss")))
            if not np.isfinite(totals[-1]):
                raise SafeMARLError(f"policy {policy!r} diverged ({found}); lower lr or set grad_clip.")
        self.metrics.log_value((ALL_MODULES, "total_loss"), float(np.mean(totals)), window=1)
        self._logged.clear()

    # State.

    def own_state(self) -> dict[str, Any]:
        """Batches so far, and the generator."""
        return {"batches": self._batches, "generator": self.generator.get_state().numpy()}

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`own_state`."""
        self._batches = int(state["batches"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
