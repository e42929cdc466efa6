"""Any modules of one structure, stacked, against the modules themselves."""

from __future__ import annotations

import torch
from torch import nn

from rllib_safemarl.nn.stacked_modules import StackedModules, stack_modules, structure


class Odd(nn.Module):
    """A convolution, a buffer, a frozen parameter, and a choice that is no parameter."""

    def __init__(self, bend=torch.tanh):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3)
        self.head = nn.Linear(8, 3)
        self.head.bias.requires_grad_(False)
        self.register_buffer("shift", torch.randn(3))
        self.bend = bend

    def forward(self, x):
        return self.head(self.bend(self.conv(x[:, None])).flatten(1)) + self.shift


class Counting(Odd):
    def forward(self, x):
        return super().forward(x) * float(x.sum() > -1e9)


def test_outputs_and_gradients_are_those_of_the_modules():
    torch.manual_seed(0)
    modules = [Odd() for _ in range(4)]
    stack = stack_modules(modules, 6)
    assert isinstance(stack, StackedModules)
    x = torch.randn(4, 5, 6)
    stack(x).square().sum().backward()
    for m, module in enumerate(modules):
        out = module(x[m])
        torch.testing.assert_close(stack(x)[m], out)
        out.square().sum().backward()
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(stack.stacks[name].grad[m], parameter.grad)
    assert not stack.stacks["head.bias"].requires_grad


def test_values_are_copies_until_they_are_taken_over_again():
    modules = [Odd() for _ in range(3)]
    stack, x = StackedModules(modules), torch.randn(3, 2, 6)
    before = stack(x).detach()
    with torch.no_grad():
        for tensor in (modules[1].conv.weight, modules[1].head.bias, modules[1].shift):
            tensor.add_(1.0)
    torch.testing.assert_close(stack(x), before)
    stack.load()
    torch.testing.assert_close(stack(x)[1], modules[1](x[1]))
    torch.testing.assert_close(stack(x)[2], before[2])


def test_what_cannot_be_stacked_is_told():
    wide = Odd()
    wide.head = nn.Linear(8, 4)
    assert structure(Odd()) == structure(Odd()) != structure(wide)
    assert structure(Odd()) != structure(Counting())
    assert stack_modules([Odd(), Odd(torch.sigmoid)], 6) == "together they give other outputs than one by one"
    why = stack_modules([Counting(), Counting()], 6)
    assert isinstance(why, str) and "\n" not in why and "vmap" in why
