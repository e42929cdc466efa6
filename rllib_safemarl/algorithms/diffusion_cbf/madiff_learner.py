"""The learner of MADIFF: that of DIFFUSION_CBF, whose plans are of all agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.diffusion_cbf.learner import DiffusionCBFLearner
from rllib_safemarl.algorithms.diffusion_cbf.losses import denoise
from rllib_safemarl.algorithms.diffusion_cbf.rows import Rows
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.plan_windows import to_plan
from rllib_safemarl.offline.source import Source
from rllib_safemarl.policies.planner import Planner
from rllib_safemarl.policies.team_planner import TeamPlanner


class MADiffLearner(DiffusionCBFLearner):
    """Every policy learns from the windows of all agents, and plans as each of its own."""

    def build(self) -> None:
        """Build the planners."""
        if self._is_built:
            return
        super().build()
        self._seeing = {group.policy: torch.from_numpy(group.rows) for group in self.groups}
        everyone = np.arange(len(self.team.agents))
        self.groups = tuple(replace(group, agents=everyone, rows=everyone) for group in self.groups)

    def prepare(self, source: Source) -> None:
        """Find out what the planners must know of the data, how many agents there are among it."""
        for planner in self._planners.values():
            assert isinstance(planner, TeamPlanner)
            planner.team_size.fill_(len(self.team.agents))
        super().prepare(source)

    def diffusion_loss(self, planner: Planner, rows: Rows, y: Tensor, group: Group) -> Tensor:
        """The denoiser's loss on joint windows, each seen by one agent of the policy, drawn anew."""
        seeing = self._seeing[group.policy]
        drawn = torch.randint(len(seeing), (len(rows.numbers),), generator=self._generator)
        return team_diffusion_loss(planner, rows, y, seeing[drawn], self.config, self._generator)


def team_diffusion_loss(
    planner: Planner,
    rows: Rows,
    y: Tensor,
    seeing: Tensor,
    config: Any,
    generator: torch.Generator,
) -> Tensor:
    """First term of eq. (10), over plans of B teams of A agents.

    Args:
        planner: learns.
        rows: windows of all agents, ``M = B A``.
        y: ``[M, 2]`` their conditions.
        seeing: ``[B]`` the agents whose present is known.
        config: of MADIFF.
        generator: of noise, on the CPU.
    """
    assert isinstance(planner, TeamPlanner)
    seeing = seeing.to(rows.x.device)
    each = torch.arange(len(seeing), device=rows.x.device)
    x, mask, y, counted = (
        part.unflatten(0, (len(seeing), -1)) for part in (rows.x, rows.mask, y, rows.plan_counted)
    )
    # Where the present is not known it is denoised, of the agents that are there.
    unknown = counted[:, :, 1].clone()
    unknown[each, seeing] = False
    counted = torch.cat([unknown.unsqueeze(2), counted[:, :, 1:]], 2)
    told = planner.told(y, mask[each, seeing], seeing)
    known = planner.known(x[each, seeing, 0], seeing)
    return denoise(planner, to_plan(x, planner.plan_scales), told, known, counted, config, generator)
