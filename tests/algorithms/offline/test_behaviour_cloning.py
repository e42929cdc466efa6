"""Behaviour cloning against maximum likelihood in closed form, and what it says no to."""

import math

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm import Algorithm

from rllib_safemarl import load_policy
from rllib_safemarl.algorithms import MABCConfig, MABCSafeConfig
from rllib_safemarl.data import ActionSchema, KindSchema, Schema, make_dataset, write_dataset
from rllib_safemarl.errors import SafeMARLError

EPISODES, STEPS = 40, 20


def dataset(action, draw, cost_of_episode=lambda e: 0.0):
    """Two agents that always see 1 and act by ``draw(episode [R], agent, generator)``."""
    generator = np.random.default_rng(3)
    rows = EPISODES * STEPS
    episode = np.repeat(np.arange(EPISODES), STEPS)
    kind = KindSchema("robot", (0, 1), 1, action)
    actions = np.stack([draw(episode, agent, generator) for agent in range(2)], 1)
    columns = {
        "observations": np.ones((rows, 2, 1)),
        "actions": actions,
        "rewards": np.zeros((rows, 2)),
        "costs": np.array([cost_of_episode(e) for e in episode])[:, None, None].repeat(2, 1),
        "terminals": np.zeros((rows, 2), bool),
        "timeouts": np.arange(rows) % STEPS == STEPS - 1,
    }
    last = {"final/observations": np.ones((EPISODES, 2, 1))}
    offsets = np.arange(EPISODES + 1) * STEPS
    return make_dataset(Schema(("a", "b"), (kind,), ("danger",)), columns, offsets, last)


def config_of(data, folder, config=MABCConfig, **training):
    path = write_dataset(data, folder / "data.h5")
    settings = {"lr": 0.02, "kappa": 0, "train_batch_size_per_learner": 400, **training}
    return (
        config()
        .offline_data(input_=str(path), dataset_num_iters_per_learner=150)
        .training(**settings)
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .debugging(seed=0)
    )


def losses(algorithm, iterations=2):
    for _ in range(iterations):
        results = algorithm.train()["learners"]
    return {name: float(results[name]["total_loss"]) for name in ("a", "b")}


@pytest.fixture
def built(ray_cluster):
    """Builds algorithms and stops them."""
    algorithms = []

    def build(config):
        algorithms.append(config.build_algo())
        return algorithms[-1]

    yield build
    for algorithm in algorithms:
        algorithm.stop()


def act(algorithm, folder):
    path = algorithm.save_to_path(str(folder / "checkpoint"))
    return load_policy(path).act({"a": np.ones(1, np.float32), "b": np.ones(1, np.float32)})


def test_gaussian_policies_end_at_mean_and_deviation_of_the_data(built, tmp_path):
    data = dataset(
        ActionSchema.box([-2.0], [4.0]),
        lambda episode, agent, g: g.normal(1.0 + agent, 0.3 + 0.3 * agent, (len(episode), 1)).clip(-2, 4),
    )
    algorithm = built(config_of(data, tmp_path))
    found = losses(algorithm)
    actions = act(algorithm, tmp_path)
    for row, agent in enumerate(("a", "b")):
        recorded = data["actions"][:, row, 0]
        # The policy acts in [-1, 1], which is stretched to the bounds: densities are per unit of that.
        entropy = 0.5 * math.log(2 * math.pi * math.e * (recorded.std() / 3.0) ** 2)
        assert found[agent] == pytest.approx(entropy, abs=0.02)
        assert actions[agent][0] == pytest.approx(recorded.mean(), abs=0.05)


def test_categorical_policies_end_at_the_frequencies_of_the_data(built, tmp_path):
    data = dataset(
        ActionSchema.discrete(3),
        lambda episode, agent, g: g.choice(3, len(episode), p=[0.2, 0.1 + agent / 10, 0.7 - agent / 10]),
    )
    algorithm = built(config_of(data, tmp_path))
    found = losses(algorithm)
    for row, agent in enumerate(("a", "b")):
        shares = np.bincount(data["actions"][:, row], minlength=3) / data.num_rows
        assert found[agent] == pytest.approx(-(shares * np.log(shares)).sum(), abs=0.01)
    assert act(algorithm, tmp_path) == {"a": 2, "b": 2}


def two_behaviours(folder, limit, **training):
    """Even episodes cost 0 and act +0.5, odd ones cost 20 and act -0.5."""
    data = dataset(
        ActionSchema.box([-1.0], [1.0]),
        lambda episode, agent, g: (
            np.where(episode % 2, -0.5, 0.5)[:, None] + g.normal(0, 0.05, (len(episode), 1))
        ),
        lambda episode: float(episode % 2),
    )
    return config_of(data, folder, MABCSafeConfig, **training).safety(cost_limit=limit)


@pytest.mark.parametrize(("limit", "expected"), [(19.0, 0.5), (20.0, 0.0)])
def test_safe_cloning_learns_from_episodes_within_the_limit(built, tmp_path, limit, expected):
    algorithm = built(two_behaviours(tmp_path, limit))
    losses(algorithm)
    assert act(algorithm, tmp_path)["a"][0] == pytest.approx(expected, abs=0.08)


def test_a_restored_run_goes_on_bit_for_bit_without_env_runners(built, tmp_path):
    algorithm = built(two_behaviours(tmp_path, 20.0, train_batch_size_per_learner=64))
    algorithm.train()
    path = algorithm.save_to_path(str(tmp_path / "middle"))
    uninterrupted = [losses(algorithm, 1) for _ in range(2)]
    for restored in (built(two_behaviours(tmp_path, 20.0, train_batch_size_per_learner=64)), None):
        if restored is None:
            restored = Algorithm.from_checkpoint(path)
        else:
            restored.restore_from_path(path)
        assert [losses(restored, 1) for _ in range(2)] == uninterrupted
    restored.stop()


def test_two_learners_share_the_windows_and_learn_as_one(built, tmp_path):
    algorithm = built(
        two_behaviours(tmp_path, 19.0, train_batch_size_per_learner=100).learners(num_learners=2)
    )
    losses(algorithm)
    assert act(algorithm, tmp_path)["b"][0] == pytest.approx(0.5, abs=0.08)
    trained = algorithm.train()["learners"]["__all_modules__"]["num_env_steps_trained_lifetime"]
    assert trained == 3 * 150 * 2 * 100


def test_what_does_not_fit_is_refused_in_one_line(ray_cluster, tmp_path):
    config = two_behaviours(tmp_path, 20.0)
    for change, message in [
        (lambda c: c.training(kappa=1), "κ|kappa|hops"),
        (lambda c: c.safety(cost_limit=None), r"MABC_SAFE needs a limit .*undiscounted"),
        (lambda c: c.safety(cost_limit={"dager": 1.0}), "names 'dager'.*Did you mean 'danger'"),
        (lambda c: c.env_runners(num_env_runners=2), "nothing is sampled in training"),
        (lambda c: c.offline_data(input_=str(tmp_path / "gone.h5")), r"no dataset .*gone\.h5"),
        (lambda c: c.offline_data(data_split="trian"), "data_split='trian' does not fit"),
        (lambda c: c.offline_data(data_split="calibration"), "not split yet"),
        (lambda c: c.training(train_batch_size_per_learner=10**6), "too few for one batch"),
    ]:
        changed = config.copy(copy_frozen=False)
        with pytest.raises(SafeMARLError, match=message) as caught:
            change(changed)
            changed.build_algo()
        assert "\n" not in str(caught.value)
