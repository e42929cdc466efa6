"""Small configs and comparisons for tests of algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from rllib_safemarl.algorithms import ALGORITHMS


def tiny_config(name: str = "SCAL_MAPPO_L", **env_config: Any):
    """A config that trains an iteration in a fraction of a second."""
    config = (
        ALGORITHMS[name]
        .get_default_config()
        .environment("safemarl/crossing", env_config=env_config)
        .env_runners(num_envs_per_env_runner=4)
        .training(train_batch_size=4 * 30, minibatch_size=60, num_epochs=2, lr=1e-3)
        .rl_module(model_config={"fcnet_hiddens": [16, 16]})
        .debugging(seed=3)
    )
    if config.multiplier != "none":
        config.safety(cost_limit=0.1, multiplier_lr=0.5)
    return config


def flat(tree: Any, path: str = "") -> dict[str, np.ndarray]:
    """Every array and number of nested dicts and lists, by path."""
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    else:
        return {path: np.asarray(tree)}
    return {k: v for key, value in items for k, v in flat(value, f"{path}/{key}").items()}


def assert_equal(first: Any, second: Any) -> None:
    """Every number of two nested structures is equal bit for bit."""
    a, b = flat(first), flat(second)
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def learner_state(algo) -> dict[str, Any]:
    """Weights, optimisers and our own state of the local learner."""
    return learner_state_of(algo, "constrained")


def learner_state_of(algo, ours: str) -> dict[str, Any]:
    """The same of any algorithm; ``ours`` is the key of its own state."""
    state = algo.learner_group._learner.get_state()
    return {key: state[key] for key in ("rl_module", "optimizer", ours)}
