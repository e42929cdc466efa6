"""Recurrent policies: what they acted on is what they learn from, and a memory is worth having."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

import tests.algorithms.cue  # noqa: F401 - registers the environment
from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.algorithms.constrained.policy_data import policy_data
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.frames import episode_moments
from rllib_safemarl.evaluation.rollouts import evaluate_runner
from rllib_safemarl.evaluation.trained import TrainedTeam
from rllib_safemarl.functional.sequences import map_leaves
from rllib_safemarl.policies import load_policy, save_policy
from rllib_safemarl.rollout.columns import join_copies
from tests.algorithms.helpers import assert_equal, learner_state
from tests.algorithms.modules import OwnMemory

pytestmark = pytest.mark.usefixtures("ray_cluster")

LSTM = {"fcnet_hiddens": [16], "use_lstm": True, "lstm_cell_size": 16, "max_seq_len": 4}


def _cue_config(model=LSTM, name="IPPO", **env_config):
    return (
        ALGORITHMS[name]
        .get_default_config()
        .environment("toy/cue", env_config=env_config)
        .env_runners(num_envs_per_env_runner=6)
        .training(train_batch_size=6 * 17, minibatch_size=30, num_epochs=2)
        .rl_module(model_config=model)
        .debugging(seed=1)
    )


def _own_config(**env_config):
    spec = RLModuleSpec(module_class=OwnMemory, model_config={"max_seq_len": 4})
    config = _cue_config(**env_config).rl_module(rl_module_spec=spec)
    return config.multi_agent(policies={"all"}, policy_mapping_fn=lambda agent, *_, **__: "all")


def _data(algo, batch, policy):
    learner = algo.learner_group._learner
    now = batch.observations[:-1]
    views = learner._policy_views(now.values, now.alive, now.positions, now.edges)
    trained = learner._policies[policy]
    return trained, policy_data(trained, batch, trained.group.pick(views[trained.group.kind]))


@pytest.fixture(scope="module", params=["lstm", "own"])
def sampled(request):
    """An algorithm and two batches that follow each other: 17 steps, episodes of 5 to 7, an absentee."""
    make = {"lstm": _cue_config, "own": _own_config}[request.param]
    algo = make(uneven=True, leaves=True).build_algo()
    yield algo, [algo.env_runner.sample()[0] for _ in range(2)]
    algo.stop()


def test_what_learners_unroll_is_what_the_runner_acted_by(sampled):
    algo, batches = sampled
    for batch in batches:
        for policy, columns in batch.groups.items():
            trained, data = _data(algo, batch, policy)
            with torch.no_grad():
                inputs = data.new_inputs(trained)
            np.testing.assert_allclose(inputs.reshape(columns.inputs.shape), columns.inputs, atol=1e-6)
            log_prob = trained.distribution.log_prob(inputs, data.actions.flatten(0, 1))
            np.testing.assert_allclose(log_prob, data.log_prob.flatten(), atol=1e-6)


def test_the_runner_steps_the_module_through_every_episode_of_its_own(sampled):
    algo, batches = sampled
    whole = {
        policy: np.concatenate([batch.groups[policy].inputs for batch in batches])
        for policy in batches[0].groups
    }
    seen = np.concatenate([batch.observations.values["agent"][:-1] for batch in batches])
    ended = np.concatenate([batch.ended for batch in batches])
    for group in algo.env_runner.groups:
        module = algo.env_runner.module[group.policy]
        start = map_leaves(lambda leaf: torch.as_tensor(leaf)[None], module.get_initial_state())
        for copy in range(6):
            for place, agent in enumerate(group.agents):
                state = start
                for t in range(len(ended)):
                    shown = torch.from_numpy(seen[t, copy, agent])[None, None]
                    with torch.no_grad():
                        out = module.forward_inference({Columns.OBS: shown, Columns.STATE_IN: state})
                    expected = out[Columns.ACTION_DIST_INPUTS][0, 0]
                    np.testing.assert_allclose(whole[group.policy][t, copy, place], expected, atol=1e-6)
                    state = start if ended[t, copy] else out[Columns.STATE_OUT]


def test_minibatches_hold_whole_sequences_and_their_own_rows(sampled):
    algo, (_, batch) = sampled
    policy = next(iter(batch.groups))
    trained, data = _data(algo, batch, policy)
    acting = data.mask.sum(1).numpy()
    found = list(data.parts((0, 1), batch.copy_ids, 5, acting))
    assert len(found) == 5
    rows = np.concatenate([part.rows.numpy() for part, _ in found])
    assert sorted(rows) == list(range(17 * 6))
    with torch.no_grad():
        whole = data.new_inputs(trained).unflatten(0, data.mask.shape)
        for part, count in found:
            expected = whole[part.rows].flatten(0, 1)
            np.testing.assert_allclose(data.new_inputs(trained, part), expected, atol=1e-6)
            assert count == acting[part.rows.numpy()].sum()
    nothing = data.new_inputs(trained, found[0][0]._replace(sequences=torch.zeros(0, dtype=torch.long)))
    nothing.sum().backward()
    assert nothing.shape[0] == 0
    assert all(p.grad is None or not p.grad.any() for p in trained.parameters)


def test_learners_that_share_the_copies_unroll_the_same(sampled):
    algo, (_, batch) = sampled
    shards = batch.shards(2)
    again = join_copies(shards)
    for policy in batch.groups:
        assert_equal(again.groups[policy].states.values, batch.groups[policy].states.values)
        trained, whole = _data(algo, batch, policy)
        with torch.no_grad():
            inputs = whole.new_inputs(trained).unflatten(0, (17, 6, -1))
            for shard, copies in zip(shards, (slice(0, 3), slice(3, 6)), strict=True):
                _, data = _data(algo, shard, policy)
                mine = data.new_inputs(trained).unflatten(0, (17, 3, -1))
                np.testing.assert_allclose(mine, inputs[:, copies], atol=1e-6)


@pytest.mark.parametrize("name", ["IPPO", "MACPO"])
def test_restored_run_equals_the_uninterrupted_one_bit_for_bit(name, tmp_path):
    # 17 steps per iteration and 5 to 7 per episode: the checkpoint falls into the middle of episodes.
    config = _cue_config(uneven=True, name=name)
    if name == "MACPO":
        config.safety(multiplier="none")
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    algo.train()
    after, (following,) = learner_state(algo), algo.env_runner.sample()
    algo.stop()
    restored = type(algo).from_checkpoint(path)
    restored.train()
    assert_equal(learner_state(restored), after)
    (again,) = restored.env_runner.sample()
    for policy, columns in following.groups.items():
        assert_equal(again.groups[policy].inputs, columns.inputs)
        assert_equal(again.groups[policy].states.values, columns.states.values)
    restored.stop()


def test_rounds_of_several_recurrent_policies_are_updated_one_by_one():
    states = []
    for coloured in (False, True):
        config = _cue_config(name="SCAL_MAPPO_L").environment(agent_graph="complete")
        algo = config.training(kappa=0, coloured=coloured).safety(multiplier="none").build_algo()
        algo.train()
        states.append(learner_state(algo))
        algo.stop()
    assert_equal(*states)


def test_a_cue_is_remembered_by_a_recurrent_policy_alone(tmp_path):
    returns = {}
    for use_lstm in (False, True):
        model = {"fcnet_hiddens": [16], "use_lstm": use_lstm, "lstm_cell_size": 16}
        config = _cue_config(model).training(
            train_batch_size=16 * 50, minibatch_size=200, num_epochs=6, lr=1e-2, critic_lr=1e-2, gamma=0.99
        )
        config.env_runners(num_envs_per_env_runner=16)
        config.multi_agent(policies={"all"}, policy_mapping_fn=lambda agent, *_, **__: "all")
        algo = config.build_algo()
        for _ in range(12):
            returns[use_lstm] = algo.train()["env_runners"]["episode_team_return_mean"]
            if returns[use_lstm] > 0.99:
                break
        path = algo.save_to_path(str(tmp_path / str(use_lstm)))
        algo.stop()
    # Half of all guesses are right, whatever is learned without a memory.
    assert abs(returns[False]) < 0.3
    assert returns[True] > 0.95
    _acts_alike_elsewhere(path)


def _acts_alike_elsewhere(path):
    """Evaluations from the checkpoint remember within an episode, and nothing beyond its end."""
    changes = {"explore": False, "seed": 5, "num_envs_per_env_runner": 3}
    trained = TrainedTeam.read(Path(path))
    runner = trained.runner(changes, 12)
    assert evaluate_runner(runner, 12).team_return == 1.0
    runner.stop()
    runner = trained.runner({**changes, "num_envs_per_env_runner": 1}, 1)
    runner.begin(0)
    chosen = []

    def act(now, active):
        chosen.append(runner.act(now, active, False)["agent"][0])
        return {"agent": chosen[-1][None]}

    shown = [now.values["agent"][0] for now in episode_moments(runner.env, act, 3, 8, runner.restart)]
    cues, answers = np.array(shown)[::5, :, 0], np.array(chosen)[4::5]
    np.testing.assert_array_equal(2 * answers - 1, cues)
    runner.stop()


def test_recurrent_policy_files_act_as_the_evaluation_did(tmp_path):
    config = _cue_config({**LSTM, "fcnet_hiddens": [16, 8]}, uneven=True, leaves=True)
    algo = config.build_algo()
    algo.train()
    path = algo.save_to_path(str(tmp_path / "checkpoint"))
    algo.stop()
    runner = TrainedTeam.read(Path(path)).runner({"explore": False, "seed": 5}, 12)
    _, batches = runner.run_episodes(12, explore=False)
    runner.stop()
    policy = load_policy(path)
    for _ in range(2):
        policy.restart()
        for batch in batches:
            for t in range(batch.steps):
                now = batch.observations[t]
                ours = policy.act_columns(now.values, now.alive, now.positions, now.edges)["agent"]
                chosen = [batch.groups[name].actions[t] for name in policy.policies]
                np.testing.assert_array_equal(ours, np.concatenate(chosen, 1))
                policy.restart(np.flatnonzero(batch.ended[t]))
    assert any(batch.ended[:-1].any() for batch in batches)


def test_damaged_recurrent_policy_files_are_refused(tmp_path):
    algo = _cue_config().build_algo()
    folder = save_policy(algo.team_policy(), tmp_path / "policy")
    with pytest.raises(SafeMARLError, match="policy 'left' is a LSTMPolicy, and only feed-forward networks"):
        save_policy(algo.team_policy(), tmp_path / "onnx", onnx=True)
    algo.stop()
    description = json.loads((folder / "policy.json").read_text())
    for key, value in (("layers", 10**9), ("layers", 2), ("after", []), ("before", ["tanh"] * 2)):
        changed = json.loads(json.dumps(description))
        changed["networks"]["left"][key] = value
        (folder / "policy.json").write_text(json.dumps(changed))
        with pytest.raises(SafeMARLError, match=r"the policy.s description is damaged|has 0 outputs"):
            load_policy(folder)


def test_users_own_recurrent_modules_are_no_policy_files():
    algo = _own_config().build_algo()
    with pytest.raises(SafeMARLError) as error:
        algo.team_policy()
    algo.stop()
    assert str(error.value) == (
        "policy 'all' is a OwnMemory; only MLPs of the default RLModule, those of use_lstm, and our own "
        "planners become policy files. It acts from the checkpoint, as in rllib evaluate."
    )


class Forgetful(OwnMemory):
    def _forward(self, batch, **kwargs):
        out = super()._forward(batch, **kwargs)
        return {Columns.ACTION_DIST_INPUTS: out[Columns.ACTION_DIST_INPUTS]}


class Timeless(OwnMemory):
    def _forward(self, batch, **kwargs):
        out = super()._forward(batch, **kwargs)
        return {**out, Columns.ACTION_DIST_INPUTS: out[Columns.ACTION_DIST_INPUTS][:, -1]}


class Swelling(OwnMemory):
    def _forward(self, batch, **kwargs):
        out = super()._forward(batch, **kwargs)
        h, count = out[Columns.STATE_OUT]["memory"]
        return {**out, Columns.STATE_OUT: {"memory": (torch.cat([h, h], -1), count)}}


@pytest.mark.parametrize(
    ("module", "model", "message"),
    [
        (
            Forgetful,
            {},
            "and returned ['action_dist_inputs']; a recurrent module must also return 'state_out'.",
        ),
        (
            Timeless,
            {},
            "returned 'action_dist_inputs' of shape (2, 2) for 2 rows of one step; a recurrent module",
        ),
        (Swelling, {}, "returned a state of shape (32,) per row where its initial state has (16,)."),
        (OwnMemory, {"max_seq_len": 0}, "model_config max_seq_len=0 of policy 'left' must be a whole number"),
    ],
)
def test_modules_that_break_the_state_api_are_told_how(module, model, message):
    config = _cue_config().rl_module(rl_module_spec=RLModuleSpec(module_class=module, model_config=model))
    with pytest.raises(SafeMARLError) as error:
        config.build_algo()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_learns_from_datasets_refuses_recurrent_networks():
    config = ALGORITHMS["MABC"].get_default_config().rl_module(model_config={"use_lstm": True})
    config.offline_data(input_=["crossing.h5"])
    with pytest.raises(SafeMARLError, match="use_lstm=True has no meaning here: what learns from datasets"):
        config.validate()
