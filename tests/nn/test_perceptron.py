"""Inputs in parts that broadcast give what the whole input gives."""

import torch

from rllib_safemarl.nn.behaviour_model import BehaviourModel
from rllib_safemarl.nn.perceptron import of_parts, perceptron
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.nn.value_networks import TwinQNetwork


def test_many_actions_in_one_state_are_valued_as_each_by_itself():
    torch.manual_seed(0)
    network = perceptron([5, 8, 8, 1], normalise=True)
    x, actions = torch.randn(4, 3, requires_grad=True), torch.randn(6, 4, 2)
    whole = network(torch.cat([x.expand(6, 4, 3), actions], -1))
    parts = of_parts(network, [x, actions])
    torch.testing.assert_close(parts, whole)
    ours, theirs = (torch.autograd.grad(y.square().sum(), [x, *network.parameters()]) for y in (parts, whole))
    torch.testing.assert_close(ours, theirs)


def test_critics_with_neighbours_and_models_of_behaviour_take_them_alike():
    torch.manual_seed(0)
    twins = TwinQNetwork(SetLayout(3, 2), 2, (16,))
    x, actions = torch.randn(4, 3 + 2 * 2), torch.randn(6, 4, 2)
    torch.testing.assert_close(twins(x, actions), twins(x.expand(6, 4, -1), actions))
    chosen = torch.eye(2)[:, None]
    for model, tried in (
        (BehaviourModel(7, 2, (), (16,)), actions),
        (BehaviourModel(7, 2, (2,), (16,)), chosen),
    ):
        each = tried.expand(len(tried), 4, 2)
        torch.testing.assert_close(model(x, tried), model(x.expand(len(tried), 4, -1), each))
