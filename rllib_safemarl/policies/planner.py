"""The planner: the networks of DIFFUSION_CBF, and what it must know of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rllib_safemarl.functional.calibration import (
    check_dangerous_episodes,
    miss_offset,
    precision_offset,
)
from rllib_safemarl.functional.diffusion_conditions import RANK_POINTS, to_ranks
from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_schedules import noise_schedule
from rllib_safemarl.nn.barrier_networks import BarrierNetwork, OneStepModel
from rllib_safemarl.nn.denoisers import make_denoiser
from rllib_safemarl.nn.inverse_dynamics import InverseDynamics
from rllib_safemarl.nn.set_encoder import SetEncoder
from rllib_safemarl.nn.value_networks import TwinQNetwork, ValueNetwork
from rllib_safemarl.policies.acting_network import ActingNetwork
from rllib_safemarl.policies.layouts import ActionLayout, StateLayout

CONDITIONS = ("barrier", "return")
"""Entries of y: least h of a window's moments to come, and the window's return."""
MOST_SCORES = 4096
"""Episodes of the calibration split that are kept at most, and thresholds of the precision mode."""
LARGEST_OFFSET = 2.0
"""δ where β asks for more than the calibration split can tell: h, within ±1, is negative everywhere."""


class Planner(ActingNetwork):
    """Plans of one agent from its own view; shared by all agents of a policy.

    Args:
        layout: of the states.
        action: of the actions.
        settings: of ``DIFFUSION_CBF_SETTINGS``.
        hiddens: of barrier and critics.
    """

    training_only = ("value", "target_q", "denoiser")
    plan_scales: Tensor
    rate: Tensor
    ranks: Tensor
    scores: Tensor

    def __init__(
        self, layout: StateLayout, action: ActionLayout, settings: Mapping[str, Any], hiddens: Sequence[int]
    ) -> None:
        super().__init__(layout, action, settings, hiddens)
        sets, own = layout.sets, layout.sets.own_size
        self.barrier = BarrierNetwork(
            sets, self.hiddens, settings["barrier_pooling"], settings["barrier_ignores"]
        )
        self.value = ValueNetwork(sets, self.hiddens)
        self.q, self.target_q = (TwinQNetwork(sets, action.encoded, self.hiddens) for _ in range(2))
        self.reach_network = SetEncoder(sets, self.hiddens, len(CONDITIONS), normalise=True)
        self.model = OneStepModel(sets, action.encoded, self.hiddens)
        self.inverse = InverseDynamics(own, action.size, action.choices, action.single)
        length = settings["plan_horizon"] + 1
        self.denoiser, self.acting_denoiser = (self.make_denoiser(length) for _ in range(2))
        for ours, theirs in ((self.q, self.target_q), (self.denoiser, self.acting_denoiser)):
            theirs.load_state_dict(ours.state_dict())
            theirs.requires_grad_(False)
        self.schedule = noise_schedule(settings["noise_schedule"], settings["diffusion_steps"])
        self._register_facts(length)

    def make_denoiser(self, length: int) -> nn.Module:
        """The network of plans of so many moments."""
        name, layout = self.settings["denoiser"], self.layout
        made = (name, layout.width, length, len(CONDITIONS), layout.slots)
        return make_denoiser(*made, **self.settings["denoiser_settings"])

    def _register_facts(self, length: int) -> None:
        """What the learner finds out about the data; saved with the weights."""
        width = self.layout.width
        facts = {
            "plan_scales": torch.ones(length, width),
            "rate": torch.tensor(1.0),
            "ranks": torch.linspace(-1.0, 1.0, RANK_POINTS).repeat(len(CONDITIONS), 1),
            # Pre-danger, safe and unsafe scores of the calibration split, and thresholds to test.
            "scores": torch.full((4, MOST_SCORES), -math.inf),
        }
        for name, value in facts.items():
            self.register_buffer(name, value)

    # States.

    def barrier_along(self, states: Tensor, mask: Tensor) -> Tensor:
        """H along windows ``[B, ..., V]`` whose neighbours ``[B, K]`` stay those of the present."""
        shape = (len(mask), *[1] * (states.dim() - 2), mask.shape[-1])
        return self.barrier(states, mask.view(shape).expand(*states.shape[:-1], -1))

    # Conditions.

    def conditions(self, barrier: Tensor, returns: Tensor) -> Tensor:
        """Y ``[B, 2]`` of windows with their least barrier ``[B]`` and return ``[B]``, as ranks."""
        entries = (to_ranks(v, self.ranks[i]) for i, v in enumerate((barrier, returns)))
        return torch.stack(list(entries), -1)

    def reach(self, x: Tensor, mask: Tensor) -> Tensor:
        """An upper expectile of y from each present ``[B, 2]``: what the data reach from there."""
        return torch.tanh(self.reach_network(x, mask))

    # What the denoiser sees. A planner of whole teams overrides these.

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Shape of what is denoised for one plan: ``[H + 1, V]``."""
        return self.settings["plan_horizon"] + 1, self.layout.width

    def told(self, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Condition and context of plans for presents ``[B]`` that y ``[B, 2]`` is asked of."""
        return y, mask.to(y.dtype) if self.layout.slots else None

    def known(self, x: Tensor) -> Inpainting:
        """What is known of windows ``[B, *window_shape]``: the presents ``x [B, V]``."""
        return Inpainting.of_present(x[:, None], self.window_shape[0])

    def own_plans(self, windows: Tensor) -> Tensor:
        """The agents' own plans ``[B, H + 1, V]`` of ``[B, *window_shape]``."""
        return windows

    # Calibration.

    @property
    def offset(self) -> float:
        """δ(β) of the calibration split, at most :data:`LARGEST_OFFSET`."""
        pre, safe, unsafe, thresholds = self.scores.cpu().numpy()
        beta = self.settings["beta"]
        if self.settings["beta_mode"] == "miss":
            return min(miss_offset(pre[pre > -math.inf], beta), LARGEST_OFFSET)
        known = (safe > -math.inf) | (unsafe > -math.inf)
        tested = thresholds[thresholds > -math.inf].tolist()
        calibration = precision_offset(
            safe[known], unsafe[known], tested, beta, self.settings["beta_confidence"]
        )
        return min(calibration.offset, LARGEST_OFFSET)


def check_beta(settings: Mapping[str, Any], episodes: int) -> None:
    """Refuse to act by a barrier that nothing satisfies.

    Args:
        settings: of acting.
        episodes: dangerous ones of the calibration split.

    Raises:
        SafeMARLError: β asks for more than they can tell.
    """
    if settings["beta_mode"] == "miss" and (settings["filter_plans"] or settings["projection"]):
        check_dangerous_episodes(settings["beta"], episodes)
