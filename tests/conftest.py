"""Fixtures shared by all tests."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_cluster():
    """One small Ray cluster for all tests that need one."""
    import ray

    # An address of its own: what other tests, or people, run or left behind on this machine is none of ours.
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


@pytest.fixture
def forgotten_names():
    """Ray knows none of our names, as after a session of Ray that has ended in this process."""
    from ray.tune.registry import ENV_CREATOR, TRAINABLE_CLASS, _global_registry

    import rllib_safemarl
    from rllib_safemarl.algorithms import ALGORITHMS
    from rllib_safemarl.envs.registry import ENVIRONMENTS

    rllib_safemarl.register()
    for name in ALGORITHMS:
        _global_registry.unregister(TRAINABLE_CLASS, name)
    for name in ENVIRONMENTS:
        _global_registry.unregister(ENV_CREATOR, name)
    assert not _global_registry.contains(ENV_CREATOR, "safemarl/crossing")
    yield
    rllib_safemarl.register()
