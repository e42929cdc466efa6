"""What is said of environments, modules and calls that do not fit: one line, with the thing and the mend."""

from __future__ import annotations

import logging

import pytest
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env
from torch import nn

from rllib_safemarl.algorithms import IPPOConfig, MAPPOLConfig, ScalMAPPOLConfig
from rllib_safemarl.errors import SafeMARLError
from tests.algorithms.helpers import tiny_config
from tests.algorithms.modules import OwnModule
from tests.algorithms.toy import FaultyVectorEnv
from tests.rollout.multi_agent_envs import PursuitEnv, TurnsEnv

pytestmark = pytest.mark.usefixtures("ray_cluster")


class TooWide(OwnModule):
    def setup(self):
        super().setup()
        self.trunk = nn.Sequential(nn.Linear(99, 16), nn.Tanh())


class TooMany(OwnModule):
    def setup(self):
        super().setup()
        self.policy = nn.Linear(16, 10)


class Silent(OwnModule):
    def _forward(self, batch, **kwargs):
        return {"thoughts": batch["obs"]}


class Strict(OwnModule):
    def _forward(self, batch, **kwargs):
        assert batch["obs"].isfinite().all(), "a riddle"
        return super()._forward(batch, **kwargs)


def _own(module_class):
    return _robots().rl_module(model_config={}, rl_module_spec=RLModuleSpec(module_class=module_class))


def _robots():
    return tiny_config("MAPPO_L", n_agents=2)


def _shared(config, mapping, *policies):
    return config.multi_agent(policies=set(policies), policy_mapping_fn=mapping)


def _faulty(fault):
    return (
        MAPPOLConfig()
        .environment("toy/faulty", env_config={"fault": fault})
        .env_runners(num_envs_per_env_runner=2)
        .training(train_batch_size=2 * 5, minibatch_size=None, num_epochs=1)
        .rl_module(model_config={"fcnet_hiddens": [4]})
        .safety(cost_limit=1.0)
        .debugging(seed=0)
    )


def _message(act) -> str:
    with pytest.raises(SafeMARLError) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            lambda: _shared(_robots(), lambda agent, episode, **_: f"p{episode.id_[0]}", "p0", "p1"),
            "policy_mapping_fn failed for agent 'robot_0' without an episode (AttributeError: 'NoneType' "
            "object has no attribute 'id_'); it must depend on the agent alone.",
        ),
        (
            lambda: _shared(_robots(), lambda agent, episode, **_: "lefd", "left", "right"),
            "agent 'robot_0' is mapped to policy 'lefd', which is not among the policies ['left', 'right']. "
            "Did you mean 'left'?",
        ),
        (
            lambda: _shared(IPPOConfig().environment(PursuitEnv), lambda agent, episode, **_: "all", "all"),
            "policy 'all' plays agents of different spaces (such as 'hare', 'hound_0'); give each kind of "
            "agent a policy of its own.",
        ),
        (
            lambda: ScalMAPPOLConfig().environment(PursuitEnv).safety(cost_limit=1.0),
            "kappa=1 needs an agent graph and this environment has none; give one by "
            ".environment(agent_graph='complete' | 'chain' | [[i, j], …]) or use kappa=inf.",
        ),
        (
            lambda: _own(TooWide),
            "the RLModule TooWide of policy 'robot_0' cannot act on its observation space",
        ),
        (lambda: _own(TooMany), "gives actions of shape (5,) where its action space is Box("),
        (
            lambda: _own(Silent),
            "the RLModule Silent of policy 'robot_0' returned ['thoughts']; it must return "
            "'action_dist_inputs', or 'actions' and 'action_logp'.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_built(config, message):
    assert message in _message(config().build_algo)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "nan_observation",
            "agent 'agent_1' observed nan at place 0, before step 3 of this block in copy 1; observations "
            "must be finite.",
        ),
        (
            "nan_reward",
            "agent 'agent_1' got reward = nan in step 2 of this block in copy 1; rewards must be finite.",
        ),
        (
            "negative_cost",
            "agent 'agent_1' got cost 'effort' = -0.5 in step 2 of this block in copy 1; costs must be "
            "finite and not negative.",
        ),
        (
            "flat_reward",
            "Step.reward of FaultyVectorEnv has shape (2,); it must be (2, 2) for 2 copies, 2 agents and 1 "
            "costs.",
        ),
        (
            "raise",
            "the environment failed in step 2 of this block (ZeroDivisionError: a wheel came off); mend it, "
            "or have it created anew by .fault_tolerance(restart_failed_sub_environments=True).",
        ),
    ],
)
def test_what_the_environment_does_wrong_is_said_with_agent_and_step(fault, message):
    algo = _faulty(fault).build_algo()
    assert _message(algo.train) == message
    algo.stop()


