"""The planner: what it must not depend on, and what its switches do."""

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.policies.decisions import FLAGS
from rllib_safemarl.policies.layouts import ActionLayout, StateLayout
from rllib_safemarl.policies.planner import Planner
from rllib_safemarl.policies.planning import PlanningPolicy

VECTOR = ActionLayout(2)
LAYOUT = StateLayout(SetLayout(3, 4), present=2, slots=2)
"""Own features 3; slots of 4 whose third number says that they are taken."""


def make(action=VECTOR, **changes):
    torch.manual_seed(0)
    settings = {name: setting.default for name, setting in DIFFUSION_CBF_SETTINGS.items()}
    settings |= {"denoiser": "mlp", "plan_horizon": 4, "denoiser_settings": {"width": 16, "layers": 1}}
    planner = Planner(LAYOUT, action, {**settings, **changes}, [8])
    planner.rate.fill_(0.1)
    # A network that begins as nothing would plan to stay.
    torch.nn.init.normal_(planner.acting_denoiser.out.weight, std=0.5)
    return PlanningPolicy(planner)


def views(batch=5):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, LAYOUT.width, generator=generator)
    x[:, 5], x[:, 9] = 1.0, 0.0
    return x


def test_acting_is_a_function_of_what_is_seen_within_the_bounds():
    policy, seen = make(), views()
    actions = policy.act(seen)
    assert actions.shape == (5, 2) and actions.abs().max() <= 1.0
    torch.testing.assert_close(policy.act(seen), actions, rtol=0, atol=0)
    torch.testing.assert_close(policy.act(seen[2:3]), actions[2:3], rtol=1e-4, atol=1e-5)
    assert (policy.act(seen + 1.0) != actions).any()


def test_empty_slots_have_no_influence():
    policy, seen = make(), views()
    other = seen.clone()
    other[:, [7, 8, 10]] = 100.0
    torch.testing.assert_close(policy.act(other), policy.act(seen))


def test_plans_begin_with_the_present():
    policy, seen = make(n_plans=3), views()
    with torch.no_grad():
        x, mask = policy.planner.state(seen)
        plans = policy.plans(x, mask)
    assert plans.shape == (5, 3, 5, 11)
    torch.testing.assert_close(plans[:, :, 0], x[:, None].expand(-1, 3, -1))
    assert (plans[:, 0] != plans[:, 1]).any(), "each plan has a noise of its own"


def test_changes_are_planned_in_units_of_their_size():
    policy, seen = make(n_plans=1), views()
    x, mask = policy.planner.state(seen)
    with torch.no_grad():
        wide = policy.plans(x, mask)
        policy.planner.plan_scales[1:] = 0.01
        narrow = policy.plans(x, mask)
    torch.testing.assert_close(
        narrow - x[:, None, None], 0.01 * (wide - x[:, None, None]), rtol=1e-3, atol=1e-5
    )


def test_nothing_is_asked_where_targets_are_null_and_no_more_than_is_in_reach():
    seen = views()
    free = make(target_barrier=None, target_return=None)
    assert free.wanted(*free.planner.state(seen)).isnan().all()
    policy = make(target_barrier=1.0, target_return=0.25)
    policy.planner.reach = lambda x, mask: x.new_tensor([[0.5, 0.9]]).repeat(len(x), 1)
    # A quantile of 1 is rank 1, of which 0.5 is in reach; one of a quarter is rank -0.5.
    assert policy.wanted(*policy.planner.state(seen)).tolist() == [[0.5, -0.5]] * 5


@pytest.mark.parametrize(("scores", "beta", "expected"), [([0.1, 0.2, 0.3], 0.5, 0.2), ([0.1], 0.9, 2.0)])
def test_the_offset_is_that_of_the_stored_scores(scores, beta, expected):
    planner = make(beta=beta).planner
    planner.scores[0, : len(scores)] = torch.tensor(scores)
    assert planner.offset == pytest.approx(expected, abs=1e-6)


