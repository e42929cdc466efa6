"""What a planner must know of its data: scales, reach, the floor of returns, and scores for β."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.diffusion_cbf.planner import MOST_SCORES, REACH_BINS, Planner
from rllib_safemarl.algorithms.diffusion_cbf.prepare import DANGER, NEXT_DANGER, PRE_DANGER
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.functional.calibration import episode_maxima
from rllib_safemarl.functional.diffusion_conditions import QuantileScale, Reach
from rllib_safemarl.functional.window_returns import discounted_returns, value_floor


def return_floor(dataset: Dataset, gamma: float, penalty: float) -> float:
    """V_min: the smallest penalised return of a state that is in no danger."""
    reward = dataset["rewards"] - penalty * dataset[NEXT_DANGER]
    cut = np.zeros(dataset.num_rows, bool)
    cut[dataset.offsets[1:] - 1] = True
    return value_floor(discounted_returns(reward, cut, gamma), ~dataset[DANGER])


@torch.no_grad()
def fit_normaliser(planner: Planner, views: Tensor) -> None:
    """Means and deviations of own features, and of slots that are taken, alike for all slots.

    Flags stay as they are. Typical steps for inverse dynamics and the one-step model come along.

    Args:
        planner: whose.
        views: ``[M, H + 1, V]`` raw.
    """
    sets, layout = planner.layout.sets, planner.layout
    own, slots = sets.split(views)
    mask = layout.mask(views)
    mean, deviation = [own.flatten(0, -2).mean(0)], [own.flatten(0, -2).std(0)]
    if layout.slots:
        taken = slots[mask]
        centre, spread = taken.mean(0), taken.std(0)
        centre[layout.present :], spread[layout.present :] = 0.0, 1.0
        mean += [centre] * layout.slots
        deviation += [spread] * layout.slots
    planner.mean.copy_(torch.cat(mean))
    planner.deviation.copy_(torch.cat(deviation).clamp_min(1e-3))
    x, mask = planner.state(views)
    own, slots = sets.split(x)
    step = (own[:, 1] - own[:, 0]).std(0)
    slot_step = torch.zeros(sets.slot_size)
    if layout.slots:
        slot_step = (slots[:, 1] - slots[:, 0])[mask[:, 0] & mask[:, 1]].std(0)
    planner.inverse.set_change_scale(step)
    planner.model.set_change_scale(step, slot_step)


@torch.no_grad()
def fit_conditions(planner: Planner, present: Tensor, barrier: Tensor, returns: Tensor) -> None:
    """Scale y by the data's quantiles, and see what windows reach from a present barrier.

    Args:
        planner: whose.
        present: ``[W]`` h of windows' first moments.
        barrier: ``[W]`` their least h.
        returns: ``[W]`` their returns.
    """
    for entry, values in enumerate((barrier, returns)):
        scale = QuantileScale.of_data(values.numpy())
        planner.low[entry], planner.high[entry] = scale.low, scale.high
    planner.barrier_quantiles.copy_(torch.quantile(barrier, torch.linspace(0.0, 1.0, 101)))
    reach = Reach.of_data(present.numpy(), barrier.numpy(), bins=REACH_BINS)
    points = torch.linspace(float(reach.present[0]), float(reach.present[-1]) + 1e-6, REACH_BINS)
    planner.reach_present.copy_(points)
    planner.reach_value.copy_(torch.from_numpy(np.interp(points.numpy(), reach.present, reach.reached)))


@torch.no_grad()
def fit_scores(planner: Planner, views: np.ndarray, agents: np.ndarray, dataset: Dataset) -> None:
    """Scores of the dangerous episodes of the calibration split, see :func:`miss_offset`.

    Args:
        planner: whose.
        views: ``[R, G, V]`` of its agents in every row.
        agents: ``[G]`` their indices.
        dataset: the calibration split, labelled.
    """
    h = torch.cat(
        [planner.barrier(*planner.state(part)) for part in torch.from_numpy(views).split(8192)]
    ).numpy()
    scores = episode_maxima(h, dataset[PRE_DANGER][:, agents], dataset.offsets)
    dangerous = np.sort(scores[scores > -math.inf])[:MOST_SCORES]
    planner.scores.fill_(-math.inf)
    planner.scores[: len(dangerous)] = torch.from_numpy(dangerous)


def calibration_data(config: Any) -> Dataset:
    """The calibration split of the config's dataset, labelled."""
    from rllib_safemarl.offline.source import open_source

    source = open_source(config.input_, "calibration", math.inf, config.horizon, config.preparation())
    assert source.dataset is not None
    return source.dataset
