"""Conjugate gradients against a dense solve, Fisher products against the dense matrix and differences."""

from __future__ import annotations

import torch
from torch import nn

from rllib_safemarl.functional.conjugate_gradients import (
    conjugate_gradients,
    flat_gradient,
    hessian_product,
)
from rllib_safemarl.functional.distributions import Categorical, DiagonalGaussian


def test_conjugate_gradients_by_hand():
    # The textbook system [[4, 1], [1, 3]] x = (1, 2), whose solution is (1, 7) / 11.
    matrix, target = torch.tensor([[4.0, 1.0], [1.0, 3.0]]), torch.tensor([1.0, 2.0])
    solution = conjugate_gradients(lambda v: matrix @ v, target, 2)
    torch.testing.assert_close(solution, torch.tensor([1.0, 7.0]) / 11.0)
    first = conjugate_gradients(lambda v: matrix @ v, target, 1)
    torch.testing.assert_close(first, target * 5.0 / 20.0)


def test_conjugate_gradients_solve_what_a_dense_solver_solves():
    torch.manual_seed(0)
    root = torch.randn(20, 20, dtype=torch.float64)
    matrix, target = root @ root.T + torch.eye(20), torch.randn(20, dtype=torch.float64)
    solution = conjugate_gradients(lambda v: matrix @ v, target, 60, 1e-24)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, target))
    assert not conjugate_gradients(lambda v: matrix @ v, torch.zeros(20), 5).any()


def _network(outputs: int) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs)).double()


def _dense_fisher(network: nn.Module, x: torch.Tensor, distribution, local) -> torch.Tensor:
    """``mean_i J_iᵀ F_i J_i``, F_i the distribution's own Fisher matrix, from the network's Jacobians."""
    parameters = list(network.parameters())
    total = 0.0
    for row in x:
        out = network(row)
        jacobian = torch.stack([flat_gradient(o, parameters, keep=True) for o in out])
        total = total + jacobian.T @ local(out.detach()) @ jacobian
    return total / len(x)


def test_hessian_of_the_kl_is_the_fisher_matrix_of_a_gaussian():
    network, x = _network(4), torch.randn(6, 3, dtype=torch.float64)

    def local(inputs):
        return torch.diag(torch.cat([(-2.0 * inputs[2:]).exp(), torch.full((2,), 2.0, dtype=torch.float64)]))

    dense, vector = _dense_fisher(network, x, DiagonalGaussian(), local), torch.randn(36, dtype=torch.float64)
    out = network(x)
    product = hessian_product(DiagonalGaussian().kl(out.detach(), out).mean(), list(network.parameters()))
    torch.testing.assert_close(product(vector), dense @ vector)
    torch.testing.assert_close(product(2.0 * vector), 2.0 * dense @ vector)


def test_hessian_of_the_kl_is_the_fisher_matrix_of_a_choice():
    network, x = _network(4), torch.randn(6, 3, dtype=torch.float64)

    def local(inputs):
        p = inputs.softmax(-1)
        return torch.diag(p) - torch.outer(p, p)

    dense, vector = _dense_fisher(network, x, Categorical(), local), torch.randn(36, dtype=torch.float64)
    out = network(x)
    product = hessian_product(Categorical().kl(out.detach(), out).mean(), list(network.parameters()))
    torch.testing.assert_close(product(vector), dense @ vector)


def test_products_agree_with_finite_differences_of_the_gradient():
    network, x = _network(2), torch.randn(6, 3, dtype=torch.float64)
    parameters, old = list(network.parameters()), network(x).detach()
    vector = torch.randn(26, dtype=torch.float64)

    def gradient_at(shift: float) -> torch.Tensor:
        start = nn.utils.parameters_to_vector(parameters).detach().clone()
        nn.utils.vector_to_parameters(start + shift * vector, parameters)
        gradient = flat_gradient(DiagonalGaussian().kl(old, network(x)).mean(), parameters)
        nn.utils.vector_to_parameters(start, parameters)
        return gradient

    numeric = (gradient_at(1e-5) - gradient_at(-1e-5)) / 2e-5
    product = hessian_product(DiagonalGaussian().kl(old, network(x)).mean(), parameters)
    torch.testing.assert_close(product(vector), numeric, rtol=1e-5, atol=1e-7)


def test_parameters_without_influence_have_gradient_zero():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    value = used.square().sum()
    assert flat_gradient(value, [used, unused], keep=True).tolist() == [2.0, 2.0, 0.0, 0.0, 0.0]
    assert hessian_product(value, [used, unused])(torch.ones(5)).tolist() == [2.0, 2.0, 0.0, 0.0, 0.0]
