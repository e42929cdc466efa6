"""Barriers: sets and losses by hand, and a learnt barrier against a known one."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.barrier import (
    barrier_condition,
    barrier_loss,
    barrier_satisfaction,
    check_rate,
    choose_plan,
    future_margin_loss,
    plans_hold,
)
from rllib_safemarl.functional.barrier_projection import project_actions
from rllib_safemarl.functional.barrier_sets import barrier_sets, future_minimum, steps_left
from tests.functional import wall

ALPHA = 5.0
"""1/s; half of the largest. Drivers who brake late but in time break the condition of a small α."""


def test_sets_of_two_episodes_by_hand():
    # The first ends in a terminal state, the second at its time limit.
    margin = np.array([3, 2, -1, 1, 1, 1, 2, 5, 4, 3, 2, 1], float)
    sets = barrier_sets(margin, np.array([0, 6, 12]), np.array([True, False]), horizon=2)
    assert sets.danger.tolist() == [False, False, True] + [False] * 9
    assert sets.pre_danger.tolist() == [True, True] + [False] * 10
    # After the terminal state nothing comes; the last state before the time limit (none of the two
    # steps to look ahead) is left out, the one before it (half of them) is not.
    assert sets.initial.tolist() == [False] * 3 + [True] * 3 + [True] * 5 + [False]
    assert sets.least_margin.tolist() == [-1, -1, -1, 1, 1, 1, 2, 3, 2, 1, 1, 1]


def test_future_minimum_is_its_definition_for_many_agents():
    rng = np.random.default_rng(0)
    offsets = np.array([0, 3, 4, 20])
    values = rng.normal(size=(20, 2))
    values[5, 1] = np.inf
    got = future_minimum(values, steps_left(offsets), 4)
    for begin, end in ((0, 3), (3, 4), (4, 20)):
        for t in range(begin, end):
            np.testing.assert_array_equal(got[t], values[t : min(t + 5, end)].min(0))


def test_loss_by_hand():
    h = torch.tensor([0.5, 0.01, -0.2, 0.1, -0.5])
    next_h = torch.tensor([0.1, 0.02, 0.0, math.nan, 0.0])
    initial = torch.tensor([True, True, True, False, False])
    danger = torch.tensor([False, False, False, True, True])
    followed = torch.tensor([True, True, False, False, True])
    loss = barrier_loss(h, next_h, initial, danger, followed, 0.05, alpha=2.0, step_seconds=0.5)
    # Condition: (0.1 - 0.5) / 0.5 + 2 · 0.5 = 0.2; (0.02 - 0.01) / 0.5 + 2 · 0.01 = 0.04.
    assert float(loss.initial) == pytest.approx((0 + 0.04 + 0.25) / 3)
    assert float(loss.danger) == pytest.approx((0.15 + 0) / 2)
    assert float(loss.condition) == pytest.approx((0 + 0.01) / 2)
    assert float(loss.initial_right) == pytest.approx(2 / 3)
    assert float(loss.danger_right) == 0.5 and float(loss.condition_right) == 1.0
    assert float(loss.total((1.0, 2.0, 3.0))) == pytest.approx(0.29 / 3 + 0.15 + 0.015)
    # Eq. (8): the worst of min h = -0.2, min -h = -0.1 and the least condition 0.04.
    y = barrier_satisfaction(h, next_h, initial, danger, followed, (2.0, 0.5))
    assert float(y) == pytest.approx(-0.2)


def test_batches_without_a_set_have_finite_losses_and_gradients():
    h = torch.tensor([0.3], requires_grad=True)
    none = torch.tensor([False])
    loss = barrier_loss(h, torch.tensor([math.nan]), none, none, none, 0.1, 1.0, 0.1)
    loss.total().backward()
    assert float(loss.total().detach()) == 0.0 and h.grad.tolist() == [0.0]
    assert math.isinf(barrier_satisfaction(h.detach(), h.detach(), none, none, none, (1.0, 0.1)))


def test_margin_regression_looks_ahead_within_bounds():
    least = torch.tensor([0.25, math.inf, 0.25])
    # Smooth L1: 0.5² / 2 for the first; the second is at its bound, the third where it should be. No danger.
    loss = future_margin_loss(torch.tensor([0.0, 1.0, 0.5]), least, scale=2.0)
    assert float(loss) == pytest.approx(0.125 / 3 / 2)
    # Of 1 to -1 it is 2 - 1/2; one dangerous state weighs as much as all three others.
    h, least = torch.tensor([0.0, 1.0, 0.5, 1.0]), torch.tensor([0.25, math.inf, 0.25, -9.0])
    assert float(future_margin_loss(h, least, scale=2.0)) == pytest.approx((0.125 / 3 + 1.5) / 2)


@pytest.mark.parametrize(("alpha", "step"), [(0.0, 0.1), (-1.0, 0.1), (11.0, 0.1), (1.0, 0.0)])
def test_rates_that_would_change_the_sign_are_refused(alpha, step):
    with pytest.raises(SafeMARLError, match="alpha \\* step_seconds"):
        check_rate(alpha, step)
    assert check_rate(10.0, 0.1) == 1.0


def test_condition_is_the_discrete_time_one():
    h, next_h = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.91, 0.89, -0.89, -0.91])
    rate = barrier_condition(h, next_h, alpha=1.0, step_seconds=0.1)
    assert ((rate >= 0) == (next_h >= 0.9 * h)).all()
    assert (rate >= 0).tolist() == [True, False, True, False]


def test_plans_from_safety_stay_safe_and_plans_in_recovery_rise():
    h = torch.tensor(
        [
            [1.0, 0.95, 0.9, 0.9],
            [1.0, 0.8, 0.9, 0.9],
            [0.1, 0.1, -0.01, 0.5],
            [-1.0, -0.85, -0.7, -0.5],
            [-1.0, -0.95, -0.5, 0.0],
        ]
    )
    assert plans_hold(h, 0.1).tolist() == [True, False, False, True, False]
    assert plans_hold(h, 0.1, moments=1).tolist() == [True, False, True, True, False]


def test_the_best_plan_that_holds_or_the_least_bad():
    h = torch.tensor(
        [
            [[0.5, 0.5, 0.5], [0.5, 0.5, 0.46], [0.5, -0.5, 0.5]],
            [[0.5, -0.3, 0.5], [0.5, 0.1, -0.2], [0.5, 0.0, -0.9]],
        ]
    )
    score = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    index, feasible = choose_plan(h, score, 0.1)
    assert index.tolist() == [1, 1] and feasible.tolist() == [True, False]


@pytest.fixture(scope="module")
def learnt():
    """A small barrier fitted to drivers before a wall."""
    number, steps = 800, 40
    states = wall.episodes(number, steps, np.random.default_rng(0))
    rows, offsets = states.reshape(-1, 2), np.arange(number + 1) * steps
    sets = barrier_sets(wall.margin(rows), offsets, np.zeros(number, bool), horizon=10)
    x = torch.as_tensor(rows, dtype=torch.float32)
    initial, danger = torch.as_tensor(sets.initial), torch.as_tensor(sets.danger)
    followed = torch.as_tensor(steps_left(offsets) > 0)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1), nn.Tanh()
    )
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    for _ in range(800):
        i = torch.randint(len(x) - 1, (1024,), generator=generator)
        h, next_h = net(torch.cat([x[i], x[i + 1]]))[:, 0].chunk(2)
        loss = barrier_loss(h, next_h, initial[i], danger[i], followed[i], 0.05, ALPHA, wall.DT)
        optimizer.zero_grad()
        loss.total((1.0, 1.0, 0.3)).backward()
        optimizer.step()
        schedule.step()
    return SimpleNamespace(h=lambda at: net(at)[..., 0], share=sets.danger.mean())


def test_learnt_barrier_has_the_right_sign_everywhere(learnt):
    assert 0.05 < learnt.share < 0.5
    d, v = np.meshgrid(np.linspace(-0.3, 1.5, 61), np.linspace(-1.0, 1.5, 61))
    grid = np.stack([d, v], -1).reshape(-1, 2)
    margin = wall.margin(grid)
    with torch.no_grad():
        h = learnt.h(torch.as_tensor(grid, dtype=torch.float32)).numpy()
    # The boundary itself is found to a few centimetres.
    clear = np.abs(margin) > 0.08
    assert clear.mean() > 0.85
    assert ((h >= 0) == (margin >= 0))[clear].all()


def test_condition_holds_along_new_safe_trajectories(learnt):
    states = wall.episodes(300, 40, np.random.default_rng(1))
    safe = (wall.margin(states) >= 0).all(1)
    assert safe.sum() > 50
    with torch.no_grad():
        h = learnt.h(torch.as_tensor(states[safe], dtype=torch.float32))
    condition = barrier_condition(h[:, :-1], h[:, 1:], ALPHA, wall.DT)
    assert float((condition >= 0).float().mean()) > 0.99


def test_projection_on_the_learnt_barrier_keeps_a_reckless_driver_off_the_wall(learnt):
    rate = check_rate(ALPHA, wall.DT)
    generator = np.random.default_rng(2)
    x = np.stack([generator.uniform(0.2, 1.5, 300), generator.uniform(-1.0, 1.5, 300)], -1)
    x = torch.as_tensor(x[wall.margin(x) > 0.1], dtype=torch.float32)
    low, high = torch.tensor([-wall.B]), torch.tensor([wall.B])
    reckless = torch.full((len(x), 1), wall.B)
    plain, worst, changed = x, math.inf, 0.0
    for _ in range(40):

        def constraint(actions, x=x):
            return learnt.h(wall.move(x[:, None], actions[..., 0])) - (1 - rate) * learnt.h(x)[:, None]

        done = project_actions(reckless, constraint, low, high, torch.linspace(-1, 1, 9)[:, None])
        x, plain = wall.move(x, done.actions[:, 0]), wall.move(plain, reckless[:, 0])
        worst = min(worst, float(wall.margin(x).min()))
        changed += float(done.changed.float().mean()) / 40
    assert float(plain[:, 0].max()) < -1.0, "without the projection all of them hit the wall"
    assert worst > -0.05 and float(x[:, 0].min()) > -0.02
    assert 0.3 < changed < 1.0
