from __future__ import annotations

import copy

import numpy as np
import pytest
from gymnasium import spaces
from mpe2 import simple_spread_v3
from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.spaces import flatten_value
from rllib_safemarl.errors import SafeMARLError
from tests.envs.third_party import ACTIONS, OBSERVATIONS, HarvestEnv, random_actions

SCOUT, CARRIER, DRONE, TWIN = range(4)


def _seed_of(seed, copy, episode):
    return int(np.random.SeedSequence((seed, copy, episode)).generate_state(1)[0] >> 1)


def _own(env, actions, n, agent):
    """One agent's action out of the columns, as the environment itself takes it."""
    i = env.possible_agents.index(agent)
    (kind,) = [kind for kind in env.kinds if i in kind.agents]
    action = actions[kind.name][n, kind.agents.index(i)]
    return int(action) if isinstance(ACTIONS[agent], spaces.Discrete) else action.astype(ACTIONS[agent].dtype)


def test_what_the_environment_is():
    env = ParallelVectorEnv(HarvestEnv, 2)
    assert env.possible_agents == ("scout", "carrier", "drone", "twin")
    assert [kind.agents for kind in env.kinds] == [(SCOUT,), (CARRIER,), (DRONE, TWIN)]
    assert [kind.observation_size for kind in env.kinds] == [5, 4, 3]
    assert env.cost_names == ("heat", "noise") and env.time_limit == 7
    assert env.graph() is None and env.get_state() is None and env.position_size == 0


