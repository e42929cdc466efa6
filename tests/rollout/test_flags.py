"""What actors note of their decisions: summed up by episode, over copies that end at different times."""

import numpy as np
import pytest
import torch

from rllib_safemarl.envs.team import describe_team, make_groups, make_views
from rllib_safemarl.envs.vector import Kind, Observation, Step, VectorEnv
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.rollout.collector import Collector, flag_share


class Ageing(VectorEnv):
    """Agents see how old their episode is; copy n ends after n + 2 steps, agent 0 dies after one."""

    def __init__(self):
        from gymnasium import spaces

        self.num_copies, self.possible_agents, self.cost_names, self.time_limit = 2, ("a", "b"), (), 9
        self.kinds = (Kind("k", (0, 1), spaces.Box(-9, 9, (1,)), spaces.Box(-1, 1, (1,))),)
        self._age = np.zeros(2)

    def _see(self):
        return Observation({"k": np.repeat(self._age[:, None, None], 2, 1).astype(np.float32)})

    def reset(self, seed):
        self._age[:] = 0
        return self._see()

    def step(self, actions):
        from rllib_safemarl.envs.vector import Ending

        self._age += 1
        done = self._age == [2, 3]
        last = self._see()
        ending = None
        if done.any():
            copies = np.flatnonzero(done)
            ending = Ending(copies, Observation({"k": last.values["k"][copies]}))
        self._age[done] = 0
        active = np.ones((2, 2), bool)
        active[:, 0] = self._age == 0
        terminated = np.zeros((2, 2), bool)
        terminated[:, 0] = (self._age == 1) & ~done
        nothing = np.zeros((2, 2), np.float32)
        return Step(self._see(), nothing, np.zeros((2, 2, 0)), terminated, done, active, ending)


class Noting(Actor):
    """Notes that an episode is older than a number."""

    def __init__(self, group, flags):
        super().__init__([group], False, False)
        self.flags = flags

    def choose(self, views, explore, generator):
        old = {name: views[..., 0] > float(name[-1]) for name in self.flags}
        return Choice(torch.zeros(*views.shape[:2], 1), flags=old)


@pytest.mark.parametrize("blocks", [[12], [1] * 12, [5, 4, 3]])
def test_decisions_are_counted_by_episode_and_agent_whatever_the_blocks(blocks):
    env = Ageing()
    team = describe_team(env, lambda agent, *_: agent)
    views = make_views(team, 0, 0)
    first, second = make_groups(team, views, True)
    actors = [Noting(first, ("age/above_0",)), Noting(second, ("age/above_0", "age/above_1"))]
    collector, episodes = Collector(env, views), []
    collector.reset(0)
    for steps in blocks:
        episodes += collector.collect(steps, actors, False, torch.Generator())[1]
    assert [e.copy for e in episodes] == [0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    for episode in episodes:
        length = episode.copy + 2
        assert episode.agent_steps.tolist() == [1, length]
        # Agent a acts at age 0 only and notes nothing of age 1.
        np.testing.assert_array_equal(episode.flags["age/above_0"], [0, length - 1])
        np.testing.assert_array_equal(episode.flags["age/above_1"], [np.nan, length - 2])
    short, long = episodes[0], episodes[1]
    assert short.shares() == {"age/above_0_share": 1 / 3, "age/above_1_share": 0.0}
    assert long.shares() == {"age/above_0_share": 2 / 4, "age/above_1_share": 1 / 3}
    assert flag_share(episodes[:2], "age/above_1") == 1 / 5
    assert flag_share(episodes[:2], "age/above_0", np.array([1])) == 3 / 5
    assert np.isnan(flag_share(episodes[:2], "age/above_1", np.array([0])))
    assert np.isnan(flag_share([], "age/above_1"))
