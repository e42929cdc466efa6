"""Batches of windows as one policy's agents see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.diffusion_cbf.prepare import ROW
from rllib_safemarl.envs.team import Group
from rllib_safemarl.offline.windows import WindowBatch
from rllib_safemarl.policies.planner import Planner


class Rows:
    """A batch of windows of one policy's agents, an agent's window a row: ``M = B * G``.

    Attributes:
        x: ``[M, H + 1, V]`` normalised states.
        mask: ``[M, K]`` taken slots, those of the first moment.
        actions: ``[M, H, D]`` or choices ``[M, H, ...]``.
        counted: ``[M, H]`` steps of the agent within its episode.
    """

    def __init__(
        self, learner: Any, planner: Planner, group: Group, windows: WindowBatch, views: np.ndarray
    ) -> None:
        self._windows, self._group = windows, group
        self._device = planner.mean.device
        self._layout = planner.layout
        states, masks = planner.state(self._flat(group.pick(views)))
        self.x, self.mask = states, masks[:, 0]
        steps = self.x.shape[1] - 1
        actions = learner.actions(windows, group).to(self._device)
        self.actions = actions.unflatten(0, (-1, steps)).transpose(1, 2).flatten(0, 1)
        active = windows["active"][:, :-1][..., group.agents]
        self.counted = self._flat(active & windows.mask[..., None])

    def _flat(self, column: np.ndarray) -> Tensor:
        """``[B, T, G, ...]`` as ``[B G, T, ...]``."""
        return torch.from_numpy(np.ascontiguousarray(column.swapaxes(1, 2))).flatten(0, 1).to(self._device)

    def shuffle_slots(self, generator: torch.Generator) -> None:
        """Put every window's neighbours into its slots in an order of its own, the same at all moments.

        Which slot a neighbour stands in says who it is, in the data; among others it says nothing.
        """
        if self._layout.slots < 2:
            return
        order = torch.rand(self.mask.shape, generator=generator).argsort(-1).to(self._device)
        own, slots = self._layout.sets.split(self.x)
        slots = slots.gather(2, order[:, None, :, None].expand_as(slots))
        self.x, self.mask = self._layout.sets.join(own, slots), self.mask.gather(1, order)

    @property
    def numbers(self) -> Tensor:
        """Rows of the dataset ``[B]`` in which the windows begin."""
        return torch.from_numpy(self._windows[ROW][:, 0, 0])

    def along(self, name: str) -> Tensor:
        """A column of every step ``[M, H]``."""
        return self._flat(self._windows[name][..., self._group.agents])

    def now(self, name: str) -> Tensor:
        """A column of the first moment ``[M]``."""
        return self.along(name)[:, 0]

    @property
    def plan_counted(self) -> Tensor:
        """Where a plan's loss counts ``[M, H + 1, V]``: planned moments, own features, taken slots."""
        sets = self._layout.sets
        own = self.mask.new_ones(len(self.x), sets.own_size)
        slots = self.mask.repeat_interleave(sets.slot_size, 1) if self._layout.slots else self.mask
        features = torch.cat([own, slots], 1)[:, None]
        moments = torch.cat([torch.zeros_like(self.counted[:, :1]), self.counted], 1)
        return features & moments[..., None]
