from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.crossing.scripted import CONTROLLERS, yielding

PLACES = [("open", 2), ("open", 4), ("open", 8), ("doorway", 2), ("doorway", 4), ("ring", 3), ("ring", 8)]


def _episode(name, layout, agents, copies=60):
    """Return per robot, share of steps in danger, share of goals reached, of one episode per copy."""
    env = CrossingVectorEnv(copies, n_agents=agents, layout=layout)
    env.reset(0)
    total, danger, steps = 0.0, 0.0, 0
    ending = None
    while ending is None:
        step = env.step({"robot": CONTROLLERS[name](env)})
        total, danger, steps = total + step.reward.mean(), danger + step.cost.mean(), steps + 1
        ending = step.ending
    return total, danger / steps, ending.metrics["goal_reached"].mean()


@pytest.mark.parametrize(("layout", "agents"), PLACES)
def test_the_safe_way_costs_something_and_the_straight_way_is_dangerous(layout, agents):
    still, straight, safe = (
        _episode(name, layout, agents) for name in ("stand_still", "straight", "yielding")
    )
    assert still[1] == 0 and still[2] == 0 and still[0] < 0
    assert straight[1] > 0.05 and straight[2] > 0.99
    assert safe[1] < 1e-3 and safe[2] > 0.95
    assert 0.5 * straight[0] < safe[0] < straight[0]


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize("layout", ["open", "doorway", "ring"])
def test_actions_depend_on_the_state_alone_and_fit_the_space(name, layout):
    env, other = (CrossingVectorEnv(3, n_agents=20, layout=layout) for _ in range(2))
    env.reset(1)
    for _ in range(12):
        env.step({"robot": CONTROLLERS["straight"](env)})
    before = env.get_state()
    actions = CONTROLLERS[name](env)
    assert actions.shape == (3, 20, 2) and actions.dtype == np.float32 and np.abs(actions).max() <= 1
    for key, value in env.get_state().items():
        np.testing.assert_array_equal(value, before[key])
    other.set_state(before)
    np.testing.assert_array_equal(CONTROLLERS[name](other), actions)


def test_two_robots_give_way_to_their_right():
    env = CrossingVectorEnv(1, n_agents=2)
    env.reset(0)
    env.positions[0], env.velocities[0] = [[-0.4, 0.0], [0.4, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]
    env.goals[0] = [[1.0, 0.0], [-1.0, 0.0]]
    # The right of a robot that drives east is south.
    push = yielding(env)[0]
    assert push[0, 1] < 0 < push[1, 1] and push[0, 0] < 0 < push[1, 0]
