"""CPQ's operator, its sets and its dual step, by hand."""

import math

import pytest
import torch

from rllib_safemarl.functional.cost_penalised_q import (
    allowed,
    next_log_weight,
    outside,
    penalised_value,
)


def test_values_count_where_every_cost_is_allowed():
    costs = torch.tensor([[0.9, 1.0, 1.1, 0.2], [0.0, 2.0, 0.0, 2.1]])
    limits = torch.tensor([1.0, 2.0])
    assert allowed(costs, limits).tolist() == [True, True, False, False]
    value = torch.tensor([5.0, -6.0, 7.0, -8.0])
    assert penalised_value(value, costs, limits, -10.0).tolist() == [5.0, -6.0, -10.0, -10.0]
    assert penalised_value(value, costs, limits, 0.0).tolist() == [5.0, -6.0, 0.0, 0.0]


def test_actions_beyond_a_quantile_of_the_data_are_outside():
    of_data = torch.arange(11.0)
    surprise = torch.tensor([[7.9, 8.0], [8.1, 100.0]])
    assert outside(surprise, of_data, 0.8).tolist() == [[False, False], [True, True]]


def test_the_weight_rises_while_actions_outside_cost_too_little():
    now = torch.tensor([0.0, math.log(2.0), 5.0])
    after = next_log_weight(now, torch.tensor([1.0, 4.0, 0.0]), torch.tensor([3.0, 3.0, 3.0]), 0.1)
    # 0 + .1 · 1 · 2;  log 2 - .1 · 2 · 1;  bounded at 5.
    assert after.tolist() == pytest.approx([0.2, math.log(2.0) - 0.2, 5.0])
