"""From whatever users register to columns, and to a training iteration."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from mpe2 import simple_spread_v3
from pettingzoo.utils.conversions import turn_based_aec_to_parallel
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv, PettingZooEnv
from ray.rllib.utils.pre_checks.env import check_multiagent_environments
from ray.tune.registry import register_env

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.make_env import make_vector_env
from rllib_safemarl.rollout.multi_agent_env import VectorMultiAgentEnv
from tests.envs.third_party import HarvestEnv
from tests.rollout.multi_agent_envs import OldStyleEnv, PursuitEnv, TurnsEnv


def _make(creator, copies=2, **env_config):
    return make_vector_env(creator, None, EnvContext(env_config, worker_index=1), copies)


# Which adapter.


def test_our_names_step_in_numpy():
    env = _make(lambda config: VectorMultiAgentEnv("safemarl/crossing", config), 3, n_agents=2)
    assert isinstance(env, CrossingVectorEnv) and env.num_copies == 3 and env.num_agents == 2


def test_every_copy_is_created_once_with_its_own_number():
    seen = []

    def creator(config):
        seen.append((config.worker_index, config.vector_index, config["length"]))
        return PursuitEnv(config)

    env = _make(creator, 3, length=4)
    assert seen == [(1, 0, 4), (1, 1, 4), (1, 2, 4)]
    assert len({id(each.unwrapped) for each in env.envs}) == 3 and env.time_limit == 4


@pytest.mark.parametrize("wrap", [lambda env: env, ParallelPettingZooEnv])
def test_pettingzoo_environments_are_used_directly(wrap):
    env = _make(lambda config: wrap(HarvestEnv()))
    assert isinstance(env.envs[0], HarvestEnv)
    assert env.possible_agents == ("scout", "carrier", "drone", "twin")
    assert env.cost_names == ("heat", "noise")


def test_a_subclass_of_rllibs_wrapper_keeps_what_it_adds():
    class Costly(ParallelPettingZooEnv):
        def step(self, action_dict):
            *rest, infos = super().step(action_dict)
            return *rest, {agent: {"cost": 0.5} for agent in infos}

    env = _make(lambda config: Costly(simple_spread_v3.parallel_env(max_cycles=3)))
    assert env.cost_names == ("cost",) and env.possible_agents == ("agent_0", "agent_1", "agent_2")
    env.reset(0)
    steps = [env.step({"kind_0": np.zeros((2, 3), np.int64)}) for _ in range(3)]
    assert (steps[0].cost == 0.5).all()
    assert [step.truncated.tolist() for step in steps] == [[False] * 2, [False] * 2, [True] * 2]


def test_a_gymnasium_environment_is_a_team_of_one():
    assert _make(lambda config: gym.make("CartPole-v1")).possible_agents == ("agent_0",)


@pytest.mark.parametrize(
    ("creator", "message"),
    [
        (lambda config: simple_spread_v3.env(), "is turn-based"),
        (lambda config: PettingZooEnv(simple_spread_v3.env()), "PettingZooEnv is turn-based"),
        (lambda config: turn_based_aec_to_parallel(simple_spread_v3.env()), "is turn-based"),
        (TurnsEnv, "agent 'white' of TurnsEnv lives but got no observation to act on: turn-based"),
        (lambda config: object(), "the environment is a object; it must be a PettingZoo ParallelEnv"),
        (lambda config: MultiAgentEnv(), "MultiAgentEnv has no possible_agents"),
    ],
)
def test_what_cannot_be_adapted_is_refused_in_one_line(creator, message):
    with pytest.raises(SafeMARLError) as error:
        _make(creator)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_agent_without_space_is_named():
    def creator(config):
        env = PursuitEnv()
        del env.action_spaces["hound_1"]
        return env

    with pytest.raises(
        SafeMARLError, match="no action space for agent 'hound_1'; list all in its action_spaces"
    ):
        _make(creator)


# RLlib's conventions in columns.


def test_columns_of_a_multi_agent_env_equal_stepping_it_by_hand():
    env = _make(PursuitEnv, 2)
    assert env.possible_agents == ("hare", "hound_0", "hound_1") and env.cost_names == ("cost",)
    assert env.time_limit == 6
    observation = env.reset(4)
    hand = PursuitEnv()
    seed = int(np.random.SeedSequence((4, 1, 0)).generate_state(1)[0] >> 1)
    shown, _ = hand.reset(seed=seed)
    rng = np.random.default_rng(0)
    for t in range(1, 7):
        np.testing.assert_array_equal(observation.values["kind_0"][1, 0], shown["hare"])
        for k in range(2):
            if f"hound_{k}" in shown:
                np.testing.assert_array_equal(observation.values["kind_1"][1, k], shown[f"hound_{k}"])
        hare = rng.uniform(-1, 1, (2, 1, 1)).astype(np.float32)
        hounds = rng.integers(0, 3, (2, 2))
        step = env.step({"kind_0": hare, "kind_1": hounds})
        joint = {"hare": hare[1, 0], "hound_0": int(hounds[1, 0]), "hound_1": int(hounds[1, 1])}
        shown, rewards, *_ = hand.step({agent: joint[agent] for agent in hand.live})
        expected = [rewards.get(agent, 0.0) for agent in env.possible_agents]
        np.testing.assert_allclose(step.reward[1], expected, rtol=1e-6)
        np.testing.assert_array_equal(step.cost[1, :, 0], [0, 1, 2] if t <= 3 else [0, 0, 1])
        np.testing.assert_array_equal(step.terminated[1], [False, t == 3, False])
        assert step.truncated[1] == (t == 6)
        if t < 6:
            np.testing.assert_array_equal(step.active[1], [True, t < 3, True])
        observation = step.observation
    np.testing.assert_array_equal(step.active[1], [True, True, True])
    np.testing.assert_array_equal(step.ending.observation.values["kind_0"][1, 0], shown["hare"])


def test_all_terminated_terminates_everybody_and_agents_have_one_order():
    env = _make(OldStyleEnv, 1)
    assert env.possible_agents == ("a", "m", "z")
    env.reset(0)
    actions = {"kind_0": np.zeros((1, 3), np.int64)}
    assert not env.step(actions).terminated.any()
    step = env.step(actions)
    assert step.terminated.all() and not step.truncated.any() and step.active.all()


# The way back.


def test_our_names_run_under_rllibs_own_checks():
    for env_config in (
        {"n_agents": 3},
        {"n_agents": 4, "layout": "doorway", "costs": ["separation", "speed"]},
    ):
        env = VectorMultiAgentEnv("safemarl/crossing", {**env_config, "time_limit": 5})
        check_multiagent_environments(env)
        observations, _ = env.reset(seed=3)
        again, _ = env.reset(seed=3)
        for agent, row in observations.items():
            np.testing.assert_array_equal(row, again[agent])
        for t in range(5):
            actions = {agent: env.action_spaces[agent].sample() for agent in env.agents}
            shown, rewards, terminated, truncated, infos = env.step(actions)
            assert truncated["__all__"] == (t == 4) and not terminated["__all__"]
            assert set(shown) == set(rewards) == set(infos) == set(env.possible_agents)
        assert env.agents == [] and infos["robot_0"]["episode"].keys() == {"goal_reached", "least_margin"}


# Training.


def _train(name, env, **config):
    from rllib_safemarl.algorithms import ALGORITHMS

    algo = (
        ALGORITHMS[name]
        .get_default_config()
        .environment(env, agent_graph="complete")
        .env_runners(num_envs_per_env_runner=3)
        .training(train_batch_size=60, minibatch_size=40, num_epochs=2, lr=1e-2)
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .safety(**config)
        .debugging(seed=1)
        .build_algo()
    )
    try:
        before = algo.env_runner.module.get_state()
        results = algo.train()["env_runners"]
        after = algo.env_runner.module.get_state()
        moved = {
            policy: any(not np.array_equal(before[policy][k], after[policy][k]) for k in before[policy])
            for policy in before
        }
    finally:
        algo.stop()
    assert all(moved.values()), moved
    return results


@pytest.mark.parametrize("name", ["SCAL_MAPPO_L", "MAPPO_L"])
def test_a_third_party_pettingzoo_environment_trains(name, ray_cluster):
    register_env("harvest", lambda config: HarvestEnv())
    results = _train(name, "harvest", cost_limit={"heat": 3.0, "noise": 10.0})
    # 20 steps in 3 copies are 6 episodes of 7 steps. Of noise agent k of those acting reports k per step:
    # carrier 3 · 1; drone 3 · 2 + 2 · 1 + 2 · 0; twin 3 · 3 + 2 · 2 + 2 · 1; scout nothing: 26 over 4 agents.
    assert results["num_episodes"] == 6 and results["episode_len_mean"] == 7
    np.testing.assert_allclose(results["episode_costs_mean"]["noise"], 26 / 4)
    assert results["agent_steps"] == {"scout": 5, "carrier": 3, "drone": 7, "twin": 7}
    assert np.isfinite(results["push_mean"])


@pytest.mark.parametrize("name", ["SCAL_MAPPO_L", "MAPPO_L"])
def test_a_multi_agent_env_of_rllib_trains(name, ray_cluster):
    results = _train(name, PursuitEnv, cost_limit=1.0)
    # hound_0 pays 3 · 1, hound_1 3 · 2 + 3 · 1.
    np.testing.assert_allclose(results["episode_cost_mean"], 12 / 3)
    np.testing.assert_allclose(results["episode_cost_max_agent"], 9)
    assert results["num_episodes"] == 9


def test_limits_for_an_environment_without_costs_are_refused(ray_cluster):
    register_env("costless", lambda config: PursuitEnv({"cost": False}))
    with pytest.raises(SafeMARLError, match="needs costs and this environment reports none"):
        _train("SCAL_MAPPO_L", "costless", cost_limit=1.0)
