"""What learners from a dataset do alike: iterate their own windows, and see them as policies do."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME
from torch import Tensor

from rllib_safemarl.algorithms.offline.dataset_team import check_same_team, needed_columns
from rllib_safemarl.algorithms.refusals import NO_SEQUENCES
from rllib_safemarl.algorithms.team_learner import TeamLearner
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.offline.offline_data import Portion
from rllib_safemarl.offline.source import Source
from rllib_safemarl.offline.stream import WindowStream
from rllib_safemarl.offline.windows import WindowBatch
from rllib_safemarl.rollout.columns import ObservationColumns


class OfflineLearner(TeamLearner):
    """Learns from :class:`Portion` after portion of a dataset.

    A subclass says what one batch of windows teaches in :meth:`learn`.

    Attributes:
        last_moment: whether windows hold what is seen after their last step.
    """

    last_moment = True
    extra_columns: tuple[str, ...] = ()
    """Columns to cut beside those that views and actions are made of."""

    def build(self) -> None:
        """Build the policies; the dataset is opened with the first portion."""
        if self._is_built:
            return
        super().build()
        for policy in self._policies.values():
            if policy.recurrent:
                raise SafeMARLError(f"policy {policy.group.policy!r} is recurrent: {NO_SEQUENCES}.")
        self._stream: WindowStream | None = None
        self._inverse = {
            group.policy: ActionTransform(
                group.action_space, self.config.normalize_actions, self.config.clip_actions
            ).inverse
            for group in self.groups
        }

    def update(  # type: ignore[override]
        self,
        *,
        training_data: TrainingData | None = None,
        batch: Portion | None = None,
        timesteps: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """Learn from every batch of one portion; RLlib's other arguments have no meaning here."""
        if batch is None:
            assert training_data is not None
            training_data.solve_refs()
            batch = training_data.batch
        assert isinstance(batch, Portion)
        stream = self._open(batch)
        self.before_gradient_based_update(timesteps=timesteps or {})
        self._weights_seq_no += 1
        steps = 0
        for windows in stream.take(batch.position, batch.count):
            self.learn(windows)
            steps += int(windows.mask.sum())
        self.report()
        self.metrics.log_value((ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME), steps, reduce="lifetime_sum")
        self.after_gradient_based_update(timesteps=timesteps or {})
        return self.metrics.reduce()

    def prepare(self, source: Source) -> None:
        """Look at the dataset before the first batch."""

    @abstractmethod
    def learn(self, windows: WindowBatch) -> None:
        """Take one step of every policy."""

    @abstractmethod
    def report(self) -> None:
        """Log what the steps since the last report came to."""

    def shutdown(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
        super().shutdown()

    def _open(self, portion: Portion) -> WindowStream:
        if self._stream is None:
            reference = portion.source
            source: Source = ray.get(reference) if isinstance(reference, ray.ObjectRef) else reference
            check_same_team(self.team, source)
            # Kinds of environment and dataset hold the same agents, perhaps under other names.
            self._recorded = dict(
                zip((k.name for k in self.team.kinds), (k.name for k in source.schema.kinds), strict=True)
            )
            has_slots, moving = any(views.slots > 0 for views in self.viewers), self._moving()
            columns = needed_columns(self.team, source.schema, has_slots, moving)
            columns += self.extra_columns
            self.prepare(source)
            radius = max(views.kappa for views in self.viewers)
            for column in columns:
                if not source.has(column):
                    raise SafeMARLError(
                        f"views of {radius:g} hops need the column {column!r}, which the "
                        "dataset lacks: set kappa: 0, give agent_graph, or record it anew."
                    )
            self._stream = WindowStream(
                source, portion.order, portion.learner, self.config.horizon, columns, self.last_moment
            )
        return self._stream

    @property
    def seed(self) -> int:
        """The seed that all learners share."""
        return self._seed

    def policy_of(self, group: Group) -> TrainablePolicy:
        """The policy of a group."""
        return self._policies[group.policy]

    @property
    def viewers(self) -> tuple[ViewBuilder, ...]:
        """What builds the views that are learned from."""
        return (self._policy_views,)

    def _moving(self) -> bool:
        """Whether any view is found by edges that change."""
        graph = self.team.graph
        return graph is not None and graph.moving and not all(np.isinf(v.kappa) for v in self.viewers)

    # Windows as policies see them; the steps of all windows are rows.

    def views(self, windows: WindowBatch) -> dict[str, NDArray]:
        """Views of all agents at every step: kind → ``[B * H, A_kind, V]``."""
        now = self.moments(windows, self.config.horizon)
        return self._policy_views(now.values, now.alive, now.positions, now.edges)

    def moments(self, windows: WindowBatch, count: int) -> ObservationColumns:
        """What was seen in the first moments of every window, each a row: ``[B * count, ...]``."""

        def rows(column: str) -> NDArray:
            values = windows[column][:, :count]
            return values.reshape(-1, *values.shape[2:])

        return ObservationColumns(
            {name: rows(f"observations/{kind}") for name, kind in self._recorded.items()},
            rows("active"),
            rows("positions") if "positions" in windows.columns else None,
            rows("neighbours").astype(np.int32) if "neighbours" in windows.columns else None,
        )

    def actions(self, windows: WindowBatch, group: Group) -> Tensor:
        """Recorded actions of a policy's agents, as the policy puts them out: ``[B * H, G, ...]``."""
        column = windows[f"actions/{self._recorded[group.kind]}"]
        rows = column.reshape(-1, *column.shape[2:])[:, group.rows]
        return torch.from_numpy(np.ascontiguousarray(self._inverse[group.policy](rows))).to(self._device)

    def acting(self, windows: WindowBatch, group: Group) -> Tensor:
        """Which of a policy's agents acted in a step of their episode: ``[B * H, G]``, 1 or 0."""
        active = windows["active"][:, : self.config.horizon, group.agents] & windows.mask[..., None]
        rows = active.reshape(-1, len(group.agents)).astype(np.float32)
        return torch.from_numpy(rows).to(self._device)
