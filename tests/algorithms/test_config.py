"""Settings: what is understood, what is refused, and in which words."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import yaml
from ray.rllib.algorithms.ppo import PPOConfig

from rllib_safemarl.algorithms import (
    ALGORITHMS,
    HAPPOConfig,
    IPPOConfig,
    MACPOConfig,
    MAPPOConfig,
    MAPPOLConfig,
    MAPPOPIDConfig,
    ScalMAPPOLConfig,
)
from rllib_safemarl.algorithms.constrained import config as config_module
from rllib_safemarl.algorithms.settings import describe
from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import Kind
from rllib_safemarl.errors import SafeMARLError

PRESETS = [IPPOConfig, MAPPOConfig, HAPPOConfig, MAPPOLConfig, MAPPOPIDConfig, MACPOConfig, ScalMAPPOLConfig]


def _team(*costs: str) -> Team:
    space = gym.spaces.Box(-1, 1, (2,))
    return Team(("a", "b"), (Kind("kind_0", (0, 1), space, space),), costs, 10, None, 0, ("a", "b"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_ppo_configs_with_rllibs_grammar(preset):
    config = preset()
    assert isinstance(config, PPOConfig)
    returned = (
        config.training(lr=1e-4, gamma=0.9, lambda_=0.8, clip_param=0.1, grad_clip=1.0, entropy_coeff=0.01)
        .safety(cost_limit=2.0)
        .env_runners(num_env_runners=1)
        .debugging(seed=1)
    )
    assert returned is config and config.lr == 1e-4 and config.cost_limit == 2.0


@pytest.mark.parametrize(
    ("preset", "policy", "critic", "sequential", "scope", "multiplier", "reward"),
    [
        (IPPOConfig, 0, 0, False, "neighbourhood", "none", "own"),
        (MAPPOConfig, 0, math.inf, False, "neighbourhood", "none", "team"),
        (HAPPOConfig, 0, math.inf, True, "all", "none", "team"),
        (MAPPOLConfig, 0, math.inf, True, "all", "lagrangian", "team"),
        (MAPPOPIDConfig, 0, math.inf, True, "all", "pid", "team"),
        (MACPOConfig, 0, math.inf, True, "all", "cpo", "team"),
        (ScalMAPPOLConfig, 1, 1, True, "neighbourhood", "lagrangian", "team"),
    ],
)
def test_presets_are_the_points_they_say(preset, policy, critic, sequential, scope, multiplier, reward):
    config = preset()
    assert (config.policy_radius, config.critic_radius) == (policy, critic)
    assert (config.sequential, config.factor_scope, config.multiplier) == (sequential, scope, multiplier)
    assert config.reward_scope == reward


def test_kappa_sets_both_views_and_hops_override_it():
    config = ScalMAPPOLConfig().training(kappa=2)
    assert (config.policy_radius, config.critic_radius) == (2, 2)
    config.training(critic_hops="inf")
    assert (config.policy_radius, config.critic_radius) == (2, math.inf)


@pytest.mark.parametrize("preset", [p for p in PRESETS if p is not ScalMAPPOLConfig])
def test_kappa_is_refused_where_a_preset_fixes_the_views(preset):
    with pytest.raises(SafeMARLError, match="fixes its views, so kappa=2 has no meaning"):
        preset().training(kappa=2)
    with pytest.raises(SafeMARLError, match="fixes its views"):
        preset().update_from_dict({"kappa": 3})
    assert preset().training(policy_hops=1).policy_radius == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.training(kapa=1), r"training\(\) has no setting 'kapa'. Did you mean 'kappa'"),
        (lambda c: c.environment("x", agent_grap=1), "no setting 'agent_grap'. Did you mean 'agent_graph'"),
        (lambda c: c.update_from_dict({"cost_limt": 1}), "no setting 'cost_limt'. Did you mean 'cost_limit'"),
        (lambda c: c.update_from_dict({"train_batchsize": 1}), "Did you mean 'train_batch_size'"),
        (lambda c: c.training(kappa=1.5), r"kappa=1.5 does not fit: it must be a whole number"),
        (lambda c: c.training(kappa=-1), "kappa=-1 does not fit"),
        (lambda c: c.training(kappa="far"), "kappa='far' does not fit"),
        (lambda c: c.safety(cost_limit=-1.0), "cost_limit=-1.0 does not fit"),
        (lambda c: c.safety(cost_limit=float("nan")), "cost_limit=nan does not fit"),
        (lambda c: c.safety(multiplier="lagrange"), "must be one of lagrangian"),
        (
            lambda c: c.safety(tightening=1.5),
            "tightening=1.5 does not fit: it must be a number betw",
        ),
        (lambda c: c.safety(nu="guessed"), "must be one of measured, theorem"),
        (lambda c: c.training(reward_scope="teem"), "must be one of team, neighbourhood, own"),
        (lambda c: c.training(factor_clip=0.5), "factor_clip=0.5 does not fit"),
        (
            lambda c: c.safety(cost_limt=1.0),
            r"safety\(\) has no setting 'cost_limt'. Did you mean 'cost_limit'",
        ),
        (lambda c: c.env_runners(num_env_runner=1), "Did you mean 'num_env_runners'"),
        (lambda c: c.env_runners(max_sample_age=-1), "max_sample_age=-1 does not fit"),
        (lambda c: c.env_runners(max_samples_age=1), "Did you mean 'max_sample_age'"),
        (lambda c: c.learners(num_learner=1), "Did you mean 'num_learners'"),
        (lambda c: c.evaluation(evaluation_intervall=1), "Did you mean 'evaluation_interval'"),
        (lambda c: c.debugging(sed=1), "Did you mean 'seed'"),
        (lambda c: c.multi_agent(policy_mapping=1), "Did you mean 'policy_mapping_fn'"),
        (lambda c: c.rl_module(model_confg={}), "Did you mean 'model_config'"),
        (lambda c: c.fault_tolerance(restart_env_runners=1), "Did you mean 'restart_failed_env_runners'"),
        (lambda c: c.reporting(report_per_agnt=True), "Did you mean 'report_per_agent'"),
        (lambda c: c.callbacks(on_episode_ends=print), "Did you mean 'on_episode_end'"),
        (
            lambda c: c.update_from_dict(yaml.safe_load("{lr: 0.001, multiplier_rl: 0.1}")),
            "no setting 'multiplier_rl'. Did you mean 'multiplier_lr'",
        ),
        (
            lambda c: c.update_from_dict({"multiagent": {"policys": {"a"}}}),
            r"multi_agent\(\) has no setting 'policys'. Did you mean 'policies'",
        ),
    ],
)
def test_wrong_settings_are_refused_in_one_line(call, message):
    with pytest.raises(SafeMARLError, match=message) as raised:
        call(ScalMAPPOLConfig())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.training(use_gae=False), "use_gae=False has no meaning here"),
        (lambda c: c.training(use_critic=False), "use_critic=False has no meaning here"),
        (lambda c: c.training(use_kl_loss=True), "bound the step by target_kl"),
        (lambda c: c.env_runners(batch_mode="complete_episodes"), "batch_mode='complete_episodes'"),
        (lambda c: c.env_runners(observation_filter="MeanStdFilter"), "observation_filter"),
        (lambda c: c.env_runners(env_to_module_connector=lambda *a: None), "columns run no connectors"),
        (lambda c: c.offline_data(output="/tmp/x"), "safemarl record"),
        (lambda c: c.rl_module(model_config={"vf_share_layers": True}), "critics are separate networks"),
        (lambda c: c.training(minibatch_size=0), "minibatch_size=0 must be"),
        (lambda c: c.training(kl_coeff=0.3), "kl_coeff=0.3 has no meaning here: bound the step by target_kl"),
        (lambda c: c.training(kl_target=0.1), "kl_target=0.1 has no meaning here"),
        (lambda c: c.training(vf_loss_coeff=0.5), "vf_loss_coeff=0.5 has no meaning here: critics are"),
        (lambda c: c.training(shuffle_batch_per_epoch=False), "shuffle_batch_per_epoch=False has no meaning"),
        (lambda c: c.training(model={"fcnet_hiddens": [8]}), r"set .rl_module\(model_config={…}\)"),
        (lambda c: c.framework("tf2"), "framework='tf2' has no meaning here: only torch"),
        (
            lambda c: c.rl_module(model_config={"fcnet_hidens": [8]}),
            "model_config has no setting 'fcnet_hidens'. Did you mean 'fcnet_hiddens'",
        ),
        (
            lambda c: c.multi_agent(algorithm_config_overrides_per_module={"robot_0": {"gamma": 0.5}}),
            r"_module\['robot_0'\] cannot change 'gamma'; for single policies there are clip_param",
        ),
        (lambda c: c.env_runners(max_sample_age=1), "max_sample_age=1 has no meaning without remote env run"),
        (
            lambda c: c.env_runners(max_sample_age=1, num_env_runners=1).training(
                step="trust_region", target_kl=0.01
            ),
            "'trust_region' starts from the policy that acted, which an old sample's is not: set max_sample",
        ),
        (lambda c: c.training(step="trust_region"), "'trust_region' needs its radius: set target_kl"),
        (lambda c: c.safety(multiplier="cpo"), "'cpo' is solved in trust-region steps: set step='trust_r"),
        (
            lambda c: c.safety(multiplier="none", tightening=0.5),
            "tightening has no meaning with multiplier='none', which holds no limits; set another",
        ),
        (
            lambda c: c.safety(tightening=0.5).training(sequential=False),
            "tightening charges agents for those updated before them: set sequential=True",
        ),
        (
            lambda c: c.safety(tightening=0.5, nu="theorem").training(gamma=1.0),
            "nu='theorem' is infinite with gamma=1; set gamma below 1",
        ),
        (lambda c: c.safety(cost_limit=None), r"needs a limit: .safety\(cost_limit=…\)"),
        (
            lambda c: c.evaluation(evaluation_config={"explor": False}),
            "no setting 'explor'. Did you mean 'explore'",
        ),
    ],
)
def test_settings_without_meaning_are_refused_at_validation(change, message):
    config = ScalMAPPOLConfig().environment("safemarl/crossing").safety(cost_limit=1.0)
    change(config)
    with pytest.raises(SafeMARLError, match=message) as raised:
        config.validate()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plain_config_validates(preset):
    config = preset().environment("safemarl/crossing")
    if config.multiplier != "none":
        config.safety(cost_limit=1.0)
    config.validate()


@pytest.mark.parametrize("preset", PRESETS)
def test_an_algorithm_known_for_no_limit_that_is_given_one_says_so(preset, monkeypatch, caplog):
    """A tuned config of Scal-MAPPO-L that is run as HAPPO would be MAPPO-L under another name."""
    monkeypatch.setattr(config_module, "log_once", lambda key: True)
    unconstrained = preset().multiplier == "none"
    config = preset().environment("safemarl/crossing").safety(cost_limit=1.0)
    config.validate()
    if config.step == "clip":
        config.safety(multiplier="pid").validate()
    said = f"{preset.__name__} keeps to no limit by itself; multiplier='pid' makes it keep to one."
    ours = [record.getMessage() for record in caplog.records if record.name == config_module.__name__]
    assert ours == [said] * unconstrained


def test_published_settings_of_mappo_l_are_a_preset_that_named_values_go_before():
    config = MAPPOLConfig().training(preset="published", lr=1e-3)
    assert (config.lr, config.critic_lr, config.factor_clip) == (1e-3, 5e-3, math.inf)
    assert config.multiplier_init == 0.78
    # 1e-7 · (1 - γ) per unit of cost in each of 40 minibatches of 5 epochs.
    assert config.multiplier_lr == pytest.approx(1e-7 * (1 - config.gamma) * 40 * config.num_epochs)
    assert config.train_batch_size / config.minibatch_size == 40
    loaded = MAPPOLConfig().update_from_dict({"num_epochs": 3, "preset": "published"})
    assert (loaded.num_epochs, loaded.lr) == (3, 9e-5)
    assert MAPPOLConfig().multiplier_init == 0.0
    again = MAPPOLConfig().update_from_dict(config.to_dict())
    assert again.lr == 1e-3 and again.preset == "published"


def test_presets_are_refused_where_there_are_none_or_others():
    with pytest.raises(SafeMARLError, match="ScalMAPPOLConfig has no presets, so preset='published'"):
        ScalMAPPOLConfig().training(preset="published")
    with pytest.raises(SafeMARLError, match="preset='publshed' does not fit: it must be one of published"):
        MAPPOLConfig().training(preset="publshed")


def test_limits_of_one_several_and_no_costs():
    config = ScalMAPPOLConfig().safety(cost_limit=2.0)
    assert config.limits(_team("crash", "speed")).tolist() == [2.0, 2.0]
    config.safety(cost_limit={"speed": 3, "crash": math.inf})
    assert config.limits(_team("crash", "speed")).tolist() == [math.inf, 3.0]
    assert ScalMAPPOLConfig().limits(_team("crash")).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("limit", "costs", "message"),
    [
        (1.0, (), r"needs costs and this environment reports none; put infos\[agent\]\['cost'\]"),
        ({"crahs": 1.0}, ("crash",), r"cost_limit names 'crahs'.*Did you mean 'crash'"),
        ({"crash": 1.0}, ("crash", "speed"), r"no entry for \['speed'\]"),
    ],
)
def test_limits_that_do_not_fit_the_costs(limit, costs, message):
    with pytest.raises(SafeMARLError, match=message):
        ScalMAPPOLConfig().safety(cost_limit=limit).limits(_team(*costs))


def test_steps_per_iteration_cover_the_batch():
    config = ScalMAPPOLConfig().env_runners(num_envs_per_env_runner=6).training(train_batch_size=100)
    assert config.steps_per_iteration == 17
    config.env_runners(num_env_runners=2)
    assert config.steps_per_iteration == 9
    config.env_runners(rollout_fragment_length=4)
    assert config.steps_per_iteration == 12


def test_dicts_carry_model_config_and_lambda_as_yaml_does():
    config = ScalMAPPOLConfig().update_from_dict(
        {"model_config": {"fcnet_hiddens": [8]}, "lambda": 0.5, "kappa": "inf", "num_env_runners": 0}
    )
    assert config.model_config["fcnet_hiddens"] == [8]
    assert config.lambda_ == 0.5 and config.critic_radius == math.inf


def test_a_config_survives_its_own_dict():
    config = ScalMAPPOLConfig().training(kappa=3).safety(cost_limit=7.0)
    again = ScalMAPPOLConfig().update_from_dict(config.to_dict())
    assert again.kappa == 3 and again.cost_limit == 7.0


def test_every_setting_is_described_with_unit_and_meaning():
    for algorithm in ALGORITHMS.values():
        settings = algorithm.get_default_config().settings
        assert all(s.unit and s.meaning for s in settings.values())
        assert all(f"`{name}`" in describe(settings) for name in settings)


def test_defaults_are_accepted_by_their_own_checks():
    for preset in PRESETS:
        config = preset()
        for name, setting in config.settings.items():
            setting.check(name, getattr(config, name))
    assert np.isinf(ScalMAPPOLConfig().vf_clip_param)
