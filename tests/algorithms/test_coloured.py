"""Agents out of each other's range are updated together, and as if one after another."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_safemarl.algorithms.constrained import order as order_module
from rllib_safemarl.algorithms.constrained import policy_learner as learner_module
from rllib_safemarl.algorithms.constrained.order import UpdateOrder
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from tests.algorithms.helpers import assert_equal, flat, learner_state, tiny_config
from tests.algorithms.modules import OwnModule

pytestmark = pytest.mark.usefixtures("ray_cluster")

RING = [[i, (i + 1) % 6] for i in range(6)]


def _ring(name: str = "SCAL_MAPPO_L", **settings):
    """Six robots on a ring: two classes, and every robot has two neighbours whose ratios weigh on it."""
    config = tiny_config(name, n_agents=6).environment(agent_graph=RING)
    return config.training(kappa=1, lr=5e-3, factor_scope="neighbourhood", **settings)


def _run(config, iterations: int = 2):
    algo = config.build_algo()
    results = [algo.train() for _ in range(iterations)]
    state = learner_state(algo)
    algo.stop()
    return state, results


def _close(first, second) -> bool:
    """Whether two runs agree up to the order of summation."""
    a, b = flat(first["rl_module"]), flat(second["rl_module"])
    assert a.keys() == b.keys()
    return all(np.allclose(a[key], b[key], rtol=1e-4, atol=2e-6) for key in a)


def _listed(self, generator, batch, views):
    """The rounds of a coloured order, class after class and one by one."""
    return [np.array([g]) for k in generator.permutation(2) for g in ([0, 2, 4], [1, 3, 5])[k]]


@pytest.fixture
def one_by_one(monkeypatch):
    """Final state of a sequential run over the classes' order, by settings."""

    def run(config):
        with monkeypatch.context() as patch:
            patch.setattr(UpdateOrder, "rounds", _listed)
            return _run(config)

    return run


def test_it_equals_a_sequential_run_over_the_classes_listed_and_not_if_classes_are_merged(
    one_by_one, monkeypatch
):
    expected, _ = one_by_one(_ring())
    coloured, results = _run(_ring(coloured=True))
    assert results[0]["learners"]["__all_modules__"]["update_rounds"] == 2
    assert _close(expected, coloured)
    together = flat(coloured["optimizer"])
    for name, value in flat(expected["optimizer"]).items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(together[name], value, rtol=2e-3, atol=2e-5, err_msg=name)

    merged = (np.arange(6),)
    monkeypatch.setattr(order_module, "colour_classes", lambda adjacent: merged)
    assert not _close(expected, _run(_ring(coloured=True))[0])


@pytest.mark.parametrize("tightening", [0.0, 1.0])
def test_members_of_a_batched_step_stop_alone(tightening, monkeypatch):
    """At their own KL and costs, with their own learning rates; stacks of four, and robots one by one."""
    overrides = {"robot_2": {"lr": 0.0}, "robot_4": {"lr": 2e-2}, "robot_1": {"clip_param": 0.05}}

    def config():
        ring = _ring(coloured=True, target_kl=0.004, num_epochs=4).safety(
            tightening=tightening, cost_limit=3.0
        )
        return ring.multi_agent(algorithm_config_overrides_per_module=overrides)

    together, results = _run(config())
    monkeypatch.setattr(learner_module, "stack_alike", lambda policies, *_: [([k], None) for k in range(3)])
    alone, expected = _run(config())
    assert _close(alone, together)
    for ours, theirs in zip(results, expected, strict=True):
        ours, theirs = ours["learners"], theirs["learners"]
        epochs = [[learnt[f"robot_{i}"]["epochs"] for i in range(6)] for learnt in (ours, theirs)]
        assert epochs[0] == epochs[1] and len(set(epochs[0])) > 1
        for key in ("mean_kl_loss", "policy_loss", "clip_fraction", "entropy"):
            for i in range(6):
                value = theirs[f"robot_{i}"][key]
                assert ours[f"robot_{i}"][key] == pytest.approx(value, rel=1e-2, abs=1e-5), key


def test_trust_region_steps_of_a_class_are_solved_per_agent(one_by_one):
    def config():
        ring = tiny_config("MACPO", n_agents=6).environment(agent_graph=RING)
        return ring.training(policy_hops=1, critic_hops=1, factor_scope="neighbourhood")

    expected, _ = one_by_one(config())
    coloured, _ = _run(config().training(coloured=True))
    assert_equal(expected["rl_module"], coloured["rl_module"])


class Peeking(OwnModule):
    """vmap refuses to branch on numbers."""

    def _forward(self, batch, **kwargs):
        hidden = self.trunk(batch["obs"])
        return {"action_dist_inputs": self.policy(hidden if hidden.mean() < 9.0 else -hidden)}


@pytest.mark.parametrize("module_class", [OwnModule, Peeking])
def test_modules_of_users_are_stacked_or_updated_one_by_one(module_class, one_by_one, monkeypatch, caplog):
    def config(**settings):
        spec = RLModuleSpec(module_class=module_class)
        return _ring(**settings).rl_module(model_config={}, rl_module_spec=spec)

    stacked = []
    plain = learner_module.stacked_update

    def spy(stack, *args):
        stacked.append(len(stack))
        return plain(stack, *args)

    monkeypatch.setattr(learner_module, "stacked_update", spy)
    expected, _ = one_by_one(config())
    with caplog.at_level(logging.WARNING, "rllib_safemarl.algorithms.constrained.stacked_policies"):
        coloured, _ = _run(config(coloured=True))
    assert _close(expected, coloured)
    assert stacked == ([3, 3, 3, 3] if module_class is OwnModule else [])
    said = [message for message in caplog.messages if message.startswith("Modules")]
    if module_class is OwnModule:
        assert said == []
    else:
        (line,) = said
        assert line.startswith("Modules Peeking are updated one by one: ") and "\n" not in line


