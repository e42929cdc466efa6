"""The planner: what it must not depend on, and what its switches do."""

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms.diffusion_cbf.planner import Planner, StateLayout
from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.nn.set_encoder import SetLayout

LAYOUT = StateLayout(SetLayout(3, 4), present=2, slots=2)
"""Own features 3; slots of 4 whose third number says that they are taken."""


def make(**changes):
    torch.manual_seed(0)
    settings = {name: setting.default for name, setting in DIFFUSION_CBF_SETTINGS.items()}
    settings |= {"plan_horizon": 4, "denoiser_settings": {"width": 16, "layers": 1}, **changes}
    planner = Planner(LAYOUT, 2, settings, [8])
    planner.rate.fill_(0.1)
    return planner


def views(batch=5):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, LAYOUT.sets.width(2), generator=generator)
    x[:, 5], x[:, 9] = 1.0, 0.0
    return x


def test_acting_is_a_function_of_what_is_seen_within_the_bounds():
    planner, seen = make(), views()
    actions = planner.act(seen)
    assert actions.shape == (5, 2) and actions.abs().max() <= 1.0
    torch.testing.assert_close(planner.act(seen), actions, rtol=0, atol=0)
    torch.testing.assert_close(planner.act(seen[2:3]), actions[2:3], rtol=1e-4, atol=1e-5)
    assert (planner.act(seen + 1.0) != actions).any()


def test_empty_slots_have_no_influence():
    planner, seen = make(), views()
    other = seen.clone()
    other[:, [7, 8, 10]] = 100.0
    torch.testing.assert_close(planner.act(other), planner.act(seen))


def test_plans_begin_with_the_present():
    planner, seen = make(n_plans=3), views()
    with torch.no_grad():
        x, mask = planner.state(seen)
        plans = planner.plans(x, mask)
    assert plans.shape == (5, 3, 5, 11)
    torch.testing.assert_close(plans[:, :, 0], x[:, None].expand(-1, 3, -1))
    assert (plans[:, 0] != plans[:, 1]).any(), "each plan has a noise of its own"


def test_nothing_is_asked_where_targets_are_null_and_reach_bounds_the_barrier():
    seen = views()
    free = make(target_barrier=None, target_return=None)
    assert free.condition(*free.state(seen)).isnan().all()
    planner = make(target_barrier=1.0, target_return=0.5)
    planner.reach_value.fill_(-0.25)
    y = planner.condition(*planner.state(seen))
    assert y.tolist() == [[-0.25, 0.5]] * 5


@pytest.mark.parametrize(("scores", "beta", "expected"), [([0.1, 0.2, 0.3], 0.5, 0.2), ([0.1], 0.9, 2.0)])
def test_the_offset_is_that_of_the_stored_scores(scores, beta, expected):
    planner = make(beta=beta)
    planner.scores[: len(scores)] = torch.tensor(scores)
    assert planner.offset == pytest.approx(expected, abs=1e-6)


def test_projection_moves_actions_only_where_the_barrier_would_fall():
    planner = make()
    x, mask = planner.state(views())

    class Falls(torch.nn.Module):
        def forward(self, states, masks):
            return states[..., 0]

    class Ahead(torch.nn.Module):
        def forward(self, states, actions, masks):
            return torch.cat([actions[..., :1], states[..., 1:]], -1)

    planner.barrier, planner.model = Falls(), Ahead()
    wanted = torch.tensor([[-0.5, 0.3]]).repeat(5, 1)
    # h of the next moment is the first action: it must be at least (1 - 0.1) · 0.2.
    moved = planner.project(x, mask, wanted, torch.full((5,), 0.2), 0.1, 0.0)
    np.testing.assert_allclose(moved.numpy(), [[0.18, 0.3]] * 5, atol=1e-5)
    kept = planner.project(x, mask, wanted, torch.full((5,), -0.6), 0.1, 0.0)
    torch.testing.assert_close(kept, wanted)
