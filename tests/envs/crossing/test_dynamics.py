"""The crossing's own step as one robot sees it, against the environment."""

import numpy as np
import pytest
import torch

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.functional.views import ViewBuilder

ROBOTS = 4


def views_of(env, observation):
    values = observation.values["robot"]
    builder = ViewBuilder(
        {"robot": (np.arange(ROBOTS), values.shape[-1])}, 1, 3, degree=3, position_size=2, slots=3
    )
    alive = np.ones(values.shape[:2], bool)
    seen = builder({"robot": values}, alive, observation.positions, observation.edges)["robot"]
    return torch.from_numpy(seen.copy())


@pytest.mark.parametrize("push", [0.7, 5.0])
def test_it_is_the_environments_step_while_the_others_keep_their_velocities(push):
    env = CrossingVectorEnv(3, n_agents=ROBOTS)
    env.reset(seed=3)
    random = np.random.default_rng(0)
    for _ in range(25):  # Robots move, and some are near others.
        step = env.step({"robot": random.uniform(-1, 1, (3, ROBOTS, 2)).astype(np.float32)})
    before, dynamics = views_of(env, step.observation), env.dynamics("robot")
    actions = np.zeros((3, ROBOTS, 2), np.float32)
    actions[:, 0] = push * random.uniform(-1, 1, (3, 2))
    after = views_of(env, env.step({"robot": actions}).observation)[:, 0]
    predicted = dynamics(before[:, 0], torch.from_numpy(actions[:, 0]))
    same = (
        before[:, 0, 6:].unflatten(-1, (3, 10))[..., 8] == after[:, 6:].unflatten(-1, (3, 10))[..., 8]
    ).all(-1)
    assert same.any() and (before[:, 0, 6:] != 0.0).any(), "somebody is seen"
    torch.testing.assert_close(predicted[same], after[same], rtol=1e-4, atol=2e-5)


def test_it_differentiates_at_rest_too():
    dynamics = CrossingVectorEnv(1).dynamics("robot")
    action = torch.zeros(1, 2, requires_grad=True)
    dynamics(torch.zeros(1, 36), action).sum().backward()
    assert torch.isfinite(action.grad).all()
