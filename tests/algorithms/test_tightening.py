"""Theorem 3.7 in an iteration and in the learner."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import tests.algorithms.toy  # noqa: F401 - registers the environments
from rllib_safemarl.algorithms import MACPOConfig
from rllib_safemarl.algorithms.constrained import policy_learner as learner_module
from rllib_safemarl.algorithms.constrained.policy_update import CostBound, StepResult, moves
from rllib_safemarl.algorithms.constrained.tightening import Ledger
from rllib_safemarl.envs.team import Group
from tests.algorithms.helpers import assert_equal, flat, learner_state, tiny_config

RADIUS, SLACK = 0.01, 0.25


def _group(*agents: int) -> Group:
    return Group(f"policy_{agents[0]}", "kind", np.array(agents), np.array(agents), None, None)  # type: ignore[arg-type]


def _ledger(*cost: float, near: float = 0.0, last_kl: float = 0.0) -> Ledger:
    """Limit 1, T̄ = 10 and ν = 10 for every agent; each in reach of all others in a share ``near`` of rows."""
    count = len(cost)
    reach = near * (1.0 - np.eye(count))
    costs = np.array(cost)[:, None]
    return Ledger(np.ones(1), costs, 10.0, np.full((count, 1), 10.0), reach, np.full(count, last_kl))


# The books, by hand.


def test_agents_one_after_another():
    ledger = _ledger(0.5, 0.8, 0.0)
    (first,) = ledger.allow([_group(0)], [RADIUS])
    # The second agent's slack of 0.2 is worth 0.02 nats.
    assert first.radius == RADIUS and first.limits.tolist() == [[1.0]]
    assert first.slack == pytest.approx([0.05]) and first.spent.tolist() == [0.0]
    ledger.record(_group(0), np.array([0.01]), np.array([[0.03]]))
    (second,) = ledger.allow([_group(1)], [np.inf])
    # The first has 0.5 - 10 · 0.03 left, worth 0.02 nats; its own move is in L, not in ν.
    assert second.radius == pytest.approx(0.02)
    assert second.limits == pytest.approx(np.array([[0.9]])) and second.slack == pytest.approx([0.01])
    ledger.record(_group(1), np.array([0.012]), np.array([[0.0]]))
    (third,) = ledger.allow([_group(2)], [RADIUS])
    # The first has 0.02 - 0.012 left, the second 0.02 - 0.01.
    assert third.radius == pytest.approx(0.008) and third.spent == pytest.approx([0.022])
    assert third.limits == pytest.approx(np.array([[0.78]]))


def test_agents_that_share_a_policy_are_charged_for_each_other_and_share_what_others_leave():
    ledger = _ledger(0.5, 0.7, 0.9, near=0.5)
    (pair,) = ledger.allow([_group(0, 1)], [np.inf])
    # The third agent's slack of 0.1 is worth 0.01 nats, 0.005 for each of the two; each is charged for half
    # of what the other may move: limits of 0.975, 0.475 and 0.275 above the costs, and a tenth per step.
    assert pair.radius == pytest.approx(0.005) and pair.spent == pytest.approx([0.0025, 0.0025])
    assert pair.slack == pytest.approx([0.0375])
    alone = _ledger(0.5, 0.7, near=1.0, last_kl=0.004)
    (both,) = alone.allow([_group(0, 1)], [np.inf])
    # Nobody else is there; what the other moved last is the best guess.
    assert both.radius == np.inf and both.spent == pytest.approx([0.004, 0.004])


def test_a_broken_constraint_stops_the_others_but_not_the_agent_itself():
    ledger = _ledger(0.5, 1.2, 1.3)
    radii = [ledger.allow([_group(i)], [RADIUS])[0].radius for i in range(3)]
    assert radii == [0.0, RADIUS, RADIUS]
    (broken,) = ledger.allow([_group(1)], [RADIUS])
    assert broken.slack.tolist() == [0.0]


# The learner.


def _coupled(tightening: float):
    return (
        MACPOConfig()
        .environment("toy/coupled", agent_graph="complete")
        .env_runners(num_envs_per_env_runner=200)
        .training(train_batch_size=200 * 40, minibatch_size=None, num_epochs=2, critic_lr=1e-2, gamma=0.9)
        .training(reward_scope="own", target_kl=RADIUS)
        .rl_module(model_config={"fcnet_hiddens": [4]})
        .safety(cost_limit=40.0, tightening=tightening)
        .debugging(seed=0)
        .build_algo()
    )


def _cost(learner) -> float:
    """What the last of two agents pays per episode in :class:`CoupledVectorEnv`, exactly."""
    views = torch.ones(1, 1)
    with torch.no_grad():
        own, other = (float(learner._policies[f"agent_{i}"].inputs(views)[0, 0]) for i in (1, 0))
    return 20.0 + 3.0 * own + 2.0 * other


def _iterate(algo, order: list[int]) -> tuple[float, list[float]]:
    """Go on to an iteration of that order; the cost's exact rise in it, and the agents' KL.

    In that iteration the limit is 0.25 above the estimated cost, before it far away.
    """
    learner, kls = algo.learner_group._learner, [0.0, 0.0]
    plain = learner._step

    def spy(batch, job):
        result = plain(batch, job)
        kls[job.number] = result.kl
        return result

    learner._step = spy
    there = False
    while not there:
        drawn = np.random.default_rng((learner._seed, learner._updates)).permutation(2).tolist()
        there = drawn == order and learner._updates > 1
        (batch,) = algo.env_runner.sample()
        paid = float(batch.cost[..., 1, 0].mean(dtype=float))
        learner.constraints.limits[:] = paid + SLACK if there else 40.0
        before = _cost(learner)
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        algo.env_runner.set_state(algo.weights())
    learner._step = plain
    return _cost(learner) - before, kls


@pytest.mark.usefixtures("ray_cluster")
def test_at_the_same_radius_a_limit_is_broken_without_tightening_and_kept_with_it():
    """The first agent's step costs the second 0.2, which no surrogate of the second sees."""
    outcomes = {}
    for tightening in (0.0, 1.0):
        algo = _coupled(tightening)
        outcomes[tightening] = [_iterate(algo, order) for order in ([0, 1], [1, 0])]
        algo.stop()
    for rise, kls in outcomes[0.0]:
        assert rise > SLACK + 0.1 and min(kls) >= 0.5 * RADIUS
    # The first moves, the limit of the second is tightened by what that may cost, and the second moves, too.
    rise, kls = outcomes[1.0][0]
    assert rise <= SLACK and min(kls) >= 0.5 * RADIUS
    # The other way round the second takes most of its slack, and δ stops the first early. A small step costs
    # more per nat than the large ones that ν̂ was measured over: here cost goes with the root of KL.
    rise, kls = outcomes[1.0][1]
    assert rise <= SLACK + 0.05 and kls[1] >= 0.5 * RADIUS and kls[0] < 0.3 * RADIUS


