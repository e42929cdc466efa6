from __future__ import annotations

import gymnasium as gym
import numpy as np

from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.single_agent import SingleAgentParallelEnv


class Costly(gym.Wrapper):
    def step(self, action):
        *rest, info = self.env.step(action)
        return *rest, {**info, "cost": abs(float(rest[0][0]))}


def test_a_gymnasium_environment_is_a_team_of_one():
    env = ParallelVectorEnv(lambda: SingleAgentParallelEnv(Costly(gym.make("CartPole-v1"))), 2)
    assert env.possible_agents == ("agent_0",) and env.cost_names == ("cost",) and env.time_limit == 500
    observation = env.reset(5)
    key = np.random.SeedSequence((5, 1, 0)).generate_state(1)[0] >> 1
    hand = gym.make("CartPole-v1")
    row, _ = hand.reset(seed=int(key))
    for t in range(200):  # noqa: B007
        np.testing.assert_array_equal(observation.values["kind_0"][1, 0], row)
        step = env.step({"kind_0": np.ones((2, 1), np.int64)})
        row, reward, terminated, truncated, _ = hand.step(1)
        assert step.reward[1, 0] == reward and step.terminated[1, 0] == terminated
        np.testing.assert_allclose(step.cost[1, 0, 0], abs(row[0]), rtol=1e-6)
        observation = step.observation
        if terminated:
            break
    assert t < 199 and not truncated and not step.truncated[1]
    m = step.ending.copies.tolist().index(1)
    np.testing.assert_array_equal(step.ending.observation.values["kind_0"][m, 0], row)
    env.close()
