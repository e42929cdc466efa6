"""Targets of critics and window returns, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rllib_safemarl.functional.window_returns import (
    continuation,
    critic_target,
    discounted_returns,
    penalised_reward,
    safe_set,
    value_floor,
    window_least_barrier,
    window_returns,
)

FLOOR = -7.0


def test_reward_is_penalised_only_on_entering_danger():
    got = penalised_reward(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), penalty=3.0)
    assert got.tolist() == [-2.0, 1.0]


def test_safe_set_needs_both_the_barrier_and_no_danger():
    h, danger = torch.tensor([0.0, 0.5, -0.1]), torch.tensor([False, True, False])
    assert safe_set(h, danger).tolist() == [True, False, False]


def test_critic_target_in_all_four_cases():
    safe = torch.tensor([True, True, False, False])
    terminated = torch.tensor([False, True, False, True])
    value = torch.tensor([10.0, 10.0, 10.0, float("nan")])
    got = critic_target(torch.ones(4), value, safe, terminated, 0.5, FLOOR)
    # V; 0 at a safe terminal state; the floor outside, also where a crash ends the episode.
    assert got.tolist() == [6.0, 1.0, -2.5, -2.5]


def test_floor_gives_no_gradient_to_a_value_that_is_not_asked():
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    continuation(value, torch.tensor([True, False]), torch.tensor([False, False]), FLOOR).sum().backward()
    assert value.grad.tolist() == [1.0, 0.0]


def test_window_returns_by_hand():
    reward = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, float("nan")]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    got = window_returns(reward, mask, torch.tensor([8.0, 8.0]), gamma=0.5)
    # 1 + 1 + 1 + 8/8; and, two steps long, 1 + 1 + 8/4.
    assert got.tolist() == [4.0, 4.0]


def test_window_return_at_its_end_follows_the_rules_of_the_critic():
    reward, mask = torch.zeros(4, 2), torch.ones(4, 2, dtype=torch.bool)
    end = continuation(
        torch.full((4,), 8.0),
        torch.tensor([True, True, False, False]),
        torch.tensor([False, True, False, True]),
        FLOOR,
    )
    assert window_returns(reward, mask, end, 0.5).tolist() == [2.0, 0.0, FLOOR / 4, FLOOR / 4]


def test_returns_of_windows_add_up_to_returns_of_episodes():
    """With the return to go as V, every window of an episode has the return of its first step."""
    rng, horizon, gamma = np.random.default_rng(0), 4, 0.9
    reward = rng.normal(size=11)
    cut = np.zeros(11, bool)
    cut[-1] = True
    to_go = discounted_returns(reward, cut, gamma)
    for start in range(11):
        rows = np.minimum(start + np.arange(horizon), 10)
        mask = start + np.arange(horizon) <= 10
        end = to_go[start + horizon] if start + horizon <= 10 else 0.0
        got = window_returns(
            torch.as_tensor(reward[rows][None]),
            torch.as_tensor(mask[None]),
            torch.tensor([end]).double(),
            gamma,
        )
        assert got.item() == pytest.approx(to_go[start])


def test_returns_do_not_cross_episodes():
    got = discounted_returns(
        np.array([[1.0, 0.0], [2.0, 4.0], [4.0, 8.0]]), np.array([False, True, True]), 0.5
    )
    assert got.tolist() == [[2.0, 2.0], [2.0, 4.0], [4.0, 8.0]]
    assert value_floor(got[:, 0], np.array([True, True, False])) == 2.0
    assert value_floor(got, np.zeros((3, 2), bool)) == 0.0


def test_least_barrier_leaves_out_the_present():
    assert window_least_barrier(torch.tensor([[-9.0, 1.0, 0.5], [1.0, 2.0, 3.0]])).tolist() == [0.5, 2.0]