# Tiny runs.


def _tightened(name: str, **settings):
    return tiny_config(name).safety(tightening=1.0, **settings)


@pytest.mark.usefixtures("ray_cluster")
def test_restored_and_repeated_runs_are_the_same_with_tightening(tmp_path):
    algo = _tightened("MACPO").build_algo()
    algo.train()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    results = algo.train()["learners"]
    after = learner_state(algo)
    algo.stop()
    assert after["constrained"]["tightening"]["kl"].min() > 0.0
    assert results["robot_0"]["nu"]["separation"] > 0.0

    restored = type(algo).from_checkpoint(path)
    restored.train()
    assert_equal(learner_state(restored), after)
    restored.stop()

    again = _tightened("MACPO").build_algo()
    for _ in range(3):
        again.train()
    assert_equal(learner_state(again), after)
    again.stop()


@pytest.mark.usefixtures("ray_cluster")
def test_all_terms_are_reported_and_multipliers_aim_at_the_tightened_limit():
    algo = _tightened("MAPPO_L", cost_limit=6.0, multiplier_lr=0.5).training(target_kl=0.02).build_algo()
    learner = algo.learner_group._learner
    algo.train()
    before = learner.constraints.multipliers.copy()
    learnt = algo.train()["learners"]
    estimate = learner.constraints.estimate.cost
    algo.stop()
    for i in range(4):
        mine = learnt[f"robot_{i}"]
        limit = mine["limit_tightened"]["separation"]
        assert limit == pytest.approx(6.0 - mine["nu"]["separation"] * mine["kl_charged"])
        assert mine["cost_slack"]["separation"] == pytest.approx(limit - estimate[i, 0])
        assert 0.0 <= mine["kl_radius"] <= 0.02
        expected = max(before[i, 0] + 0.5 * (estimate[i, 0] - limit), 0.0)
        assert learner.constraints.multipliers[i, 0] == pytest.approx(expected)
        assert np.isfinite(mine["cost_foreseen"]["separation"])
    assert sorted(learnt[f"robot_{i}"]["kl_charged"] > 0.0 for i in range(4)) == [False, True, True, True]
    assert learnt["__all_modules__"]["kl_sum"] == pytest.approx(
        sum(learnt[f"robot_{i}"]["mean_kl_loss"] for i in range(4))
    )


