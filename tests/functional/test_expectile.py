"""The expectile loss against SciPy's expectile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rllib_safemarl.functional.expectile import expectile_loss
from rllib_safemarl.functional.masked_means import masked_mean


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8, 0.9, 0.99])
def test_minimiser_is_scipys_expectile(tau):
    sample = np.random.default_rng(0).gamma(2.0, size=400)
    q = torch.as_tensor(sample)
    value = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [value], max_iter=100, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure():
        optimizer.zero_grad()
        loss = expectile_loss(q - value, tau).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert value.item() == pytest.approx(stats.expectile(sample, tau), abs=1e-6)


def test_by_hand_and_at_zero():
    u = torch.tensor([-2.0, 0.0, 3.0])
    # |0.8 - 1| · 4, 0, 0.8 · 9.
    torch.testing.assert_close(expectile_loss(u, 0.8), torch.tensor([0.8, 0.0, 7.2]))


def test_masked_mean_broadcasts_its_mask_and_ignores_the_rest():
    x = torch.tensor([[1.0, 2.0], [float("nan"), 5.0]])
    assert masked_mean(x, torch.tensor([[True], [False]])).item() == 1.5
    assert masked_mean(x, torch.zeros(2, 2, dtype=torch.bool)).item() == 0.0
