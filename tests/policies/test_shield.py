"""A learnt barrier before other policies: what it corrects, and what it refuses."""

from types import SimpleNamespace

import pytest
import torch

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.actor import Choice
from rllib_safemarl.policies.kinds import MLPPolicy
from rllib_safemarl.policies.planner import ActionLayout
from rllib_safemarl.policies.shield import Shield, put_behind
from tests.policies.test_planning import LAYOUT, make, views


def wall_before(policy, push=0.1, start=0.05):
    """Have h be the first feature, which one step moves by ``push`` times the first action."""
    planner = policy.planner
    planner.barrier.forward = lambda x, mask=None: x[..., 0]

    def step(x, action, mask=None):
        moved = torch.zeros_like(x)
        moved[..., 0] = push * action[..., 0]
        return x + moved

    planner.model.forward = step
    planner.scores[0, :1] = 0.0  # δ = 0 at any β that one episode can tell.
    planner.settings["beta"] = 0.5
    seen = views(3)
    seen[:, 0] = start
    return seen


def test_actions_are_moved_as_little_as_keeps_the_condition():
    policy = make()
    seen = wall_before(policy)
    wanted = torch.tensor([[-1.0, 0.3], [-0.02, 0.3], [1.0, -0.2]])
    actions, flags = policy.shielded(seen, wanted)
    # h' = 0.05 + 0.1 a >= (1 - 0.1) 0.05, so a >= -0.05.
    torch.testing.assert_close(actions, torch.tensor([[-0.05, 0.3], [-0.02, 0.3], [1.0, -0.2]]))
    assert flags["projected"].tolist() == [True, False, False]
    assert flags["accepted"].all() and not flags["unsatisfied"].any()


def test_a_shield_leaves_the_rest_of_a_choice_and_notes_what_it_did():
    policy = make()
    seen = wall_before(policy)
    wanted = torch.tensor([[-1.0, 0.3]]).expand(3, 2)
    choice = Choice(wanted[None], inputs=torch.ones(1, 3, 4))
    corrected = Shield([policy])(seen[None], choice)
    assert corrected.inputs is choice.inputs
    torch.testing.assert_close(corrected.actions[0, :, 0], torch.full((3,), -0.05))
    assert corrected.flags["planning/projected"].tolist() == [[True] * 3]


def test_with_true_dynamics_the_learnt_step_is_not_asked():
    policy = make(projection_model="true")
    seen = wall_before(policy)
    policy.planner.model.forward = None
    wanted = torch.tensor([[-1.0, 0.3]]).expand(3, 2)
    with pytest.raises(SafeMARLError, match="an environment that offers its own dynamics"):
        policy.shielded(seen, wanted)

    def dynamics(x, action):
        moved = torch.zeros_like(x)
        moved[..., 0] = 0.2 * action[..., 0]
        return x + moved

    policy.dynamics = dynamics
    actions, _ = policy.shielded(seen, wanted)
    torch.testing.assert_close(actions[:, 0], torch.full((3,), -0.025))


def test_what_cannot_be_a_shield_is_said():
    actor = SimpleNamespace(groups=[SimpleNamespace(policy="robot")])
    with pytest.raises(SafeMARLError, match="must be a planner with a barrier"):
        put_behind([actor], {"robot": MLPPolicy(None, None)})
    with pytest.raises(SafeMARLError, match="the shield has no policy 'robot'; it has a, b"):
        put_behind([actor], {"a": make(), "b": make()})
    with pytest.raises(SafeMARLError, match="these are choices"):
        put_behind([actor], {"any": make(ActionLayout(0, (3,), single=True))})


def test_views_of_another_size_are_said():
    policy = make()
    with pytest.raises(SafeMARLError, match=f"planners see {LAYOUT.width} numbers, and these policies 7"):
        policy.shielded(torch.zeros(2, 7), torch.zeros(2, 2))
