"""What a planner must know of its data: scales, the floor of returns, and scores for β."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.diffusion_cbf.prepare import DANGER, INITIAL, NEXT_DANGER, PRE_DANGER
from rllib_safemarl.algorithms.diffusion_cbf.rows import Rows
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.calibration import episode_maxima, precision_thresholds
from rllib_safemarl.functional.plan_windows import change_scales
from rllib_safemarl.functional.window_returns import discounted_returns, value_floor
from rllib_safemarl.offline.source import ALL, open_source
from rllib_safemarl.policies.layouts import StateLayout
from rllib_safemarl.policies.planner import MOST_SCORES, Planner

logger = logging.getLogger(__name__)

FORESIGHT = "calibration/auroc_pre_danger"
LEAST_FORESIGHT = 0.75
"""AUC before danger from which on a barrier is worth planning by; chance is 0.5."""


def return_floor(dataset: Dataset, gamma: float, penalty: float) -> float:
    """V_min: less, by one penalty, than the smallest return of a state after which no danger comes.

    Returns that pass through danger are lower still, but they are none of the safe set's; with the least of
    them as the floor, V of every state near the border would be about nothing else.
    """
    cut = np.zeros(dataset.num_rows, bool)
    cut[dataset.offsets[1:] - 1] = True
    danger = dataset[DANGER] | dataset[NEXT_DANGER]
    clean = discounted_returns(danger.astype(np.float64), cut, 1.0) == 0.0
    return value_floor(discounted_returns(dataset["rewards"], cut, gamma), clean) - penalty


@torch.no_grad()
def fit_normaliser(planner: Planner, views: Tensor) -> None:
    """Means and deviations of own features, and of slots that are taken, alike for all slots.

    Flags stay as they are.

    Args:
        planner: whose.
        views: ``[M, H + 1, V]`` raw.
    """
    sets, layout = planner.layout.sets, planner.layout
    own, slots = sets.split(views)
    mean, deviation = [own.flatten(0, -2).mean(0)], [own.flatten(0, -2).std(0)]
    if layout.slots:
        taken = slots[layout.mask(views)]
        if not len(taken):
            raise SafeMARLError("no agent ever has a neighbour in the dataset: set kappa: 0.")
        centre, spread = taken.mean(0), taken.std(0)
        centre[layout.present :], spread[layout.present :] = 0.0, 1.0
        mean += [centre] * layout.slots
        deviation += [spread] * layout.slots
    planner.mean.copy_(torch.cat(mean))
    planner.deviation.copy_(torch.cat(deviation).clamp_min(1e-3))


@torch.no_grad()
def fit_changes(planner: Planner, rows: Rows) -> None:
    """Typical changes: of plans from the present, and of one step for inverse dynamics and the model."""
    sets, layout = planner.layout.sets, planner.layout
    own, slots = sets.split(rows.x)
    planner.plan_scales.copy_(_alike(change_scales(rows.x, rows.plan_counted), planner.layout))
    step = (own[:, 1] - own[:, 0]).std(0)
    slot_step = torch.zeros(sets.slot_size, device=step.device)
    if layout.slots:
        slot_step = (slots[:, 1] - slots[:, 0])[rows.mask].std(0)
    planner.inverse.set_change_scale(step)
    planner.model.set_change_scale(step, slot_step)


def _alike(scales: Tensor, layout: StateLayout) -> Tensor:
    """Scales ``[H + 1, V]`` that do not tell slots apart."""
    own, slots = layout.sets.split(scales)
    return layout.sets.join(own, slots.square().mean(-2, keepdim=True).sqrt().expand_as(slots))


@dataclass(frozen=True)
class Labelled:
    """A split seen by one policy's agents.

    Attributes:
        views: ``[R, G, V]`` raw, of every row.
        agents: ``[G]`` their indices.
        dataset: labelled.
    """

    views: np.ndarray
    agents: np.ndarray
    dataset: Dataset

    @torch.no_grad()
    def barrier(self, planner: Planner) -> np.ndarray:
        """H of every row and agent ``[R, G]``."""
        parts = torch.from_numpy(self.views).to(planner.mean.device).split(8192)
        return torch.cat([planner.barrier(*planner.state(part)) for part in parts]).cpu().numpy()

    def label(self, name: str) -> np.ndarray:
        """A label ``[R, G]``."""
        return self.dataset[name][:, self.agents]

    def scores(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Largest h of every episode over pre-danger states, over safe ones, and over unsafe ones."""
        pre = self.label(PRE_DANGER)
        counted = (pre, self.label(INITIAL), pre | self.label(DANGER))
        pre_scores, safe, unsafe = (episode_maxima(h, each, self.dataset.offsets) for each in counted)
        return pre_scores, safe, unsafe


