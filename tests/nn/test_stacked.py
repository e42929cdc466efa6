"""Networks evaluated at once, against torch's own layers."""

import pytest
import torch
from torch import nn

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.stacked import ACTIVATIONS, activation_name, forward_layers

CLASSES = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leakyrelu": nn.LeakyReLU,
    "linear": nn.Identity,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_layers_of_several_networks_are_torchs(name):
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(3, 5), CLASSES[name](), nn.Linear(5, 2)) for _ in range(4)]
    x = torch.randn(4, 7, 3)
    weights = [torch.stack([n[k].weight.t() for n in networks]) for k in (0, 2)]
    biases = [torch.stack([n[k].bias for n in networks])[:, None] for k in (0, 2)]
    both = forward_layers(x, weights, biases, (name, "linear"))
    torch.testing.assert_close(both, torch.stack([n(part) for n, part in zip(networks, x, strict=True)]))


def test_activations_are_named_as_rllib_names_them():
    assert [activation_name(v) for v in (None, "ReLU", nn.ELU, "swish")] == ["linear", "relu", "elu", "swish"]
    with pytest.raises(SafeMARLError, match=r"fcnet_activation='tahn' is not supported\. Did you"):
        activation_name("tahn")