def test_the_precision_mode_tests_stored_thresholds_from_the_largest_down():
    planner = make(beta=0.5, beta_mode="precision", beta_confidence=0.9).planner
    planner.scores[1, :10] = torch.linspace(0.1, 1.0, 10)
    planner.scores[2, :10] = torch.tensor([0.25] * 10)
    planner.scores[3, :3] = torch.tensor([0.5, 0.3, 0.2])
    # Above 0.5 and 0.3 no episode fails: 6 and 8 of as many. At 0.2 all ten of ten do.
    assert planner.offset == pytest.approx(0.3)


def test_a_foreseen_present_is_gone_on_with_and_any_other_is_not():
    policy, seen = make(warm_start=0.5, n_plans=2, solver_steps=4), views()
    _, mask = policy.planner.state(seen)
    policy.act(seen)
    last, slots = policy._last
    following = last[:, 1].clone()
    following[3] += 9.0
    following = policy.planner.zeroed(following, mask)
    policy._last = (last, slots.clone())
    policy._last[1][4] = ~slots[4]
    warm = policy.warm_rows(following, mask)
    assert warm.tolist() == [True, True, True, False, False]
    asked = []
    inner = policy.planner.acting_denoiser.forward
    policy.planner.acting_denoiser.forward = lambda x, steps, *rest: (
        asked.append(steps) or inner(x, steps, *rest)
    )
    plans = policy.plans(following, mask, warm)
    # Half of the noise in half of the steps: from 32 on for the three, from 64 on for the two.
    assert [(int(steps[0]), len(steps)) for steps in asked] == [
        (32, 6), (16, 6), (64, 4), (48, 4), (32, 4), (16, 4)
    ]  # fmt: skip
    torch.testing.assert_close(plans[:, :, 0], following[:, None].expand(-1, 2, -1))


def test_the_gradient_moves_plans_towards_the_condition():
    seen = views()

    def violation(**changes):
        policy = make(n_plans=1, solver_steps=8, beta=0.5, **changes)
        policy.planner.scores[0, :1] = 0.0

        class Falls(torch.nn.Module):
            def forward(self, states, masks):
                return states[..., 0]

        policy.planner.barrier = Falls()
        x, mask = policy.planner.state(seen)
        with torch.no_grad():
            h = policy.plans(x, mask)[..., 0]
        return (h[..., 1:] - 0.9 * h[..., :-1]).clamp(max=0.0).sum()

    assert violation() < 0.5 * violation(guidance="gradient", gradient_weight=0.5) < 0.0


class _Falls(torch.nn.Module):
    def forward(self, states, masks):
        return states[..., 0]


class _Ahead(torch.nn.Module):
    def forward(self, states, actions, masks):
        return torch.cat([actions[..., :1], states[..., 1:]], -1)


def test_projection_moves_actions_only_where_the_barrier_would_fall():
    policy = make()
    x, mask = policy.planner.state(views())
    policy.planner.barrier, policy.planner.model = _Falls(), _Ahead()
    wanted, own = torch.tensor([[-0.5, 0.3]]).repeat(5, 1), x[:, :3]
    # h of the next moment is the first action: it must be at least (1 - 0.1) · 0.2.
    moved = policy.project(x, mask, wanted, own, torch.full((5,), 0.2), 0.0)
    np.testing.assert_allclose(moved.actions.numpy(), [[0.18, 0.3]] * 5, atol=1e-5)
    assert moved.changed.all() and moved.satisfied.all()
    kept = policy.project(x, mask, wanted, own, torch.full((5,), -0.6), 0.0)
    torch.testing.assert_close(kept.actions, wanted)
    assert not kept.changed.any()


def test_choices_are_planned_and_projected_to_an_allowed_one():
    policy = make(ActionLayout(0, (3,), single=True), n_plans=2)
    seen = views()
    chosen = policy.act(seen)
    assert chosen.shape == (5,) and chosen.dtype == torch.int64 and set(chosen.tolist()) <= {0, 1, 2}
    policy.planner.barrier, policy.planner.model = _Falls(), _Ahead()
    x, mask = policy.planner.state(seen)
    # h of the next moment is 1 where choice 0 is taken, else 0.
    forced = policy.project(x, mask, torch.full((5,), 2), x[:, :3], torch.full((5,), 0.5), 0.0)
    assert forced.actions.tolist() == [0] * 5 and forced.changed.all() and forced.satisfied.all()


