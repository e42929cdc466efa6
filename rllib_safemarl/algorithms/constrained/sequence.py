"""The factor M that an iteration's earlier updates put on its later ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.functional.surrogates import moving_sequential_factor, sequential_factor
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch


class SequentialFactor:
    """Keeps every updated agent's log ratio and multiplies those in scope, row by row.

    Args:
        batch: the columns; the factor has a row per time and copy.
        config: its ``sequential``, ``factor_scope`` and ``factor_clip`` are read.
        neighbourhood: the critics' views, whose neighbours make up the scope ``neighbourhood``.
        device: where the ratios live.
    """

    def __init__(
        self,
        batch: ColumnBatch,
        config: Any,
        neighbourhood: ViewBuilder,
        device: torch.device | None = None,
    ) -> None:
        rows, agents = batch.env_steps(), batch.reward.shape[-1]
        self._clip = float(config.factor_clip)
        self._log_ratios = torch.zeros(rows, agents, device=device)
        self._active = bool(config.sequential) and config.factor_scope != "none"
        self._scope: Tensor | None = None
        self._index: Tensor | None = None
        if not self._active:
            return
        if config.factor_scope == "all":
            self._scope = (1.0 - torch.eye(agents)).to(device)
            return
        edges = batch.observations.edges
        index = neighbourhood.neighbours(None if edges is None else edges[:-1]).index
        if index.ndim == 2:
            scope = np.zeros((agents, agents + 1), np.float32)
            np.put_along_axis(scope, np.where(index < 0, agents, index), 1.0, 1)
            self._scope = torch.from_numpy(scope[:, :agents]).to(device)
        else:
            # Columns that came through Ray cannot be written to, which torch warns of.
            index = np.require(index.reshape(rows, agents, -1), requirements="W")
            self._index = torch.from_numpy(index).to(device)

    def of(self, agents: NDArray[np.intp]) -> Tensor | float:
        """M ``[T * N, G]`` for agents that are about to be updated; 1 while nothing was."""
        if not self._active:
            return 1.0
        if self._scope is not None:
            return sequential_factor(self._log_ratios, self._scope[agents], self._clip)
        assert self._index is not None
        return moving_sequential_factor(self._log_ratios, self._index[:, agents], self._clip)

    def record(self, agents: NDArray[np.intp], log_ratio: Tensor) -> None:
        """Enter updated agents' log ratios ``[T * N, G]``."""
        self._log_ratios[:, agents] = log_ratio
