"""What the update of one policy is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rllib_safemarl.algorithms.collectives import sum_arrays
from rllib_safemarl.algorithms.constrained.estimates import GroupEstimates
from rllib_safemarl.algorithms.constrained.policy_data import PolicyData
from rllib_safemarl.algorithms.constrained.tightening import Allowance
from rllib_safemarl.envs.team import Group


@dataclass(frozen=True)
class Job:
    """What the update of one policy needs.

    Attributes:
        number: of its group.
        group: its agents.
        data: what they saw and did.
        estimates: their advantages.
        factor: M ``[T * N, G]``, or 1.
        costs: ``[m, T * N, G]`` centred cost advantages per step; ``None`` where nothing asks for them.
        allowance: how far they may go; ``None`` without tightening.
    """

    number: int
    group: Group
    data: PolicyData
    estimates: GroupEstimates
    factor: torch.Tensor | float
    costs: torch.Tensor | None
    allowance: Allowance | None


def centred_costs(
    data: PolicyData, estimates: GroupEstimates, device: torch.device | None = None
) -> torch.Tensor:
    """Cost advantages ``[m, T * N, G]`` per step, of mean 0 over all learners' acting rows."""
    costs = torch.from_numpy(np.ascontiguousarray(estimates.advantages[1:])).to(device).flatten(1, 2)
    total, count = sum_arrays((costs * data.mask).sum((1, 2)).double().cpu().numpy(), float(data.mask.sum()))
    mean = torch.from_numpy(total / max(float(count), 1.0)).to(costs)
    return costs - mean[:, None, None]