class _First(torch.nn.Module):
    """h is the first of a state's features."""

    def forward(self, states, masks):
        return states[..., 0]


def test_what_is_noted_of_a_decision_is_what_happened():
    policy, seen = make(n_plans=3, beta=0.5, projection=False), views()
    policy.planner.scores[0, :1] = 0.2
    policy.planner.barrier = _First()
    decision = policy.decide(seen)
    assert set(decision.flags) == set(FLAGS) and policy.decision is decision
    x, _ = policy.planner.state(seen)
    # h̃ = h - 0.2 of the present; of a plan it must not fall by more than a tenth.
    assert decision.flags["accepted"].tolist() == (x[:, 0] >= 0.2).tolist()
    torch.testing.assert_close(decision.barrier, decision.plans[..., 0] - 0.2)
    kept = (decision.barrier[..., 1:] >= 0.9 * decision.barrier[..., :-1]).all(-1)
    assert decision.flags["infeasible"].tolist() == (~kept.any(-1)).tolist()
    for row in range(5):
        if kept[row].any():
            assert kept[row, decision.chosen[row]]
    assert not any(decision.flags[name].any() for name in ("projected", "unsatisfied", "warm"))
    seen[:, 0] = x[:, 0].clamp(max=0.1)
    assert not policy.decide(seen).flags["accepted"].any()


def test_without_the_filter_the_expected_plan_is_followed_and_the_condition_noted_all_the_same():
    policy = make(n_plans=3, beta=0.5, projection=False, filter_plans=False)
    policy.planner.scores[0, :1] = 0.2
    policy.planner.barrier = _First()
    decision = policy.decide(views())
    kept = (decision.barrier[..., 1:] >= 0.9 * decision.barrier[..., :-1]).all(-1)
    assert decision.chosen.tolist() == [0] * 5 and not kept.all()
    assert decision.flags["infeasible"].tolist() == (~kept.any(-1)).tolist()


def test_a_policy_that_forgot_acts_as_at_first():
    policy = make(warm_start=0.5, solver="ddpm", solver_steps=64, n_plans=2)
    seen, first = views(), []
    for _ in range(2):
        policy.forget()
        first.append([policy.act(seen), policy.act(seen)])
    assert torch.equal(first[0][0], first[1][0]) and torch.equal(first[0][1], first[1][1])
    assert not torch.equal(first[0][0], first[0][1]), "the solver's noise goes on"


def test_settings_of_acting_can_be_changed_and_no_others():
    policy, seen = make(n_plans=2), views()
    before = policy.act(seen)
    policy.change({"n_plans": 3, "target_return": None})
    policy.act(seen)
    assert policy.decision.plans.shape[:2] == (5, 3)
    assert not torch.equal(before, policy.act(seen))
    with pytest.raises(SafeMARLError, match=r"plan_horizon cannot be changed of a planner that is trained"):
        policy.change({"plan_horizon": 8})
    with pytest.raises(SafeMARLError, match=r"no setting 'betta'. Did you mean 'beta'"):
        policy.change({"betta": 0.5})
    with pytest.raises(
        SafeMARLError, match=r"beta=1.5 does not fit: it must be a number above 0 and below 1"
    ):
        policy.change({"beta": 1.5})


def test_more_safety_than_was_calibrated_for_is_refused_and_nothing_changes():
    policy = make(beta=0.5)
    policy.planner.scores[0, :4] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    policy.change({"beta": 0.8})
    with pytest.raises(SafeMARLError, match=r"which has 4: set beta to 0\.8 or less"):
        policy.change({"beta": 0.9, "n_plans": 7})
    assert (policy.planner.settings["beta"], policy.planner.settings["n_plans"]) == (
        0.8,
        make().planner.settings["n_plans"],
    )
    policy.change({"beta": 0.9, "filter_plans": False, "projection": False})
