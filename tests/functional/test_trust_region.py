"""The trust-region step against hand-computed cases and scipy's constrained optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from rllib_safemarl.functional.trust_region import Case, accepts, trust_region_step


def _step(g, b, c, radius, hessian=None):
    """The step for gradients ``g [D]`` and ``b [m, D]``, as a vector, and what it was computed as."""
    g, b, c = np.asarray(g, float), np.atleast_2d(np.asarray(b, float)), np.atleast_1d(np.asarray(c, float))
    inverse = np.linalg.inv(np.eye(len(g)) if hessian is None else hessian)
    step = trust_region_step(g @ inverse @ g, b @ inverse @ g, b @ inverse @ b.T, c, radius)
    return step, inverse @ (step.along_reward * g - step.along_cost @ b)


# With H = 1 and δ = 1/2 the trust region is the unit disc.


def test_far_below_the_limit_the_step_is_the_natural_gradient_on_the_border():
    step, x = _step([3.0, 4.0], [0.0, 1.0], -2.0, 0.5)
    assert step.case is Case.FREE and x == pytest.approx([0.6, 0.8])


def test_a_constraint_through_the_disc_bends_the_step():
    # x_2 <= 0.5, and g points to (0.6, 0.8): the corner of the disc at that height.
    step, x = _step([3.0, 4.0], [0.0, 1.0], -0.5, 0.5)
    assert step.case is Case.DUAL and x == pytest.approx([np.sqrt(0.75), 0.5])
    # g - ν b = λ x: λ = 3 / √0.75, ν = 4 - λ / 2.
    assert step.multipliers == pytest.approx([4.0 - 1.5 / np.sqrt(0.75)])


def test_a_constraint_that_does_not_bind_changes_nothing():
    step, x = _step([3.0, 4.0], [0.0, 1.0], -0.9, 0.5)
    assert step.case is Case.DUAL and x == pytest.approx([0.6, 0.8])
    assert step.multipliers == pytest.approx([0.0])


def test_a_broken_constraint_that_can_be_met_is_met():
    step, x = _step([3.0, 4.0], [0.0, 1.0], 0.5, 0.5)
    assert step.case is Case.DUAL and x == pytest.approx([np.sqrt(0.75), -0.5])


def test_a_broken_constraint_out_of_reach_is_approached_straight():
    step, x = _step([3.0, 4.0], [0.0, 2.0], 3.0, 0.5)
    assert step.case is Case.RECOVERY and x == pytest.approx([0.0, -1.0])


@pytest.mark.parametrize(("c", "case"), [(-0.1, Case.FREE), (0.0, Case.FREE), (0.1, Case.STUCK)])
def test_a_constraint_that_does_not_depend_on_the_policy(c, case):
    step, x = _step([3.0, 4.0], [0.0, 0.0], c, 0.5)
    assert step.case is case
    assert x == pytest.approx([0.0, 0.0] if case is Case.STUCK else [0.6, 0.8])


def test_no_reward_gradient_and_a_broken_constraint():
    step, x = _step([0.0, 0.0], [0.0, 1.0], 0.5, 0.5)
    assert step.case is Case.DUAL and x == pytest.approx([0.0, -0.5])


def test_no_gradient_at_all():
    step, x = _step([0.0, 0.0], [0.0, 1.0], -2.0, 0.5)
    assert step.case is Case.FREE and x == pytest.approx([0.0, 0.0])


def test_reward_against_cost_in_one_direction():
    _, x = _step([0.0, 2.0], [0.0, 1.0], -0.25, 0.5)
    assert x[1] == pytest.approx(0.25, abs=1e-5)


def test_two_constraints_make_a_corner():
    step, x = _step([1.0, 1.0], [[1.0, 0.0], [0.0, 1.0]], [-0.3, -0.4], 0.5)
    assert step.case is Case.DUAL and x == pytest.approx([0.3, 0.4], abs=1e-5)


def test_two_constraints_that_contradict_each_other_leave_no_step():
    step, _ = _step([1.0, 1.0], [[1.0, 0.0], [-1.0, 0.0]], [0.3, 0.3], 0.5)
    assert step.case is Case.STUCK


def test_two_constraints_out_of_reach_are_approached_at_their_corner():
    step, x = _step([1.0, -1.0], [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], 0.5)
    assert step.case is Case.RECOVERY and x == pytest.approx([-0.6, -0.8])


@pytest.mark.parametrize("m", [1, 2, 3])
def test_steps_are_those_of_scipys_optimiser(m):
    random, seen = np.random.default_rng(m), set()
    for _ in range(60):
        size = 5
        root = random.normal(size=(size, size))
        hessian = root @ root.T / size + 0.3 * np.eye(size)
        g, b = random.normal(size=size), random.normal(size=(m, size))
        radius = 0.01
        reach = np.sqrt(2 * radius * np.einsum("ij,jk,ik->i", b, np.linalg.inv(hessian), b))
        c = random.uniform(-1.5, 0.8, m) * reach
        step, x = _step(g, b, c, radius, hessian)
        constraints = [
            {"type": "ineq", "fun": lambda y, h=hessian, d=radius: d - 0.5 * y @ h @ y},
            {"type": "ineq", "fun": lambda y, b=b, c=c: -(c + b @ y)},
        ]
        found = minimize(
            lambda y, g=g: -g @ y,
            np.zeros(size),
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-12},
        )
        feasible = found.success and (c + b @ found.x).max() < 1e-6
        seen.add(step.case)
        assert 0.5 * x @ hessian @ x <= radius * (1 + 1e-6)
        if step.case is Case.RECOVERY:
            assert not feasible
            continue
        assert feasible
        assert (c + b @ x).max() <= 1e-7
        assert g @ x == pytest.approx(g @ found.x, rel=1e-4, abs=1e-6)
    assert Case.DUAL in seen and (m == 1 or Case.RECOVERY in seen)


@pytest.mark.parametrize(
    ("kl", "gain", "change", "c", "taken"),
    [
        (0.01, 1.0, 0.0, -1.0, True),
        (0.011, 1.0, 0.0, -1.0, False),  # too far
        (0.01, -0.1, -0.5, -1.0, False),  # constraint met with slack: the reward has to rise
        (0.01, -0.1, -0.5, 0.5, True),  # constraint broken: it need not
        (0.01, -0.1, 0.0, 0.0, True),  # at the limit: it need not
        (0.01, 1.0, 0.9, -1.0, True),  # slack may be used
        (0.01, 1.0, 1.1, -1.0, False),  # but not more
        (0.01, 1.0, 0.1, 0.5, False),  # a broken constraint must not get worse
        (np.nan, 1.0, 0.0, -1.0, False),
        (0.01, np.nan, 0.0, 1.0, False),
    ],
)
def test_acceptance_depends_on_the_case(kl, gain, change, c, taken):
    assert accepts(kl, gain, np.array([change]), np.array([c]), 0.01) is taken


def test_without_constraints_the_reward_has_to_rise():
    none = np.zeros(0)
    assert accepts(0.01, 1e-6, none, none, 0.01) and not accepts(0.01, 0.0, none, none, 0.01)
    step = trust_region_step(4.0, none, np.zeros((0, 0)), none, 0.5)
    assert step.case is Case.FREE and step.along_reward == pytest.approx(0.5)
