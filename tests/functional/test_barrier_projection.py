"""Projections against a general-purpose solver and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize

from rllib_safemarl.functional.barrier_projection import (
    project_actions,
    project_choices,
    project_to_half_space,
)


def _tensors(*arrays):
    return [torch.as_tensor(a) for a in arrays]


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_quadratic_program_equals_scipy(size):
    rng = np.random.default_rng(size)
    low, high = -rng.uniform(0.2, 1.0, size), rng.uniform(0.2, 1.0, size)
    wanted = rng.uniform(low, high, (40, size))
    gradient = rng.normal(size=(40, size)) * (rng.random((40, size)) < 0.8)
    value = rng.normal(size=40) * 0.7
    got = project_to_half_space(*_tensors(wanted, gradient, value, low, high)).numpy()
    checked = 0
    for a, g, c, out in zip(wanted, gradient, value, got, strict=True):
        most = c + (g * (np.where(g > 0, high, low) - a)).sum()
        assert (out >= low - 1e-12).all() and (out <= high + 1e-12).all()
        if most < 1e-6:
            # Not possible within the bounds: the corner that comes nearest.
            assert c + g @ (out - a) == pytest.approx(most, abs=1e-9)
            continue
        wall = optimize.LinearConstraint(g[None], g @ a - c, np.inf)
        best = optimize.minimize(
            lambda x, a=a: ((x - a) ** 2).sum(),
            np.where(g > 0, high, low),
            jac=lambda x, a=a: 2 * (x - a),
            bounds=list(zip(low, high, strict=True)),
            constraints=wall,
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert c + g @ (out - a) >= -1e-9
        np.testing.assert_allclose(out, best.x, atol=2e-5)
        checked += 1
    assert checked > 15


def test_without_bounds_it_is_the_closed_form():
    a, g = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    free = torch.full((2,), torch.inf)
    out = project_to_half_space(a, g, torch.tensor([-50.0]), -free, free)
    torch.testing.assert_close(out, a + 50.0 / 25.0 * g)
    assert torch.equal(project_to_half_space(a, g, torch.tensor([0.1]), -free, free), a)


def test_a_wanted_action_beyond_its_bound_comes_back_to_it():
    one, low, high = torch.ones(1, 2), torch.full((2,), -1.0), torch.full((2,), 1.0)
    out = project_to_half_space(torch.tensor([[-3.0, 0.0]]), one, torch.tensor([-3.5]), low, high)
    # At the bounds the constraint is -3.5 + 2: 1.5 are missing. The first entry leaves its bound only
    # for μ > 2, so the second gives 1 at most, and the first the rest.
    torch.testing.assert_close(out, torch.tensor([[-0.5, 1.0]]))


def _ring(actions: torch.Tensor) -> torch.Tensor:
    """Allowed outside of a disc: no convex set, and flat at its centre."""
    return actions.square().sum(-1) - 0.25


def test_a_nonlinear_constraint_is_met_in_truth_and_almost_nearest():
    rng = torch.Generator().manual_seed(0)
    wanted = 0.6 * torch.rand(200, 2, generator=rng) - 0.3
    bounds = torch.full((2,), -1.0), torch.full((2,), 1.0)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9))
    out = project_actions(wanted, lambda a: _ring(a), *bounds, grid, rounds=4, tolerance=1e-4)
    assert out.changed.all() and out.satisfied.all()
    assert float(_ring(out.actions).min()) >= -1e-4
    torch.testing.assert_close(out.value, _ring(out.actions))
    distance = (out.actions - wanted).norm(dim=1)
    nearest = 0.5 - wanted.norm(dim=1)
    assert float((distance - nearest).mean()) < 0.02


def test_nobodys_action_depends_on_who_else_is_in_the_batch():
    rng = torch.Generator().manual_seed(1)
    wanted = torch.cat([0.9 * torch.rand(60, 2, generator=rng) - 0.45, torch.zeros(1, 2)])
    bounds = torch.full((2,), -1.0), torch.full((2,), 1.0)
    few = torch.tensor([[0.5, 0.1], [-0.1, 0.5]])
    together = project_actions(wanted, _ring, *bounds, few, tolerance=1e-3)
    alone = [project_actions(row[None], _ring, *bounds, few, tolerance=1e-3).actions for row in wanted]
    torch.testing.assert_close(together.actions, torch.cat(alone), rtol=0.0, atol=1e-6)


def test_allowed_actions_are_not_touched():
    wanted = torch.tensor([[0.9, 0.0], [0.1, 0.0]])
    bounds = torch.full((2,), -1.0), torch.full((2,), 1.0)
    out = project_actions(wanted, _ring, *bounds, tolerance=1e-5)
    assert torch.equal(out.actions[0], wanted[0]) and out.changed.tolist() == [False, True]
    assert out.actions[1, 0].item() == pytest.approx(0.5, abs=0.05)


def test_where_nothing_is_allowed_the_least_bad_is_taken():
    def never(actions):
        return -1.0 - (actions[..., 0] - 0.5) ** 2

    bounds = torch.tensor([-1.0]), torch.tensor([1.0])
    out = project_actions(torch.tensor([[-0.9]]), never, *bounds, torch.tensor([[-0.4], [0.5]]))
    assert out.actions.item() == 0.5 and not out.satisfied.any() and out.changed.all()


def test_choices_by_hand():
    score = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    value = torch.tensor([[-1.0, 0.0, 5.0], [-3.0, -1.0, -2.0]])
    choice, satisfied = project_choices(score, value)
    assert choice.tolist() == [1, 1] and satisfied.tolist() == [True, False]
