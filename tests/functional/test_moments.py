"""Running moments and gradient clipping against NumPy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rllib_safemarl.functional.gradients import clip_gradients, clip_stacked_gradients
from rllib_safemarl.functional.moments import RunningMoments


def _take_in(moments, values):
    moments.update(values.sum(1), (values**2).sum(1), np.full(len(values), values.shape[1], float))


def test_moments_of_several_batches_are_those_of_all_values():
    rng = np.random.default_rng(0)
    batches = [rng.normal(k, 1 + k, (2, 50 * (k + 1))) for k in range(3)]
    moments = RunningMoments(2)
    for batch in batches:
        _take_in(moments, batch)
    everything = np.concatenate(batches, 1)
    assert moments.mean == pytest.approx(everything.mean(1))
    assert moments.variance == pytest.approx(everything.var(1))


def test_moments_forget_beyond_their_horizon():
    moments = RunningMoments(1, horizon=100)
    for _ in range(20):
        _take_in(moments, np.zeros((1, 100)))
    for _ in range(20):
        _take_in(moments, np.full((1, 100), 7.0))
    assert moments.mean == pytest.approx([7.0], abs=1e-4)


def test_an_empty_batch_changes_nothing():
    moments = RunningMoments(1)
    _take_in(moments, np.array([[1.0, 3.0]]))
    moments.update(np.zeros(1), np.zeros(1), np.zeros(1))
    assert moments.mean == [2.0] and moments.variance == [1.0]


def _parameters(*gradients):
    made = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros_like(gradient))
        parameter.grad = gradient.clone()
        made.append(parameter)
    return made


@pytest.mark.parametrize("by", ["value", "norm", "global_norm"])
def test_stacked_clipping_clips_each_member_as_if_it_stood_alone(by):
    weights, biases = torch.randn(3, 4, 5), torch.randn(3, 1, 5)
    stacked = _parameters(weights, biases)
    clip_stacked_gradients(stacked, 0.5, by)
    for member in range(3):
        alone = _parameters(weights[member], biases[member])
        clip_gradients(alone, 0.5, by)
        for a, b in zip(stacked, alone, strict=True):
            torch.testing.assert_close(a.grad[member], b.grad, rtol=1e-4, atol=1e-6)
