"""Two learners are equal to each other, and to one whose losses are the mean of theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms.diffusion_cbf.rows import Rows
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.offline.stream import WindowStream
from tests.algorithms.diffusion_cbf.test_learning import config

SHIPPED = Path(__file__).parents[3] / "tuned_configs" / "offline" / "data" / "crossing.h5"
BATCHES = 6
"""Two of each stage."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty episodes of the shipped dataset, of all its splits."""
    dataset = read_dataset(SHIPPED).select(np.arange(0, 600, 10))
    return str(write_dataset(dataset, tmp_path_factory.mktemp("data") / "few.h5"))


def all_stages_of(data, learners):
    built = config(data).training(barrier_batches=2, critic_batches=2)
    built.offline_data(dataset_num_iters_per_learner=BATCHES)
    return built.evaluation(evaluation_interval=0).learners(num_learners=learners).build_algo()


def as_two(learner, portions):
    """Has one learner learn from the windows of two: the mean of their losses, with their common noise."""
    streams = [
        WindowStream(learner._source, p.order, p.learner, learner.config.horizon, learner._stream._columns)
        for p in portions
    ]
    taken = zip(*(s.take(p.position, p.count) for s, p in zip(streams, portions, strict=True)), strict=True)
    losses = learner._losses
    for parts in taken:

        def of_both(stage, planner, rows, group, parts=parts):
            noise, found = learner._generator.get_state(), []
            for part in parts:
                learner._generator.set_state(noise)
                seen = learner.window_views(part)[group.kind]
                found.append(losses(stage, planner, Rows(learner, planner, group, part, seen), group))
            return {name: (found[0][name] + found[1][name]) / 2 for name in found[0]}

        learner._losses = of_both
        learner.learn(parts[0])
    for stream in streams:
        stream.close()


@pytest.mark.learning
def test_two_learners_stay_alike_and_learn_as_one_from_both_their_windows(ray_cluster, data):
    two = all_stages_of(data, 2)
    position = two.offline_data.position
    learned = two.train()["learners"]["robot"]
    assert np.isfinite([learned[f"{name}_loss"] for name in ("q", "diffusion", "inverse", "reach")]).all()
    group = two.learner_group
    first, second = (
        result.get()
        for result in group.foreach_learner(
            lambda learner: {k: v.cpu().numpy() for k, v in learner.module["robot"].state_dict().items()}
        )
    )
    assert first.keys() == second.keys() and len(first) > 50
    different = [name for name in first if not np.array_equal(first[name], second[name])]
    assert not different, "learners differ"

    one = all_stages_of(data, 0)
    learner = one.learner_group._learner
    (portion,) = one.offline_data.sample(1)
    learner._open(portion)
    before = {name: value.clone() for name, value in learner.module["robot"].state_dict().items()}
    two.offline_data.position = position
    as_two(learner, two.offline_data.sample(BATCHES, num_shards=2))
    after = learner.module["robot"].state_dict()
    moved = 0
    for name, value in after.items():
        np.testing.assert_allclose(value.numpy(), first[name], rtol=1e-5, atol=2e-6, err_msg=name)
        moved += not torch.equal(value, before[name])
    assert moved > 50
    for each in (one, two):
        each.stop()
