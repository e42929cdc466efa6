"""The stacked Adam against torch's own, member by member."""

from __future__ import annotations

import torch

from rllib_safemarl.nn.stacked_adam import StackedAdam

RATES = (1e-2, 1e-3, 5e-2)


def test_every_member_steps_as_if_it_had_an_adam_of_its_own_and_rests_when_told():
    torch.manual_seed(0)
    start = [torch.randn(3, 4, 5), torch.randn(3, 2)]
    stacks = [torch.nn.Parameter(value.clone()) for value in start]
    ours = StackedAdam(stacks, (0.9, 0.999), 1e-5)
    ours.rates[:] = torch.tensor(RATES, dtype=torch.float64)
    alone = [[torch.nn.Parameter(value[m].clone()) for value in start] for m in range(3)]
    theirs = [torch.optim.Adam(p, lr=rate, eps=1e-5) for p, rate in zip(alone, RATES, strict=True)]
    for active in ([1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]):
        ours.zero_grad()
        for k, stack in enumerate(stacks):
            stack.grad = torch.randn(stack.shape)
            for m in range(3):
                alone[m][k].grad = stack.grad[m].clone()
        ours.step(torch.tensor(active, dtype=torch.bool))
        for m in range(3):
            if active[m]:
                theirs[m].step()
    for k, stack in enumerate(stacks):
        for m in range(3):
            torch.testing.assert_close(stack[m].detach(), alone[m][k].detach(), rtol=1e-5, atol=1e-6)
            state = theirs[m].state[alone[m][k]]
            torch.testing.assert_close(ours.means[k][m], state["exp_avg"])
            torch.testing.assert_close(ours.squares[k][m], state["exp_avg_sq"])
    assert ours.steps.tolist() == [3.0, 3.0, 4.0]
