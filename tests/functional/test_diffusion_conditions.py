"""Ranks of the data."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from rllib_safemarl.functional.diffusion_conditions import (
    RANK_POINTS,
    quantile_table,
    rank_of_quantile,
    to_ranks,
)


def test_quantiles_are_torchs():
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    expected = torch.quantile(values, torch.linspace(0.0, 1.0, RANK_POINTS))
    torch.testing.assert_close(quantile_table(values), expected)


def test_ranks_spread_any_distribution_evenly():
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(1)).exp()
    ranks = to_ranks(values, quantile_table(values))
    assert stats.kstest(ranks.numpy(), "uniform", (-1.0, 2.0)).statistic < 0.01


def test_between_and_beyond_the_quantiles():
    table = quantile_table(torch.arange(201.0))
    assert to_ranks(torch.tensor([-5.0, 0.0, 50.0, 100.5, 200.0, 900.0]), table).tolist() == pytest.approx(
        [-1.0, -1.0, -0.5, 0.005, 1.0, 1.0], abs=1e-6
    )


def test_what_many_share_ranks_in_their_middle():
    table = quantile_table(torch.cat([torch.zeros(600), torch.linspace(1.0, 2.0, 400)]))
    rank = float(to_ranks(torch.tensor(0.0), table))
    assert rank == pytest.approx(rank_of_quantile(0.3), abs=0.01)
    assert to_ranks(torch.full((3,), 4.0), quantile_table(torch.full((9,), 4.0))).tolist() == [0.0] * 3
