"""Encoders of neighbours: their order, what masked slots hold, and how many there are."""

from __future__ import annotations

import pytest
import torch

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.barrier_networks import BarrierNetwork, OneStepModel
from rllib_safemarl.nn.set_encoder import POOLINGS, SetEncoder, SetLayout
from rllib_safemarl.nn.value_networks import TwinQNetwork, ValueNetwork

LAYOUT = SetLayout(own_size=3, slot_size=2)


def _states(*shape: int, slots: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, LAYOUT.width(slots), generator=torch.Generator().manual_seed(seed))


def _networks(pooling: str):
    """Name → function of states and mask, of every network that must not care about the order."""
    torch.manual_seed(0)
    encoder = SetEncoder(LAYOUT, (16, 16), 4, pooling=pooling)
    barrier, value = BarrierNetwork(LAYOUT, (16,), pooling), ValueNetwork(LAYOUT, (16,), pooling)
    twins = TwinQNetwork(LAYOUT, 2, (16,), pooling)

    def smaller(x, mask=None):
        return twins.smaller(x, torch.full((*x.shape[:-1], 2), 0.3), mask)

    return {"encoder": encoder, "barrier": barrier, "value": value, "twins": smaller}


def test_split_and_join():
    own, slots = LAYOUT.split(torch.arange(7.0))
    assert own.tolist() == [0, 1, 2] and slots.tolist() == [[3, 4], [5, 6]]
    assert LAYOUT.join(own, slots).tolist() == list(range(7))
    own, slots = SetLayout(3).split(torch.zeros(2, 3))
    assert own.shape == (2, 3) and slots.shape == (2, 0, 0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_order_of_neighbours_does_not_matter(pooling):
    x, order = _states(6, 4), torch.tensor([3, 0, 4, 1, 2])
    mask = torch.rand(6, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    own, slots = LAYOUT.split(x)
    mixed = LAYOUT.join(own, slots[..., order, :])
    for name, network in _networks(pooling).items():
        torch.testing.assert_close(network(mixed, mask[..., order]), network(x, mask), msg=name)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("filler", [1e6, float("nan"), float("inf")])
def test_masked_slots_have_no_influence_on_value_or_gradient(pooling, filler):
    x = _states(8)
    mask = torch.tensor([True, False, True, False, False]).expand(8, 5)
    own, slots = LAYOUT.split(x)
    few = LAYOUT.join(own, slots[:, [0, 2]])
    spoilt = LAYOUT.join(own, torch.where(mask.unsqueeze(-1), slots, filler)).requires_grad_()
    for name, network in _networks(pooling).items():
        out = network(spoilt, mask)
        torch.testing.assert_close(out, network(few), msg=name)
        gradient = torch.autograd.grad(out.sum(), spoilt)[0]
        assert torch.isfinite(gradient).all(), name
        slot_gradient = LAYOUT.split(gradient)[1]
        assert (slot_gradient[:, [1, 3, 4]] == 0).all() and (slot_gradient[:, [0, 2]] != 0).any(), name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_neighbours_that_are_there_matter_and_their_number_may_change(pooling):
    for name, network in _networks(pooling).items():
        many = _states(4, slots=9)
        fewer = many[:, : LAYOUT.width(8)]
        assert not torch.allclose(network(many), network(fewer)), name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_nobody_near_is_the_same_as_no_slots(pooling):
    x = _states(4)
    for name, network in _networks(pooling).items():
        alone = network(x, torch.zeros(4, 5, dtype=torch.bool))
        assert torch.isfinite(alone).all(), name
        torch.testing.assert_close(alone, network(x[:, :3]), msg=name)


def test_without_slots_it_is_a_plain_perceptron():
    network = BarrierNetwork(SetLayout(3), (8,))
    h = network(10.0 * torch.randn(100, 3))
    assert h.shape == (100,) and float(h.detach().abs().max()) <= 1.0


def test_twins_differ_and_the_smaller_is_taken():
    twins = TwinQNetwork(LAYOUT, 2, (16,))
    x, action = _states(50), torch.randn(50, 2)
    both = twins(x, action)
    assert both.shape == (2, 50) and not torch.allclose(both[0], both[1])
    torch.testing.assert_close(twins.smaller(x, action), torch.minimum(both[0], both[1]))
    assert not torch.allclose(both, twins(x, action + 1.0))


def test_unknown_pooling_is_named():
    with pytest.raises(SafeMARLError, match="Did you mean 'attention'"):
        SetEncoder(LAYOUT, pooling="atention")


def test_one_step_model_moves_slots_alike_and_leaves_empty_ones():
    torch.manual_seed(0)
    model = OneStepModel(LAYOUT, 2, (16,))
    x, action, order = _states(4, slots=3), torch.randn(4, 2), [2, 0, 1]
    own, slots = LAYOUT.split(x)
    moved = LAYOUT.split(model(x, action))[1]
    mixed = LAYOUT.split(model(LAYOUT.join(own, slots[:, order]), action))
    torch.testing.assert_close(mixed[1], moved[:, order])
    mask = torch.tensor([True, False, True]).expand(4, 3)
    held = LAYOUT.split(model(x, action, mask))[1]
    assert torch.equal(held[:, 1], slots[:, 1]) and not torch.equal(held[:, 0], slots[:, 0])
    assert not torch.allclose(model(x, action), model(x, action + 1.0))


def test_one_step_model_learns_a_double_integrator():
    """x = (own velocity, relative position of a neighbour); the action accelerates."""
    layout, generator = SetLayout(1, 1), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    x = torch.randn(2000, 3, generator=generator)
    action = 2 * torch.rand(2000, 1, generator=generator) - 1
    own, slots = layout.split(x)
    following = layout.join(own + 0.1 * action, slots - 0.1 * own.unsqueeze(-1))
    model = OneStepModel(layout, 1, (32,))
    model.set_change_scale(0.1 * action.std(0), 0.1 * own.std(0))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        loss = (((model(x, action) - following) / 0.1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((model(x, action) - following).detach().abs().max()) < 0.05
    assert loss.item() < 0.005


def test_a_barrier_of_pairs_is_the_least_over_neighbours_however_many():
    network = BarrierNetwork(LAYOUT, (16,))
    x = torch.randn(6, LAYOUT.width(3), generator=torch.Generator().manual_seed(0))
    own, slots = LAYOUT.split(x)
    alone = network(x, torch.zeros(6, 3, dtype=torch.bool))
    single = [network(LAYOUT.join(own, slots[:, k : k + 1])) for k in range(3)]
    torch.testing.assert_close(network(x), torch.stack(single).amin(0))
    torch.testing.assert_close(network(own), alone)
    mask = torch.tensor([True, False, True]).expand(6, -1)
    torch.testing.assert_close(network(x, mask), torch.minimum(single[0], single[2]))
    assert (network(x, mask) <= alone).all()
    filled = LAYOUT.join(own, torch.where(mask[..., None], slots, torch.nan))
    network(filled, mask).sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("pooling", ["pairs", "max_mean"])
def test_ignored_features_of_the_agent_and_of_neighbours_have_no_influence(pooling):
    network = BarrierNetwork(LAYOUT, (16,), pooling, ignored=(1,))
    x = torch.randn(5, LAYOUT.width(2), generator=torch.Generator().manual_seed(0))
    other = x.clone()
    size = LAYOUT.own_size
    other[:, [1, size + 1, size + LAYOUT.slot_size + 1]] += 9.0
    torch.testing.assert_close(network(other), network(x))
    other[:, size] += 9.0
    assert (network(other) != network(x)).any()
