"""Two learners are equal to each other, and to one that learns from both their windows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms import OfflineCUPConfig
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.offline.stream import WindowStream, join_windows
from tests.algorithms.offline_actor_critic.helpers import lab

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"
BATCHES = 4


@pytest.fixture
def data(tmp_path):
    """Twenty episodes of the shipped dataset."""
    return str(write_dataset(read_dataset(SHIPPED).select(np.arange(0, 600, 30)), tmp_path / "few.h5"))


def config(data, learners):
    """Without noise: two learners draw the same for other rows, and one draws twice as much."""
    return (
        OfflineCUPConfig()
        .offline_data(input_=data, dataset_num_iters_per_learner=BATCHES)
        .training(train_batch_size_per_learner=16, max_neighbours=3, actor="deterministic", target_noise=0.0)
        .safety(cost_limit=0.2)
        .multi_agent(policies={"robot"}, policy_mapping_fn=lambda agent, *_, **__: "robot")
        .rl_module(model_config={"fcnet_hiddens": [16]})
        .learners(num_learners=learners)
        .debugging(seed=0)
    )


def weights(learner):
    """Of everything that is learnt, by name."""
    agent = learner.agents["robot"]
    parts = {"actor": agent.policy.module, "target": agent.target.module, "critics": agent.critics}
    return {
        f"{part}.{name}": value.cpu().numpy().copy()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }


@pytest.mark.learning
def test_two_learners_stay_alike_and_learn_as_one_from_both_their_windows(ray_cluster, data):
    two = config(data, 2).build_algo()
    before = next(result.get() for result in two.learner_group.foreach_learner(weights))
    position = two.offline_data.position
    figures = two.train()["learners"]["robot"]
    first, second = (result.get() for result in two.learner_group.foreach_learner(weights))
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []
    moved = [name for name in first if not np.array_equal(first[name], before[name])]
    assert len(moved) > 20

    one = lab(config(data, 0))
    learner, agent = one.learner, one.learner.agents["robot"]
    for part, module in (("actor", agent.policy.module), ("target", agent.target.module)):
        layers = {name: torch.from_numpy(before[f"{part}.{name}"]) for name in module.state_dict()}
        module.load_state_dict(layers)
    stream = learner._open(one.data.sample(1)[0])
    two.offline_data.position = position
    portions = two.offline_data.sample(BATCHES, num_shards=2)
    streams = [WindowStream(one.data.source, p.order, p.learner, 1, stream._columns) for p in portions]
    taken = [each.take(p.position, p.count) for each, p in zip(streams, portions, strict=True)]
    for windows in zip(*taken, strict=True):
        learner.learn(join_windows(windows))
    found = {name: float(torch.stack(values).mean()) for name, values in learner._logged["robot"].items()}
    for each in streams:
        each.close()
    for name, value in weights(learner).items():
        np.testing.assert_allclose(value, first[name], rtol=1e-4, atol=2e-6, err_msg=name)
    for name in ("critic_loss", "cost_critic_loss", "actor_loss", "q_mean"):
        np.testing.assert_allclose(found[name], figures[name], rtol=1e-4, err_msg=name)
    two.stop()
