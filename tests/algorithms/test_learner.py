"""The learner on environments whose values and optima are known."""

from __future__ import annotations

import numpy as np
import pytest

import tests.algorithms.toy  # noqa: F401 - registers the environments
from rllib_safemarl.algorithms import MAPPOLConfig, ScalMAPPOLConfig
from rllib_safemarl.algorithms.constrained import policy_learner as learner_module
from rllib_safemarl.functional.multipliers import PIDGains, PIDState, pid_control
from tests.algorithms.helpers import flat, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def _toy(config_class, env: str, **env_config):
    return (
        config_class()
        .environment(f"toy/{env}", env_config=env_config, agent_graph="complete")
        .env_runners(num_envs_per_env_runner=8)
        .training(train_batch_size=8 * 20, minibatch_size=None, num_epochs=5, lr=3e-3, gamma=0.9)
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .debugging(seed=0)
    )


def _learner(algo):
    return algo.learner_group._learner


def _values(algo) -> np.ndarray:
    """Values ``[P, 1 + C]`` of the one observation there is."""
    learner = _learner(algo)
    (stack,) = learner._stacks
    import torch

    views = learner._critic_views({"agent": np.ones((1, 2, 1), np.float32)}, np.ones((1, 2), bool))["agent"]
    return stack.values(torch.from_numpy(views.swapaxes(0, 1)))[..., 0]


@pytest.mark.parametrize(("terminal", "expected"), [(False, 10.0), (True, 2.63)])
def test_critics_learn_the_closed_form_value_of_reward_and_cost(terminal, expected):
    # Without terminal states V = 1 / (1 - γ) = 10 although episodes are cut after five steps. With
    # them the five phases of an episode look alike, and by Monte Carlo (λ = 1) V is the mean of their
    # returns 4.10, 3.44, 2.71, 1.90 and 1.
    config = _toy(MAPPOLConfig, "constant", time_limit=5, terminal=terminal).safety(cost_limit=100.0)
    config.training(lr=2e-3, critic_lr=1e-2, lambda_=1.0 if terminal else 0.95)
    algo = config.build_algo()
    for _ in range(60):
        algo.train()
    values = _values(algo)
    assert values[:, 0] == pytest.approx(expected, rel=0.03)
    assert values[:, 1] == pytest.approx(0.5 * expected, rel=0.03)
    algo.stop()


def test_multipliers_and_actions_reach_the_constrained_optimum():
    # The limit 0.5 makes 0.5 the best action and 2 (1 - 0.5) = 1 its multiplier; 1 without a limit.
    outcomes = {}
    for multiplier in ("lagrangian", "none"):
        config = _toy(MAPPOLConfig, "set_point").training(
            reward_scope="own", train_batch_size=8 * 40, lr=1e-2
        )
        config.safety(cost_limit=0.5, multiplier=multiplier, multiplier_lr=0.1)
        algo = config.build_algo()
        tail, multipliers = [], []
        for iteration in range(100):
            results = algo.train()
            if iteration >= 60:
                tail.append(results["env_runners"]["episode_cost_mean"])
                multipliers.append(_learner(algo).constraints.multipliers.mean())
        outcomes[multiplier] = np.mean(tail), np.mean(multipliers)
        algo.stop()
    assert outcomes["lagrangian"][0] == pytest.approx(0.5, abs=0.06)
    assert outcomes["lagrangian"][1] == pytest.approx(1.0, abs=0.2)
    assert outcomes["none"] == (pytest.approx(1.0, abs=0.1), 0.0)


def test_groups_are_updated_one_after_another_in_an_order_drawn_anew(monkeypatch):
    order = []
    plain = learner_module.clipped_update

    def spy(policy, *args, **kwargs):
        order.append(policy.group.policy)
        return plain(policy, *args, **kwargs)

    monkeypatch.setattr(learner_module, "clipped_update", spy)
    algo = tiny_config().build_algo()
    orders = []
    for iteration in range(4):
        order.clear()
        algo.train()
        orders.append(tuple(order))
        assert sorted(order) == [f"robot_{i}" for i in range(4)]
        expected = np.random.default_rng((_learner(algo)._seed, iteration)).permutation(4)
        assert order == [f"robot_{i}" for i in expected]
    assert len(set(orders)) > 1
    algo.stop()


@pytest.mark.parametrize(
    ("scope", "kappa", "expected"), [("all", 1, [1, 2, 3]), ("neighbourhood", 1, [1, 3]), ("none", 1, [])]
)
def test_the_factor_is_the_product_of_earlier_ratios_in_scope(monkeypatch, scope, kappa, expected):
    """On a static ring of four robots, with ratios and advantages watched inside the learner."""
    seen, ratios = {}, {}
    plain = learner_module.clipped_update
    plain_advantage = learner_module.PolicyLearner._advantage

    def advantage_of(self, group, data, estimates):
        seen[group.policy] = [plain_advantage(self, group, data, estimates)]
        return seen[group.policy][0]

    def spy(policy, data, advantage, *args, **kwargs):
        factor = advantage / seen[policy.group.policy][0]
        done = {int(name[-1]): r for name, r in ratios.items()}
        mine = int(policy.group.policy[-1])
        neighbours = [j for j in done if (j - mine) % 4 in expected]
        product = np.prod([done[j] for j in neighbours], axis=0) if neighbours else 1.0
        np.testing.assert_allclose(factor.numpy(), np.clip(product, 0.5, 2.0), rtol=1e-3)
        result = plain(policy, data, advantage, *args, **kwargs)
        ratios[policy.group.policy] = result.log_ratio.exp().numpy()
        return result

    monkeypatch.setattr(learner_module, "clipped_update", spy)
    monkeypatch.setattr(learner_module.PolicyLearner, "_advantage", advantage_of)
    ring = [[0, 1], [1, 2], [2, 3], [3, 0]]
    config = tiny_config().environment(agent_graph=ring).training(factor_scope=scope, kappa=kappa, lr=5e-3)
    algo = config.build_algo()
    algo.train()
    assert len(ratios) == 4
    assert max(abs(np.log(r)).max() for r in ratios.values()) > 0.01
    algo.stop()