@pytest.mark.usefixtures("ray_cluster")
def test_under_the_theorems_nu_next_to_nothing_moves():
    moved = {}
    for nu in ("measured", "theorem"):
        algo = _tightened("MACPO", cost_limit=30.0, nu=nu).build_algo()
        moved[nu] = algo.train()["learners"]["__all_modules__"]["kl_sum"]
        algo.stop()
    assert moved["measured"] > 0.01 > 10.0 * moved["theorem"]


def _with_slack(costs, _, slack):
    return CostBound(costs, slack)


@pytest.mark.usefixtures("ray_cluster")
def test_passes_stop_once_the_costs_slack_is_used(monkeypatch):
    algo = _tightened("SCAL_MAPPO_L", cost_limit=30.0).training(lr=1e-2, num_epochs=4).build_algo()
    learner, epochs = algo.learner_group._learner, []
    for slack in (1.0, -1.0):
        monkeypatch.setattr(learner_module, "CostBound", partial(_with_slack, slack=np.array([slack])))
        learnt = algo.train()["learners"]
        epochs.append({learnt[f"robot_{i}"]["epochs"] for i in range(4)})
    algo.stop()
    assert epochs == [{4.0}, {1.0}]
    assert learner.constraints.multipliers.max() == 0.0


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("name", ["MAPPO_L", "MACPO"])
def test_a_policy_that_may_not_move_stays_where_it_is(name, monkeypatch):
    plain = Ledger.allow
    monkeypatch.setattr(Ledger, "allow", lambda self, groups, radii: plain(self, groups, [0.0]))
    algo = _tightened(name).build_algo()
    before = flat(algo.learner_group._learner.module.get_state())
    learnt = algo.train()["learners"]["robot_0"]
    assert_equal(flat(algo.learner_group._learner.module.get_state()), before)
    algo.stop()
    assert learnt["kl_radius"] == learnt["epochs"] == 0.0 and learnt["mean_kl_loss"] == pytest.approx(
        0.0, abs=1e-6
    )


def test_the_surrogate_cost_of_a_bound_by_hand():
    costs, mask = torch.tensor([[[1.0, -1.0], [2.0, 5.0]]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    log_ratio = torch.tensor([[1.5, 0.5], [1.2, 1.0]]).log()
    # (0.5 · 1 + 0.5 · 1 + 0.2 · 2) / 3
    assert CostBound(costs, np.array([0.46])).exceeded(log_ratio, mask)
    assert not CostBound(costs, np.array([0.47])).exceeded(log_ratio, mask)
    result = StepResult(log_ratio, mask * 0.1, 0.0, 0.0, 0.0)
    kl, change = moves(mask, result, costs)
    assert kl == pytest.approx([0.1, 0.1]) and change == pytest.approx(np.array([[0.45, 0.5]]))
