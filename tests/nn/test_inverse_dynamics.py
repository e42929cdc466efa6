"""Inverse dynamics recover the actions of known systems, real and discrete."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from rllib_safemarl.nn.inverse_dynamics import InverseDynamics
from rllib_safemarl.nn.value_networks import encode_actions


def _fit(network: InverseDynamics, x, following, actions, counted, updates: int = 200) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    network.set_change_scale((following - x)[counted].std(0))
    for _ in range(updates):
        loss = network.loss(x, following, actions, counted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture
def moves():
    """A double integrator: positions, velocities, a feature that never changes, and their next values."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1500, 5, generator=generator)
    action = 2 * torch.rand(1500, 2, generator=generator) - 1
    following = x.clone()
    following[:, :2] += 0.05 * x[:, 2:4]
    following[:, 2:4] += 0.05 * action
    return x, following, action


def test_accelerations_are_recovered(moves):
    x, following, action = moves
    network = InverseDynamics(5, 2, hiddens=(64,))
    counted = torch.ones(1500, dtype=torch.bool)
    counted[1400:] = False
    spoilt = torch.where(counted[:, None], action, float("nan"))
    _fit(network, x, following, spoilt, counted)
    error = (network.act(x[1400:], following[1400:]) - action[1400:]).detach()
    assert float(error.abs().mean()) < 0.05
    assert network.change_scale[4] == 1.0


def test_choices_are_recovered(moves):
    x, following, action = moves
    # Two decisions: the sign of the first acceleration, and which third the second falls into.
    choices = torch.stack([(action[:, 0] > 0).long(), ((action[:, 1] + 1) * 1.5).long().clamp(0, 2)], -1)
    network = InverseDynamics(5, choices=(2, 3), hiddens=(64,))
    counted = torch.ones(1500, dtype=torch.bool)
    _fit(network, x, following, choices, counted)
    got = network.act(x, following)
    assert got.shape == (1500, 2) and got.dtype == torch.int64
    assert float((got == choices).float().mean()) > 0.97


def test_cross_entropy_is_torchs_summed_over_decisions():
    torch.manual_seed(0)
    network = InverseDynamics(3, choices=(2, 4), hiddens=(8,))
    x, following = torch.randn(2, 6, 3).unbind()
    actions = torch.stack([torch.randint(2, (6,)), torch.randint(4, (6,))], -1)
    counted = torch.tensor([True] * 4 + [False] * 2)
    logits = network.net(torch.cat([x, following - x], -1))[:4]
    expected = functional.cross_entropy(logits[:, :2], actions[:4, 0]) + functional.cross_entropy(
        logits[:, 2:], actions[:4, 1]
    )
    torch.testing.assert_close(network.loss(x, following, actions, counted), expected)
    probabilities = network(x, following).exp()
    torch.testing.assert_close(probabilities[:, :2].sum(-1), torch.ones(6))


def test_a_single_choice_has_no_axis_of_its_own():
    network = InverseDynamics(3, choices=(4,), single=True, hiddens=(8,))
    x, following = torch.randn(2, 5, 7, 3).unbind()
    actions = network.act(x, following)
    assert actions.shape == (5, 7)
    best = network.loss(x, following, actions, torch.ones(5, 7, dtype=torch.bool))
    other = network.loss(x, following, (actions + 1) % 4, torch.ones(5, 7, dtype=torch.bool))
    assert best.item() < other.item()


def test_actions_as_vectors():
    real = torch.tensor([[0.1, 0.2]])
    assert encode_actions(real, ()) is real
    assert encode_actions(torch.tensor([2, 0]), (3,), single=True).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert encode_actions(torch.tensor([[1, 2]]), (2, 3)).tolist() == [[0, 1, 0, 0, 1]]


def test_changes_are_seen_in_their_own_units():
    network = InverseDynamics(2, 1, hiddens=(8,))
    x, change = torch.randn(2, 6, 2).unbind()
    expected = network(x, x + change)
    network.set_change_scale(torch.tensor([0.01, 0.0]))
    # The second feature never changes in the data; its scale stays 1.
    torch.testing.assert_close(
        network(x, x + change * torch.tensor([0.01, 1.0])), expected, rtol=1e-3, atol=1e-4
    )