def test_columns_equal_stepping_every_copy_by_hand():
    env = ParallelVectorEnv(HarvestEnv, 3)
    rng = np.random.default_rng(0)
    observation = env.reset(11)
    hand = [HarvestEnv() for _ in range(3)]
    last = [h.reset(seed=_seed_of(11, n, 0))[0] for n, h in enumerate(hand)]
    active = env.active()
    for t in range(17):
        for n, h in enumerate(hand):
            for k, kind in enumerate(env.kinds):
                for row, i in enumerate(kind.agents):
                    agent = env.possible_agents[i]
                    expected = flatten_value(OBSERVATIONS[agent], last[n][agent])
                    np.testing.assert_allclose(
                        observation.values[f"kind_{k}"][n, row], expected, rtol=1e-6, atol=1e-6
                    )
                    assert active[n, i] == (agent in h.agents)
        actions = random_actions(env, rng)
        step = env.step(actions)
        for n, h in enumerate(hand):
            acted = list(h.agents)
            shown, rewards, terminated, _, infos = h.step(
                {agent: _own(env, actions, n, agent) for agent in acted}
            )
            last[n].update(shown)
            for i, agent in enumerate(env.possible_agents):
                np.testing.assert_allclose(step.reward[n, i], rewards.get(agent, 0.0), rtol=1e-6)
                cost = infos[agent]["cost"] if agent in infos else {"heat": 0.0, "noise": 0.0}
                np.testing.assert_allclose(step.cost[n, i], [cost["heat"], cost["noise"]], rtol=1e-6)
                assert step.terminated[n, i] == terminated.get(agent, False)
            assert dict(step.infos[n]) == infos
            assert step.truncated[n] == (not h.agents)
            if not h.agents:
                m = step.ending.copies.tolist().index(n)
                for k, kind in enumerate(env.kinds):
                    for row, i in enumerate(kind.agents):
                        agent = env.possible_agents[i]
                        np.testing.assert_allclose(
                            step.ending.observation.values[f"kind_{k}"][m, row],
                            flatten_value(OBSERVATIONS[agent], last[n][agent]),
                            rtol=1e-6,
                            atol=1e-6,
                        )
                np.testing.assert_allclose(step.ending.metrics["push"][m], h.total, rtol=1e-5)
                assert set(step.ending.metrics) == {"push"}
                last[n] = h.reset(seed=_seed_of(11, n, (t + 1) // 7))[0]
        observation, active = step.observation, step.active
        assert (step.ending is None) == (t not in (6, 13))


def test_agents_that_leave_early_keep_their_last_observation_and_end_as_they_did():
    env = ParallelVectorEnv(HarvestEnv, 1)
    env.reset(0)
    rng = np.random.default_rng(0)
    steps = [env.step(random_actions(env, rng)) for _ in range(7)]
    # The carrier terminates in step 3, the scout is truncated alone in step 5.
    for t, step in enumerate(steps, 1):
        np.testing.assert_array_equal(step.terminated[0], [False, t == 3, False, False])
        assert step.truncated[0] == (t == 7)
        if t < 7:
            np.testing.assert_array_equal(step.active[0], [t < 5, t < 3, True, True])
            np.testing.assert_array_equal(step.reward[0, CARRIER] != 0, t <= 3)
            assert step.cost[0, CARRIER].any() == (t <= 3)
    # Time stands in the observations: 3 for the carrier and mode 5 % 3 for the scout from then on.
    assert [float(step.observation.values["kind_1"][0, 0, 2]) for step in steps[:6]] == [1, 2, 3, 3, 3, 3]
    for step in steps[4:6]:
        np.testing.assert_array_equal(step.observation.values["kind_0"][0, 0, :3], [0, 0, 1])
    final = steps[-1].ending.observation
    assert final.values["kind_1"][0, 0, 2] == 3 and final.values["kind_2"][0, 0, 0] == 7
    np.testing.assert_array_equal(steps[-1].active[0], [True] * 4)


def test_a_copy_is_the_same_among_few_and_many_and_seeds_matter():
    def run(copies, seed):
        env = ParallelVectorEnv(lambda: HarvestEnv(max_cycles=4), copies)
        columns = [env.reset(seed).values["kind_1"]]
        for t in range(10):
            actions = {
                kind.name: np.array(
                    [[_fixed(kind.action_space, t) for _ in kind.agents] for _ in range(copies)]
                )
                for kind in env.kinds
            }
            step = env.step(actions)
            columns += [step.observation.values["kind_1"], step.reward]
        return columns

    def _fixed(space, t):
        if isinstance(space, spaces.Discrete):
            return 1 + t % 3
        return space.nvec - 1 if isinstance(space, spaces.MultiDiscrete) else 0.5 * (space.low + space.high)

    few, many, again, other = run(1, 5), run(3, 5), run(3, 5), run(3, 6)
    for a, b, c in zip(few, many, again, strict=True):
        np.testing.assert_array_equal(a, b[:1])
        np.testing.assert_array_equal(b, c)
    assert not np.array_equal(many[0][0], many[0][1]) and not np.array_equal(many[0], other[0])
    # Episodes differ too.
    assert not np.array_equal(many[0], many[2 * 4 - 1])


def test_simple_spread_is_costless_and_equals_itself():
    env = ParallelVectorEnv(lambda: simple_spread_v3.parallel_env(N=3, max_cycles=6), 2)
    assert env.cost_names == () and env.time_limit == 6 and len(env.kinds) == 1
    observation = env.reset(2)
    hand = simple_spread_v3.parallel_env(N=3, max_cycles=6)
    shown, _ = hand.reset(seed=_seed_of(2, 1, 0))
    rng = np.random.default_rng(1)
    for t in range(6):
        for row, agent in enumerate(env.possible_agents):
            np.testing.assert_array_equal(observation.values["kind_0"][1, row], shown[agent])
        actions = rng.integers(0, 5, (2, 3))
        step = env.step({"kind_0": actions})
        shown, rewards, *_ = hand.step({a: int(actions[1, i]) for i, a in enumerate(env.possible_agents)})
        np.testing.assert_allclose(step.reward[1], list(rewards.values()), rtol=1e-6)
        assert step.cost.shape == (2, 3, 0) and not step.terminated.any()
        assert step.truncated.all() == (t == 5)
        observation = step.observation


# Small environments that do one odd thing each.


class TinyEnv(ParallelEnv):
    """Two agents; what happens is a script: step → (agents, terminated, truncated)."""

    def __init__(self, script, **attributes):
        self.possible_agents = ["a", "b"]
        self.agents = []
        self.script = script
        self.start = attributes.pop("start", ["a", "b"])
        self.value = attributes.pop("value", lambda t: np.full(1, float(t), np.float32))
        self.shown = attributes.pop("shown", None)
        self.paid = attributes.pop("paid", ["a", "b"])
        for name, value in attributes.items():
            setattr(self, name, value)

    def observation_space(self, agent):
        return spaces.Box(-100.0, 100.0, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.t = 0
        self.agents = list(self.start)
        return {a: self.value(0) for a in self.agents}, {a: {} for a in self.agents}

    def step(self, actions):
        acted = list(actions)
        self.t += 1
        self.agents, terminated, truncated = self.script.get(self.t, (self.agents, [], []))
        shown = set(acted) | set(self.agents) if self.shown is None else self.shown
        return (
            {a: self.value(self.t) for a in shown},
            {a: 1.0 for a in acted if a in self.paid},
            {a: a in terminated for a in acted},
            {a: a in truncated for a in acted},
            {a: {} for a in acted},
        )


def _steps(env, count):
    env.reset(0)
    actions = {"kind_0": np.zeros((env.num_copies, 2), np.int64)}
    return [env.step(actions) for _ in range(count)]


def test_agents_may_join_late_and_again():
    script = {2: (["a", "b"], [], []), 3: (["b"], [], []), 5: (["a", "b"], [], []), 6: ([], ["a", "b"], [])}
    env = ParallelVectorEnv(lambda: TinyEnv(script, start=["a"]), 1)
    first = env.reset(0)
    np.testing.assert_array_equal(env.active(), [[True, False]])
    np.testing.assert_array_equal(first.values["kind_0"][0, :, 0], [0.0, 0.0])
    steps = _steps(env, 6)
    assert [step.active[0].tolist() for step in steps[:5]] == [
        [True, False],
        [True, True],
        [False, True],
        [False, True],
        [True, True],
    ]
    assert [step.reward[0].tolist() for step in steps] == [[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [1, 1]]
    # a left in step 3 without terminating and saw 3 last, until it came back in step 5.
    assert [float(step.observation.values["kind_0"][0, 0, 0]) for step in steps[:5]] == [1, 2, 3, 3, 5]
    assert not steps[2].terminated.any() and steps[5].terminated.all() and not steps[5].truncated[0]
    np.testing.assert_array_equal(steps[5].active[0], [True, False])
    # The next episode knows nothing of what b saw in the last one.
    np.testing.assert_array_equal(steps[5].ending.observation.values["kind_0"][0, :, 0], [6.0, 6.0])
    np.testing.assert_array_equal(steps[5].observation.values["kind_0"][0, :, 0], [0.0, 0.0])


def test_an_agent_that_terminated_stays_away_even_if_env_agents_goes_on_naming_it():
    script = {2: (["a", "b"], ["a"], []), 4: (["a", "b"], ["b"], [])}
    steps = _steps(ParallelVectorEnv(lambda: TinyEnv(script), 1), 4)
    assert [step.active[0].tolist() for step in steps[:3]] == [[True, True], [False, True], [False, True]]
    np.testing.assert_array_equal(steps[3].terminated[0], [False, True])
    assert steps[3].ending is not None and not steps[3].truncated[0]


def test_a_mixed_end_terminates_some_and_truncates_the_rest():
    steps = _steps(ParallelVectorEnv(lambda: TinyEnv({1: ([], ["a"], ["b"])}), 2), 1)
    np.testing.assert_array_equal(steps[0].terminated, [[True, False]] * 2)
    np.testing.assert_array_equal(steps[0].truncated, [True, True])
    both = _steps(ParallelVectorEnv(lambda: TinyEnv({1: ([], ["a", "b"], ["a", "b"])}), 1), 1)[0]
    assert both.terminated.all() and not both.truncated.any()


def test_declared_attributes_are_read_through_wrappers():
    inner = TinyEnv({}, cost_names=["heat"], agent_graph="chain", max_steps=12)
    for env in (inner, BaseParallelWrapper(inner)):
        adapted = ParallelVectorEnv(lambda env=env: env, 1)
        assert adapted.cost_names == ("heat",) and adapted.time_limit == 12
        np.testing.assert_array_equal(adapted.graph().hops, [[0, 1], [1, 0]])


def test_a_callable_that_needs_the_copys_number_gets_it():
    made = []
    ParallelVectorEnv(lambda copy: made.append(copy) or TinyEnv({}), 3)
    assert made == [0, 1, 2]


class SavedEnv(HarvestEnv):
    def get_state(self):
        return {name: copy.deepcopy(v) for name, v in vars(self).items() if name not in ("_faults",)}

    def set_state(self, state):
        vars(self).update(copy.deepcopy(state))


def test_environments_that_keep_their_state_continue_exactly():
    def make():
        return ParallelVectorEnv(SavedEnv, 2)

    env = make()
    env.reset(3)
    rng = np.random.default_rng(0)
    for _ in range(4):
        env.step(random_actions(env, rng))
    state = env.get_state()
    actions = [random_actions(env, rng) for _ in range(8)]
    expected = [env.step(each) for each in actions]
    other = make()
    other.set_state(state)
    np.testing.assert_array_equal(other.active(), [[True, False, True, True]] * 2)
    for each, step in zip(actions, expected, strict=True):
        again = other.step(each)
        for name in ("reward", "cost", "terminated", "truncated", "active"):
            np.testing.assert_array_equal(getattr(again, name), getattr(step, name))
        for kind, values in step.observation.values.items():
            np.testing.assert_array_equal(again.observation.values[kind], values)


# Errors.


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda info: {}, "agent 'drone' reports no cost in step 2 of an episode (copy 0)"),
        (lambda info: {"cost": {"heat": -1.0, "noise": 0.0}}, "reports cost 'heat' = -1.0 in step 2"),
        (lambda info: {"cost": {"heat": np.nan, "noise": 0.0}}, "reports cost 'heat' = nan in step 2"),
        (lambda info: {"cost": {"noise": 0.0}}, "reports no cost 'heat' in step 2"),
        (lambda info: {"cost": 0.5}, "reports one cost, 0.5, in step 2"),
        (lambda info: {"cost": {**info["cost"], "smoke": 0.0}}, "reports the cost 'smoke' in step 2"),
    ],
)
def test_a_breach_of_the_cost_contract_stops_at_its_step(spoil, message):
    def faults(agent, t, info):
        return spoil(info) if (agent, t) == ("drone", 2) else info

    env = ParallelVectorEnv(lambda: HarvestEnv(faults=faults), 1)
    env.reset(0)
    rng = np.random.default_rng(0)
    env.step(random_actions(env, rng))
    with pytest.raises(SafeMARLError) as error:
        env.step(random_actions(env, rng))
    assert message in str(error.value)


def test_a_cost_that_turns_up_later_is_not_ignored():
    def faults(agent, t, info):
        return info if t == 3 else {}

    env = ParallelVectorEnv(lambda: HarvestEnv(faults=faults), 1)
    assert env.cost_names == ()
    env.reset(0)
    rng = np.random.default_rng(0)
    with pytest.raises(
        SafeMARLError, match=r"agent 'scout' reports a cost in step 3 .* nobody did in the first"
    ):
        for _ in range(3):
            env.step(random_actions(env, rng))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"value": lambda t: np.zeros(2)}, "agent 'a' got an observation that does not fit its space Box"),
        ({"value": lambda t: "high"}, "does not fit its space"),
        ({"start": []}, "has no agents after reset()"),
        ({"start": ["a", "c"]}, "agent 'c' appeared, but possible_agents is ['a', 'b']"),
        ({"possible_agents": []}, "has no possible_agents"),
        ({"cost_names": "heat"}, "must be a list of distinct names"),
        ({"agent_graph": "rings"}, "neither 'complete' nor 'chain'"),
    ],
)
def test_environments_that_do_not_fit_are_refused_at_once(attributes, message):
    with pytest.raises(SafeMARLError) as error:
        ParallelVectorEnv(lambda: TinyEnv({}, **attributes), 1).reset(0)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_live_agent_without_observation_or_reward_is_refused():
    with pytest.raises(SafeMARLError, match="agent 'b' is to act but got no observation"):
        _steps(ParallelVectorEnv(lambda: TinyEnv({}, shown={"a"}), 1), 1)
    with pytest.raises(
        SafeMARLError, match=r"agent 'b' acted but got no reward in step 1 of an episode \(copy 0\)"
    ):
        _steps(ParallelVectorEnv(lambda: TinyEnv({}, paid=["a"]), 1), 1)
    with pytest.raises(SafeMARLError, match="all copies must have the same possible_agents"):
        ParallelVectorEnv(lambda n: TinyEnv({}, possible_agents=["a", "b", "c"][: 2 + n]), 2)


def test_pictures_come_from_the_environment():
    env = ParallelVectorEnv(lambda: simple_spread_v3.parallel_env(render_mode="rgb_array"), 1)
    env.reset(0)
    assert env.render().shape[-1] == 3
    env.close()
    assert ParallelVectorEnv(HarvestEnv, 1).render() is None
