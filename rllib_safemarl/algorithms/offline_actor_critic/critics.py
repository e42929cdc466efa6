"""The critics of one policy: twins for the reward and for every cost that is kept to, with slow copies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rllib_safemarl.nn.behaviour_model import BehaviourModel
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.nn.value_networks import TwinQNetwork


class Critics(nn.Module):
    """Twin critics of 1 + C signals, the reward first; values are in units of each signal's scale.

    Args:
        views: S, length of a critic's view.
        others: O, length of the encoded actions of the others that it sees.
        action_size: E, length of the agent's own encoded action.
        costs: C.
        hiddens: widths of the hidden layers.
        behaviour: a model of what the data do, where one is needed.
        mean_costs: whether costs are the mean of their twins, instead of the larger.

    Attributes:
        learnt: parameters that are learnt, the slow copies' not among them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        views: int,
        others: int,
        action_size: int,
        costs: int,
        hiddens: Sequence[int],
        behaviour: BehaviourModel | None = None,
        mean_costs: bool = False,
    ) -> None:
        super().__init__()
        layout = SetLayout(views + others)
        self.q = nn.ModuleList(TwinQNetwork(layout, action_size, hiddens) for _ in range(1 + costs))
        self.target_q = copy.deepcopy(self.q).requires_grad_(False)
        self.behaviour, self.mean_costs = behaviour, mean_costs
        # Listed once: to look for them takes longer than to let them follow.
        self.learnt = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self._followed = list(self.q.parameters()), list(self.target_q.parameters())
        self.register_buffer("mean", torch.zeros(views))
        self.register_buffer("deviation", torch.ones(views))

    def set_scales(self, mean: Any, deviation: Any) -> None:
        """Take over the mean and deviation ``[S]`` of views."""
        for buffer, value in ((self.mean, mean), (self.deviation, deviation)):
            buffer.copy_(torch.as_tensor(value, dtype=torch.float32))

    def features(self, views: Tensor, others: Tensor | None) -> Tensor:
        """What networks see of raw views ``[M, S]`` and of the others' actions ``[M, O]``: ``[M, S + O]``."""
        x = (views - self.mean) / self.deviation
        return x if others is None else torch.cat([x, others], -1)

    def reward(self, x: Tensor, action: Tensor) -> Tensor:
        """The smaller of the twins' values ``[...]`` of features and encoded actions, which broadcast."""
        return self.q[0].smaller(x, action)

    def costs(self, x: Tensor, action: Tensor) -> Tensor:
        """Values of every cost ``[C, ...]``."""
        if len(self.q) == 1:
            return x.new_zeros(0, *torch.broadcast_shapes(x.shape[:-1], action.shape[:-1]))
        return torch.stack([self._cost(q(x, action)) for q in self.q[1:]])

    def targets(self, x: Tensor, action: Tensor) -> Tensor:
        """Values ``[1 + C, ...]`` by the slow copies, of rewards the smaller."""
        reward, *costs = self.target_q
        return torch.stack([reward.smaller(x, action), *(self._cost(q(x, action)) for q in costs)])

    def _cost(self, twins: Tensor) -> Tensor:
        """One value ``[...]`` of both ``[2, ...]``."""
        return twins.mean(0) if self.mean_costs else twins.amax(0)

    def follow(self, decay: float) -> None:
        """Let the slow copies follow, keeping ``decay`` of themselves."""
        ours, theirs = self._followed
        get_ema_multi_avg_fn(decay)(theirs, ours, None)
