"""Planning for a team: only one agent's present is known, and nothing else of the others is."""

import pytest
import torch

from rllib_safemarl.algorithms.diffusion_cbf.madiff import MADiffConfig
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.policies.layouts import ActionLayout, StateLayout
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.policies.team_planner import TeamPlanner

LAYOUT = StateLayout(SetLayout(3, 4), present=2, slots=2)
AGENTS = 3


def make(denoiser="transformer", agents=AGENTS, **changes):
    torch.manual_seed(0)
    config = MADiffConfig()
    settings = {name: getattr(config, name) for name in config.settings}
    width = {"width": 16} if denoiser == "transformer" else {"width": 8, "multipliers": (1, 2)}
    settings |= {"denoiser": denoiser, "plan_horizon": 4, "denoiser_settings": width, "solver_steps": 3}
    planner = TeamPlanner(LAYOUT, ActionLayout(2), {**settings, **changes}, [8])
    planner.rate.fill_(0.1)
    planner.team_size.fill_(agents)
    for parameter in planner.acting_denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return PlanningPolicy(planner)


def views(batch=5):
    x = torch.randn(batch, LAYOUT.width, generator=torch.Generator().manual_seed(1))
    x[:, 5], x[:, 9] = 1.0, 0.0
    return x


def spied(policy):
    """What the acting network is asked, call by call."""
    asked, inner = [], policy.planner.acting_denoiser.forward
    policy.planner.acting_denoiser.forward = lambda *told: asked.append(told) or inner(*told)
    return asked


@pytest.mark.parametrize("denoiser", ["transformer", "unet"])
def test_an_agents_action_depends_on_its_own_view_alone(denoiser):
    policy, seen = make(denoiser), views()
    actions = policy.act(seen)
    assert actions.shape == (5, 2) and actions.abs().max() <= 1.0
    others = seen.clone()
    others[[0, 1, 3, 4], :3] += 5.0
    changed = policy.act(others)
    assert torch.equal(changed[2], actions[2])
    assert (changed[[0, 1, 3, 4]] != actions[[0, 1, 3, 4]]).any(-1).all()
    torch.testing.assert_close(policy.act(seen[2:3]), actions[2:3], rtol=1e-4, atol=1e-5)


def test_of_the_team_only_the_first_agents_present_is_given():
    policy, seen = make(n_plans=2, guidance_weight=1.0), views()
    asked = spied(policy)
    x, mask = policy.planner.state(seen)
    with torch.no_grad():
        plans = policy.plans(x, mask)
    assert plans.shape == (5, 2, 5, 11), "the agents' own plans"
    torch.testing.assert_close(plans[:, :, 0], x[:, None].expand(-1, 2, -1))
    assert len(asked) == 3
    noised, _, condition, dropped, context = asked[0]
    assert noised.shape == (10, AGENTS, 5, 11)
    torch.testing.assert_close(noised[::2, 0, 0], x)
    # Else there is noise alone, alike for all that see: none in the first plan, of 0.5 in the second.
    assert not noised[::2, 1:].any() and not noised[::2, 0, 1:].any()
    torch.testing.assert_close(noised[1::2, 1:], noised[1:2, 1:].expand(5, -1, -1, -1))
    assert 0.4 < noised[1, 1:].std() < 0.6
    assert context[:, 0].tolist() == [[1.0, 0.0, 1.0]] * 10 and not context[:, 1:].any()
    assert dropped[..., 0].all() and not dropped[..., 1].any()
    assert torch.equal(condition[:, 0, 1], condition[:, 2, 1]), "all agents are asked for the same"


def test_agents_plans_depend_on_each_other():
    policy, seen = make(guidance_weight=1.0), views(1)
    asked = spied(policy)
    policy.act(seen)
    told = asked[0]
    other = told[0].clone()
    other[:, 1] += 1.0
    with torch.no_grad():
        apart = (policy.planner.acting_denoiser(other, *told[1:]) - policy.planner.acting_denoiser(*told))[
            :, 0
        ]
    assert apart.abs().max() > 1e-3


def test_the_team_is_as_large_as_in_training_whoever_acts():
    trained, elsewhere = make(agents=4), make(agents=1)
    elsewhere.planner.load_state_dict(trained.planner.state_dict())
    assert elsewhere.planner.window_shape == (4, 5, 11)
    seen = views(8)
    assert torch.equal(elsewhere.act(seen), trained.act(seen))


@pytest.mark.parametrize("guidance", ["condition", "gradient"])
def test_filter_projection_and_gradients_work_on_the_agents_own_plans(guidance):
    policy = make(n_plans=3, filter_plans=True, projection=True, beta=0.99, guidance=guidance)
    decision = policy.decide(views())
    assert decision.actions.isfinite().all()
    assert (decision.flags["infeasible"] | decision.flags["projected"]).any()
