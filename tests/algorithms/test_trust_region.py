"""Trust-region steps inside the learner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tests.algorithms.toy  # noqa: F401 - registers the environments
from rllib_safemarl.algorithms import MACPOConfig
from rllib_safemarl.algorithms.constrained import policy_learner as learner_module
from rllib_safemarl.algorithms.constrained import trust_region_update as update_module
from rllib_safemarl.functional.trust_region import Case
from tests.algorithms.helpers import flat, tiny_config

pytestmark = pytest.mark.usefixtures("ray_cluster")


def _learner(algo):
    return algo.learner_group._learner


def _set_point(**safety):
    config = (
        MACPOConfig()
        .environment("toy/set_point", agent_graph="complete")
        .env_runners(num_envs_per_env_runner=8)
        .training(train_batch_size=8 * 40, minibatch_size=None, num_epochs=5, critic_lr=1e-2, gamma=0.9)
        .training(reward_scope="own", target_kl=0.02)
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .debugging(seed=0)
    )
    return config.safety(**safety)


@pytest.mark.parametrize(
    ("safety", "cost"), [({"cost_limit": 0.5}, 0.5), ({"multiplier": "none"}, 1.0)], ids=["limit", "free"]
)
def test_actions_reach_the_constrained_optimum_without_multipliers(safety, cost):
    algo = _set_point(**safety).build_algo()
    costs = [algo.train()["env_runners"]["episode_cost_mean"] for _ in range(60)]
    assert not _learner(algo).constraints.multipliers.any()
    algo.stop()
    assert np.mean(costs[-20:]) == pytest.approx(cost, abs=0.08)


def test_every_step_respects_its_case(monkeypatch):
    seen = []
    plain = learner_module.trust_region_update

    def spy(policy, data, problem, settings):
        result = plain(policy, data, problem, settings)
        seen.append((problem.excess, result))
        return result

    monkeypatch.setattr(learner_module, "trust_region_update", spy)
    config = tiny_config("MACPO", costs=["separation", "speed"], speed_limit=0.3)
    config.safety(cost_limit={"separation": 0.5, "speed": 35.0}).training(target_kl=0.03)
    algo = config.build_algo()
    for _ in range(6):
        algo.train()
    algo.stop()
    moved = [(excess, r) for excess, r in seen if r.details["line_search_length"] > 0.0]
    assert len(seen) == 24 and len(moved) > 12
    for excess, result in seen:
        details = result.details
        assert excess.shape == (2,) and details["constraint_excess"] == excess.max()
        assert sum(details[f"trust_region_{case.value}"] for case in Case) == 1.0
        assert result.kl <= 0.03 * 1.001
    for excess, result in moved:
        assert result.kl > 0.0
        assert result.details["surrogate_cost_change"] <= np.maximum(-excess, 0.0).max() + 1e-9
        if (excess < 0.0).all():
            assert result.details["surrogate_gain"] > 0.0
    assert {bool((excess > 0.0).any()) for excess, _ in seen} == {True, False}


def test_an_agent_over_its_limit_turns_back_and_one_under_it_does_not():
    """At their first actions, of mean 0 and deviation 1, both pay 0.4: limits of 5 and of 0.05."""
    costs = []
    for limit in (5.0, 0.05):
        algo = _set_point(cost_limit=limit).build_algo()
        costs.append([algo.train()["env_runners"]["episode_cost_mean"] for _ in range(12)])
        algo.stop()
    assert costs[0][-1] > costs[0][0] + 0.1
    assert costs[1][-1] < costs[1][0] - 0.1


@pytest.mark.parametrize("model", [{}, {"use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 7}])
def test_gradients_of_the_surrogates_are_what_finite_differences_say(monkeypatch, model):
    found = []

    class Spy(update_module._Search):
        def direction(self):
            parameters = self._policy.parameters
            values = self._surrogates(self._data.new_inputs(self._policy))
            gradient = torch.stack(
                [update_module.flat_gradient(value, parameters, keep=True) for value in values]
            )
            start = torch.nn.utils.parameters_to_vector(parameters).detach().clone()
            along = torch.randn(len(start), generator=torch.Generator().manual_seed(0))
            ends = []
            for sign in (1.0, -1.0):
                torch.nn.utils.vector_to_parameters(start + sign * 1e-3 * along, parameters)
                ends.append(self._surrogates(self._data.new_inputs(self._policy)).detach().double())
            torch.nn.utils.vector_to_parameters(start, parameters)
            found.append((gradient @ along, (ends[0] - ends[1]) / 2e-3))
            return super().direction()

    monkeypatch.setattr(update_module, "_Search", Spy)
    config = tiny_config("MACPO").rl_module(model_config={"fcnet_hiddens": [16, 16], **model})
    algo = config.build_algo()
    algo.train()
    algo.stop()
    assert len(found) == 4
    for ours, numeric in found:
        torch.testing.assert_close(ours.double(), numeric, rtol=2e-2, atol=2e-4)


def test_a_policy_without_a_way_forward_stays_where_it_is():
    # A limit on a cost that no action changes, broken: nothing can be done.
    config = _set_point(cost_limit=0.1).environment("toy/constant", agent_graph="complete")
    algo = config.build_algo()
    before = flat(_learner(algo).module.get_state())
    learnt = algo.train()["learners"]["agent_0"]
    after = flat(_learner(algo).module.get_state())
    algo.stop()
    assert learnt["line_search_length"] == 0.0 and learnt["mean_kl_loss"] == pytest.approx(0.0, abs=1e-6)
    for key in before:
        np.testing.assert_array_equal(before[key], after[key], err_msg=key)
