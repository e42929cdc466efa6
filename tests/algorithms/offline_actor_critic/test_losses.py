"""Losses of agents that are made up, against bounds worked out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from rllib_safemarl.algorithms.offline_actor_critic.losses import conservative_loss


def test_a_peak_at_the_datas_action_does_not_pay_without_end():
    # In [-1, 1]² four sampled actions are worth 0, the data's 500: the box of 4 holds exp(500) · 4 / 5.
    samples, weight = 2, 3.0
    agent = SimpleNamespace(
        critics=SimpleNamespace(q=[lambda x, actions: torch.zeros(2, *actions.shape[:2])]),
        policy=SimpleNamespace(
            inputs=lambda views: views, distribution=SimpleNamespace(mode=lambda inputs: torch.zeros(1, 2))
        ),
        layout=SimpleNamespace(choices=(), size=2),
        low=-torch.ones(2),
        high=torch.ones(2),
    )
    config = SimpleNamespace(cql_samples=samples, cql_reach=0.3, cql_weight=weight)
    rows = SimpleNamespace(views=torch.zeros(1, 3))
    recorded = torch.full((2, 1), 500.0)
    loss = conservative_loss(agent, rows, rows.views, recorded, config, torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(weight * 2 * math.log(4.0 / 5.0), abs=1e-3)