def test_only_policies_to_train_change():
    algo = tiny_config().multi_agent(policies_to_train=["robot_1"]).build_algo()
    before = flat(_learner(algo).module.get_state())
    algo.train()
    after = flat(_learner(algo).module.get_state())
    algo.stop()
    changed = {key.split("/")[1] for key in before if not np.array_equal(before[key], after[key])}
    assert changed == {"robot_1"}


def test_settings_of_single_policies_concern_those_alone():
    overrides = {"robot_1": {"lr": 0.0}, "robot_2": {"num_epochs": 1}}
    algo = tiny_config().multi_agent(algorithm_config_overrides_per_module=overrides).build_algo()
    before = flat(_learner(algo).module.get_state())
    learnt = algo.train()["learners"]
    after = flat(_learner(algo).module.get_state())
    algo.stop()
    changed = {key.split("/")[1] for key in before if not np.array_equal(before[key], after[key])}
    assert changed == {"robot_0", "robot_2", "robot_3"}
    assert [learnt[f"robot_{i}"]["epochs"] for i in range(4)] == [2, 2, 1, 2]


def test_shared_policies_keep_a_multiplier_per_agent():
    config = tiny_config(n_agents=6).multi_agent(
        policies={"left", "right"},
        policy_mapping_fn=lambda agent, episode, **kwargs: "left" if agent[-1] in "024" else "right",
    )
    algo = config.build_algo()
    for _ in range(3):
        algo.train()
    multipliers = _learner(algo).constraints.multipliers
    algo.stop()
    assert multipliers.shape == (6, 1)
    assert len(np.unique(multipliers)) > 1


def test_above_sixteen_agents_each_kind_shares_a_policy():
    algo = tiny_config(n_agents=17).build_algo()
    results = algo.train()
    assert list(_learner(algo).module.keys()) == ["robot"]
    assert set(results["env_runners"]["agent_episode_returns_mean"]) == {"mean", "min", "max"}
    algo.stop()


def test_multipliers_rise_exactly_where_the_estimated_cost_is_above_the_limit():
    algo = tiny_config().safety(cost_limit=0.3, multiplier_lr=0.1).build_algo()
    learner = _learner(algo)
    for _ in range(3):
        before = learner.constraints.multipliers.copy()
        algo.train()
        excess = learner.constraints.estimate.cost - 0.3
        expected = np.maximum(before + 0.1 * excess, 0.0)
        assert learner.constraints.multipliers == pytest.approx(expected)
    algo.stop()


def test_pid_keeps_a_controller_per_agent_and_constraint():
    config = tiny_config("MAPPO_PID", costs=["separation", "speed"], speed_limit=0.5).safety(
        cost_limit={"separation": 0.1, "speed": 2.0}
    )
    config.safety(multiplier_lr=0.01, proportional_gain=0.2, derivative_gain=0.3, derivative_smoothing=0.0)
    algo = config.build_algo()
    learner, costs = _learner(algo), []
    for _ in range(3):
        algo.train()
        costs.append(learner.constraints.estimate.cost)
    limits, gains = np.array([0.1, 2.0]), PIDGains(0.2, 0.01, 0.3)
    state = PIDState.start(np.zeros((4, 2)))
    for cost in costs:
        expected, state = pid_control(state, cost, limits, gains)
    assert learner.constraints.multipliers == pytest.approx(expected)
    assert len(np.unique(expected)) > 2
    algo.stop()


def test_target_kl_stops_before_the_next_epoch():
    epochs = []
    for target in (None, 1e-9):
        algo = tiny_config().training(target_kl=target, lr=1e-2, num_epochs=3).build_algo()
        epochs.append(algo.train()["learners"]["robot_0"]["epochs"])
        algo.stop()
    assert epochs == [3, 1]


def test_simultaneous_updates_are_one_step_that_does_not_depend_on_the_order(monkeypatch):
    """All policies in one stack, and one by one from the last to the first."""
    states = []
    for one_by_one in (False, True):
        algo = tiny_config("MAPPO").build_algo()
        learner = _learner(algo)
        if one_by_one:
            backwards = [([k], None) for k in (3, 2, 1, 0)]
            monkeypatch.setattr(learner_module, "stack_alike", lambda *_, alone=backwards: alone)
        (batch,) = algo.env_runner.sample()
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        states.append(flat(learner.get_state()["rl_module"]))
        algo.stop()
    for key, value in states[0].items():
        np.testing.assert_allclose(states[1][key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_scal_config_builds_from_a_mapping_of_names(ray_cluster):
    config = ScalMAPPOLConfig().environment("safemarl/crossing").safety(cost_limit={"separation": 1.0})
    algo = config.env_runners(num_envs_per_env_runner=2).training(train_batch_size=100).build_algo()
    assert _learner(algo).constraints.limits.tolist() == [1.0]
    algo.stop()
