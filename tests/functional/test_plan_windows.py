"""Windows as changes from the present."""

from __future__ import annotations

import torch

from rllib_safemarl.functional.plan_windows import change_scales, loss_weights, to_plan, to_states


def test_there_and_back_and_the_present_stays():
    x = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(0))
    scales = change_scales(x, torch.ones_like(x, dtype=torch.bool))
    plan = to_plan(x, scales)
    torch.testing.assert_close(plan[:, 0], x[:, 0])
    torch.testing.assert_close(to_states(plan, scales), x)
    # Changes have unit size at every moment.
    torch.testing.assert_close(plan[:, 1:].square().mean(0), torch.ones(4, 3))


def test_scales_of_what_counts_and_of_what_never_changes():
    x = torch.tensor([[[0.0, 5.0], [3.0, 5.0]], [[1.0, 6.0], [5.0, 6.0]], [[0.0, 1.0], [90.0, 1.0]]])
    counted = torch.ones(3, 2, 2, dtype=torch.bool)
    counted[2] = False
    # Changes 3 and 4, the third window left out: sqrt((9 + 16) / 2).
    torch.testing.assert_close(change_scales(x, counted)[1], torch.tensor([12.5**0.5, 1.0]))


def test_the_first_own_step_weighs_most():
    assert loss_weights(3, 4, 2, 9.0).tolist() == [[1.0] * 4, [9.0, 9.0, 1.0, 1.0], [1.0] * 4]