def dangerous_episodes(dataset: Dataset, agents: np.ndarray) -> int:
    """Number of a labelled dataset's episodes with a pre-danger state of one of these agents."""
    pre = dataset[PRE_DANGER][:, agents].any(1)
    return int(np.logical_or.reduceat(pre, dataset.offsets[:-1]).sum())


@torch.no_grad()
def calibrate(planner: Planner, calibration: Labelled, selection: Labelled) -> dict[str, float]:
    """Store what δ(β) is computed from, for any β and in both modes.

    Args:
        planner: whose.
        calibration: the calibration split.
        selection: from which the precision mode takes its thresholds.

    Returns:
        What to report: δ, and how well the barrier tells held-out states apart.
    """
    settings = planner.settings
    h = calibration.barrier(planner)
    pre, safe, unsafe = calibration.scores(h)
    _, others_safe, others_unsafe = selection.scores(selection.barrier(planner))
    thresholds = precision_thresholds(
        others_safe, others_unsafe, settings["beta"], settings["beta_confidence"]
    )
    planner.scores.fill_(-math.inf)
    for row, values in enumerate((pre, safe, unsafe, thresholds)):
        kept = np.asarray(values, np.float32)[:MOST_SCORES]
        planner.scores[row, : len(kept)] = torch.from_numpy(kept)
    initial, danger, before = (calibration.label(name) for name in (INITIAL, DANGER, PRE_DANGER))
    return {
        "calibration/offset": planner.offset,
        "calibration/dangerous_episodes": float((pre > -math.inf).sum()),
        "calibration/accepted_share": float((h >= planner.offset).mean()),
        "calibration/auroc_danger": auroc(h[initial], h[danger]),
        FORESIGHT: auroc(h[initial], h[before]),
    }


def warn_of_blindness(policy: str, facts: Mapping[str, float], horizon: int) -> None:
    """Say that a barrier does not see danger coming, as all that a planner does for safety rests on it.

    Args:
        policy: whose barrier.
        facts: what `calibrate` reports.
        horizon: ``danger_horizon``, in steps.
    """
    if facts[FORESIGHT] < LEAST_FORESIGHT:
        logger.warning(
            "%s: the barrier hardly tells safe states from those with danger within danger_horizon=%d steps "
            "(AUC %.2f on held-out episodes, 0.5 is chance), so that plans cannot be kept safe by it. Try "
            "another danger_horizon, more or fewer barrier_batches, or data with more danger.",
            policy,
            horizon,
            facts[FORESIGHT],
        )


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive score exceeds a negative one, ties counting half; NaN without either."""
    if not len(positive) or not len(negative):
        return math.nan
    ordered = np.sort(negative)
    below, not_above = (np.searchsorted(ordered, positive, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(negative)))


def held_out(config: Any, split: str) -> Dataset:
    """A split of the config's dataset, labelled.

    Raises:
        SafeMARLError: the dataset is split, but not so.
    """
    source = open_source(config.input_, ALL, math.inf, config.horizon, config.preparation(split))
    assert source.dataset is not None
    return source.dataset