def test_nan_observations_are_named_also_where_a_distribution_refuses_them():
    config = _faulty("nan_observation").rl_module(rl_module_spec=RLModuleSpec(module_class=Strict))
    algo = config.build_algo()
    assert _message(algo.train).startswith("agent 'agent_1' observed nan at place 0, before step 3")
    algo.stop()


def test_a_failed_environment_is_created_anew_if_the_config_says_so(monkeypatch, caplog):
    monkeypatch.setattr(FaultyVectorEnv, "made", 0)
    config = _faulty("raise_once").fault_tolerance(restart_failed_sub_environments=True)
    algo = config.build_algo()
    monkeypatch.setattr(FaultyVectorEnv, "made", 1)
    with caplog.at_level(logging.WARNING, "rllib_safemarl.rollout.runner"):
        results = algo.train()["env_runners"]
    algo.stop()
    assert FaultyVectorEnv.made == 2
    assert results["num_env_steps_sampled"] == 10 and results["num_env_step_failures"] == 1


def test_an_environment_that_fails_every_time_is_given_up(monkeypatch):
    algo = _faulty("raise").fault_tolerance(restart_failed_sub_environments=True).build_algo()
    assert _message(algo.train).startswith("the environment failed in step 2")
    algo.stop()


def test_remote_runners_pass_bad_input_on_instead_of_dying_of_it():
    config = _faulty("negative_cost").env_runners(num_env_runners=1, num_cpus_per_env_runner=0.5)
    algo = config.build_algo()
    assert "got cost 'effort' = -0.5 in step 2" in _message(algo.train)
    assert algo.env_runner_group.num_healthy_remote_workers() == 1
    algo.stop()


def test_why_no_remote_runner_starts_is_said():
    register_env("turns", lambda config: TurnsEnv())
    config = IPPOConfig().environment("turns").env_runners(num_env_runners=1, num_cpus_per_env_runner=0.5)
    assert "turn-based environments are not supported" in _message(config.build_algo)


def test_policies_of_a_team_are_fixed():
    algo = _robots().build_algo()
    for call in (algo.add_module, algo.remove_module):
        message = _message(lambda call=call: call("robot_9", None))
        assert message.startswith(f"{call.__name__}() has no meaning here: the policies of a team are fixed")
    algo.stop()


def test_copies_that_cannot_be_spread_over_the_learners():
    config = _robots().env_runners(num_envs_per_env_runner=1)
    algo = config.learners(num_learners=2, num_cpus_per_learner=0.5).build_algo()
    assert _message(algo.train).startswith("1 copies cannot be spread over num_learners=2; raise")
    algo.stop()


def test_names_are_known_in_a_second_session_of_ray_as_well():
    from ray.experimental.internal_kv import _internal_kv_del
    from ray.tune.registry import ENV_CREATOR, _global_registry, _make_key

    # What is left of names after ray.shutdown() and another ray.init().
    _internal_kv_del(_make_key(_global_registry.prefix, ENV_CREATOR, "safemarl/crossing"))
    assert not _global_registry.contains(ENV_CREATOR, "safemarl/crossing")
    tiny_config().build_algo().stop()