class Glancing(Peeking):
    """Of a name of its own: what is said of a name is said once."""


@pytest.mark.parametrize("module_class", [OwnModule, Glancing])
def test_modules_of_users_act_together_or_one_by_one(module_class, caplog):
    spec = RLModuleSpec(module_class=module_class)
    config = _ring().rl_module(model_config={}, rl_module_spec=spec)
    with caplog.at_level(logging.WARNING, "rllib_safemarl.rollout.stacked_module_actor"):
        algo = config.build_algo()
    algo.train()
    runner = algo.env_runner
    together = module_class is OwnModule
    assert len(runner._actors) == (1 if together else 6)
    size = runner._actors[0].groups[0].observation_space.shape[0]
    views = np.random.default_rng(0).normal(size=(5, 6, size)).astype(np.float32)
    with torch.no_grad():
        acted = [actor.act({"robot": views}, False, torch.Generator()) for actor in runner._actors]
        actions = np.concatenate([act.actions for act in acted])
        for i in range(6):
            # Weights are those after training.
            batch = {"obs": torch.from_numpy(views[:, i])}
            learnt = algo.learner_group._learner.module[f"robot_{i}"].forward_inference(batch)
            mean = learnt["action_dist_inputs"].chunk(2, -1)[0].numpy()
            np.testing.assert_allclose(actions[i, :, 0], mean, rtol=1e-4, atol=1e-6)
    algo.stop()
    said = [message for message in caplog.messages if "act one by one" in message]
    assert len(said) == (0 if together else 1) and "\n" not in "".join(said)


def test_a_restored_run_goes_on_exactly_with_tightening_too(tmp_path):
    algo = _ring(coloured=True).safety(tightening=1.0).build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    learnt = algo.train()["learners"]
    after = learner_state(algo)
    algo.stop()
    restored = type(algo).from_checkpoint(path)
    restored.train()
    assert_equal(learner_state(restored), after)
    restored.stop()
    # Nobody is charged for its own class, everybody of the second for all of the first.
    charged = [learnt[f"robot_{i}"]["kl_charged"] for i in range(6)]
    kl = [learnt[f"robot_{i}"]["mean_kl_loss"] for i in range(6)]
    first = 0 if charged[0] == 0.0 else 1
    assert charged[first::2] == [0.0] * 3
    assert charged[1 - first :: 2] == pytest.approx([sum(kl[first::2])] * 3)


# What is refused, and warned of.


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            lambda: _ring(coloured=True).training(factor_scope="all"),
            "coloured=True updates those together that no factor joins: set sequential=True and "
            "factor_scope='neighbourhood' (is 'all'), or coloured=False.",
        ),
        (
            lambda: _ring(coloured=True).training(sequential=False),
            "set sequential=True and factor_scope='neighbourhood'",
        ),
        (
            lambda: _ring(coloured=True).multi_agent(policies=["robot"]),
            "coloured=True needs a policy per agent, and policy 'robot' plays 6 agents: name one for each in "
            ".multi_agent(policies=[…]), or set coloured=False.",
        ),
    ],
    ids=["scope", "simultaneous", "shared"],
)
def test_orders_that_mean_nothing_are_refused_in_one_line(config, message):
    with pytest.raises(SafeMARLError) as error:
        config().build_algo()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_orders_that_gain_nothing_are_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(order_module, "log_once", lambda key: True)
    groups = [Group(f"p{i}", "k", np.array([i]), np.array([i]), None, None) for i in range(4)]  # type: ignore[arg-type]
    chain = np.abs(np.subtract.outer(range(4), range(4))) == 1
    with caplog.at_level(logging.WARNING, "rllib_safemarl.algorithms.constrained.order"):
        UpdateOrder(groups, True, True, chain)
        UpdateOrder(groups, True, False, None)
        assert caplog.messages == []
        UpdateOrder(groups, True, True, ~np.eye(4, dtype=bool))
        assert caplog.messages.pop().startswith("coloured=True updates 4 agents in 4 rounds, hardly fewer")
        caplog.clear()
        UpdateOrder(groups, True, True, None)
    assert caplog.messages[0].startswith(
        "coloured=True on a graph that moves: agents are updated together only"
    )


def test_a_moving_graph_is_coloured_by_all_rows_of_a_batch_together():
    config = tiny_config(n_agents=8).training(coloured=True, kappa=1)
    algo = config.multi_agent(policies=[f"robot_{i}" for i in range(8)]).build_algo()
    learner = algo.learner_group._learner
    (batch,) = algo.env_runner.sample()
    met = np.zeros((8, 8), bool)
    edges = batch.observations.edges[:-1].reshape(-1, 8, batch.observations.edges.shape[-1])
    for row in edges:
        for i in range(8):
            met[i, row[i][row[i] >= 0]] = True
    rounds = learner._order.rounds(np.random.default_rng(0), batch, learner._critic_views)
    algo.stop()
    assert 1 < len(rounds) <= 8 and sorted(np.concatenate(rounds).tolist()) == list(range(8))
    for members in rounds:
        assert not met[np.ix_(members, members)].any()
