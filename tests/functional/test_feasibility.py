"""FISOR's values and weights by hand, and a chain whose feasible set is known."""

import math

import pytest
import torch

from rllib_safemarl.functional.feasibility import (
    feasibility_target,
    imitation_weights,
    lower_expectile_loss,
    violation,
)


def test_targets_by_hand():
    h = violation(torch.tensor([False, False, True, False]), 25.0)
    assert h.tolist() == [-1.0, -1.0, 25.0, -1.0]
    ended = torch.tensor([False, False, False, True])
    target = feasibility_target(h, torch.tensor([-1.0, 10.0, -1.0, 10.0]), ended, 0.9)
    # .1 · -1 + .9 · -1;  .1 · -1 + .9 · 10;  25 throughout;  nothing comes after.
    assert target.tolist() == pytest.approx([-1.0, 8.9, 25.0, -1.0])


def test_the_lower_expectile_leans_to_the_least():
    # V of Q_h = 0 or 1 with equal chance: τ (0 - V) + (1 - τ) (1 - V) = 0 at V = 1 - τ.
    values, v = torch.tensor([0.0, 1.0]), torch.tensor(0.0, requires_grad=True)
    optimiser = torch.optim.SGD([v], 0.2)
    for _ in range(200):
        optimiser.zero_grad()
        lower_expectile_loss(values - v, 0.9).mean().backward()
        optimiser.step()
    assert v.item() == pytest.approx(0.1, abs=1e-4)


def test_weights_by_hand():
    advantage = torch.tensor([1.0, 1.0, 3.0, 0.5, 0.5])
    value_h = torch.tensor([-0.5, -0.5, -0.5, 2.0, 2.0])
    q_h = torch.tensor([-0.1, 0.1, 0.0, 1.0, 2.5])
    weights = imitation_weights(advantage, value_h, q_h, (2.0, 1.0), 100.0)
    # Feasible: exp(2 A) if Q_h ≤ 0, at most 100; elsewhere exp(V_h - Q_h), whatever it earns.
    expected = [math.exp(2.0), 0.0, 100.0, math.exp(1.0), math.exp(-0.5)]
    assert weights.tolist() == pytest.approx(expected)


def test_on_a_chain_the_value_tells_from_where_danger_can_be_avoided():
    # Places 0 … 4, the last dangerous for good: from 3 every action leads there, from others one can stay.
    moves = {0: (0, 1), 1: (1, 2), 2: (2, 3), 3: (4, 4), 4: (4, 4)}
    h = violation(torch.arange(5) == 4, 25.0)
    v, never = torch.full((5,), -1.0), torch.zeros(5, dtype=torch.bool)
    for _ in range(300):
        q = torch.stack(
            [feasibility_target(h, v[[moves[s][a] for s in range(5)]], never, 0.98) for a in (0, 1)]
        )
        v = q.amin(0)
    assert (v <= 0.0).tolist() == [True, True, True, False, False]
    assert q[1, 2] > 0.0, "the step from 2 to 3 is the last that could be avoided"
