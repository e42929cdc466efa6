"""The planner: networks of DIFFUSION_CBF, what is known of the data, and how an action comes about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rllib_safemarl.functional.barrier import choose_plan
from rllib_safemarl.functional.barrier_projection import project_actions
from rllib_safemarl.functional.calibration import miss_offset
from rllib_safemarl.functional.diffusion_guidance import guided
from rllib_safemarl.functional.diffusion_samplers import Inpainting, Sampler, solver_steps
from rllib_safemarl.functional.diffusion_schedules import noise_schedule
from rllib_safemarl.nn.barrier_networks import BarrierNetwork, OneStepModel
from rllib_safemarl.nn.denoisers import make_denoiser
from rllib_safemarl.nn.inverse_dynamics import InverseDynamics
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.nn.value_networks import TwinQNetwork, ValueNetwork

MOST_SCORES = 4096
"""Dangerous episodes of the calibration split that are kept at most."""
REACH_BINS = 20
LARGEST_OFFSET = 2.0
"""δ where β asks for more than the calibration split can tell: h, within ±1, is then negative everywhere."""


@dataclass(frozen=True)
class StateLayout:
    """How a view makes up a state ``x = (s, o)``.

    Attributes:
        sets: own features and slots.
        present: index, within a slot, of the flag that it is taken.
        slots: K.
    """

    sets: SetLayout
    present: int
    slots: int

    def mask(self, views: Tensor) -> Tensor:
        """Taken slots ``[..., K]`` of raw views ``[..., V]``."""
        _, slots = self.sets.split(views)
        return slots[..., self.present] > 0.5 if self.slots else slots[..., 0]


class Planner(nn.Module):
    """Plans of one agent from its own view; shared by all agents of a policy.

    Args:
        layout: of the states.
        action_size: D of real actions.
        settings: of ``DIFFUSION_CBF_SETTINGS``.
        hiddens: of barrier and critics.
    """

    def __init__(
        self, layout: StateLayout, action_size: int, settings: Mapping[str, Any], hiddens: list[int]
    ) -> None:
        super().__init__()
        self.layout, self.settings = layout, dict(settings)
        sets, size = layout.sets, layout.sets.width(layout.slots)
        self.barrier = BarrierNetwork(sets, hiddens)
        self.value = ValueNetwork(sets, hiddens)
        self.q, self.target_q = (TwinQNetwork(sets, action_size, hiddens) for _ in range(2))
        self.target_q.load_state_dict(self.q.state_dict())
        self.model = OneStepModel(sets, action_size, hiddens)
        self.inverse = InverseDynamics(sets.own_size, action_size)
        made = (settings["denoiser"], size, settings["plan_horizon"] + 1, 2, layout.slots)
        self.denoiser, self.acting_denoiser = (
            make_denoiser(*made, **settings["denoiser_settings"]) for _ in range(2)
        )
        self.acting_denoiser.load_state_dict(self.denoiser.state_dict())
        for frozen in (self.target_q, self.acting_denoiser):
            frozen.requires_grad_(False)
        self.schedule = noise_schedule(settings["noise_schedule"], settings["diffusion_steps"])
        self._buffers_of(size)

    def _buffers_of(self, size: int) -> None:
        """What the learner finds out about the data; saved with the weights."""
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("rate", torch.tensor(1.0))
        self.register_buffer("low", torch.tensor([-1.0, -1.0]))
        self.register_buffer("high", torch.tensor([1.0, 1.0]))
        self.register_buffer("barrier_quantiles", torch.linspace(-1.0, 1.0, 101))
        self.register_buffer("reach_present", torch.linspace(-1.0, 1.0, REACH_BINS))
        self.register_buffer("reach_value", torch.ones(REACH_BINS))
        self.register_buffer("scores", torch.full((MOST_SCORES,), -math.inf))
        generator = torch.Generator().manual_seed(0)
        length = self.settings["plan_horizon"] + 1
        noise = torch.randn(self.settings["n_plans"], length, size, generator=generator)
        # The same noise at every step and for every agent: acting is a function of what is seen.
        self.register_buffer("noise", noise, persistent=False)

    # States.

    def state(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised states ``[..., V]`` of raw views, and taken slots ``[..., K]``."""
        mask = self.layout.mask(views)
        return self._zeroed((views - self.mean) / self.deviation, mask), mask

    def _zeroed(self, x: Tensor, mask: Tensor) -> Tensor:
        own, slots = self.layout.sets.split(x)
        return self.layout.sets.join(own, torch.where(mask.unsqueeze(-1), slots, 0.0))

    @property
    def offset(self) -> float:
        """δ(β) of the calibration split."""
        scores = self.scores[self.scores > -math.inf].cpu().numpy()
        return min(miss_offset(scores, self.settings["beta"]), LARGEST_OFFSET)

    # Acting.

    def act(self, views: Tensor) -> Tensor:
        """Actions ``[B, D]``, in [-1, 1] per dimension, for raw views ``[B, V]``."""
        # Env runners act in inference mode, in which the projection's gradients could not be taken.
        with torch.inference_mode(False), torch.no_grad():
            return self._act(views.clone())

    def _act(self, views: Tensor) -> Tensor:
        x, mask = self.state(views)
        offset, rate = self.offset, float(self.rate)
        plans = self.plans(x, mask)
        many_masks = mask[:, None, None].expand(*plans.shape[:3], mask.shape[-1])
        h = self.barrier(plans, many_masks) - offset
        own = plans[..., : self.layout.sets.own_size]
        actions = self.inverse(own[:, :, 0], own[:, :, 1]).clamp(-1.0, 1.0)
        score = self.q.smaller(plans[:, :, 0], actions, many_masks[:, :, 0])
        if self.settings["filter_plans"]:
            chosen, _ = choose_plan(h, score, rate)
        else:
            chosen = score.argmax(-1)
        action = actions[torch.arange(len(x)), chosen]
        return (
            self.project(x, mask, action, h[:, 0, 0], rate, offset) if self.settings["projection"] else action
        )

    def plans(self, x: Tensor, mask: Tensor) -> Tensor:
        """M plans ``[B, M, H + 1, V]`` from normalised states; their first moment is the present."""
        settings, count = self.settings, self.settings["n_plans"]
        steps = solver_steps(self.schedule, settings["solver"], settings["solver_steps"])
        sampler = Sampler(steps, settings["prediction"])
        present = x.repeat_interleave(count, 0)
        masks = mask.repeat_interleave(count, 0).float()
        predict = guided(
            self.acting_denoiser,
            self.condition(x, mask).repeat_interleave(count, 0),
            settings["guidance_weight"],
            masks if self.layout.slots else None,
        )
        start = self.noise.repeat(len(x), 1, 1)
        drawn = sampler(predict, start, Inpainting.of_present(present[:, None], start.shape[1]))
        taken = masks.bool()[:, None].expand(*drawn.shape[:2], masks.shape[-1])
        return self._zeroed(drawn, taken).unflatten(0, (len(x), count))

    def condition(self, x: Tensor, mask: Tensor) -> Tensor:
        """The y ``[B, 2]`` that plans are asked for; NaN where nothing is asked."""
        y = x.new_full((len(x), 2), math.nan)
        wanted = self.settings["target_barrier"]
        if wanted is not None:
            target = self.barrier_quantiles[round(100 * wanted)].expand(len(x))
            reached = _interpolate(self.barrier(x, mask), self.reach_present, self.reach_value)
            y[:, 0] = self._scaled(torch.minimum(target, reached), 0)
        if self.settings["target_return"] is not None:
            y[:, 1] = self.settings["target_return"]
        return y

    def _scaled(self, values: Tensor, entry: int) -> Tensor:
        low, high = self.low[entry], self.high[entry]
        return (2.0 * values - high - low) / (high - low)

    def scaled(self, barrier: Tensor, returns: Tensor) -> Tensor:
        """Y ``[B, 2]`` of windows with their least barrier ``[B]`` and return ``[B]``."""
        return torch.stack([self._scaled(barrier, 0), self._scaled(returns, 1)], -1)

    def project(
        self, x: Tensor, mask: Tensor, action: Tensor, h: Tensor, rate: float, offset: float
    ) -> Tensor:
        """The nearest action whose next moment, by the learnt model, keeps the barrier condition."""

        def kept(actions: Tensor) -> Tensor:
            count = actions.shape[1]
            states = x[:, None].expand(-1, count, -1)
            masks = mask[:, None].expand(-1, count, -1)
            ahead = self.barrier(self.model(states, actions, masks), masks) - offset
            return ahead - (1.0 - rate) * h[:, None]

        size = action.shape[-1]
        low, high = action.new_full((size,), -1.0), action.new_full((size,), 1.0)
        return project_actions(action, kept, low, high, _candidates(size, action)).actions


def _candidates(size: int, like: Tensor) -> Tensor:
    """Actions worth a try where linearisation fails: none, and full steps along and between the axes."""
    if size > 2:
        eye = torch.eye(size, device=like.device)
        return torch.cat([torch.zeros(1, size, device=like.device), eye, -eye])
    grid = torch.tensor([-1.0, 0.0, 1.0], device=like.device)
    return torch.cartesian_prod(*[grid] * size).view(-1, size)


def _interpolate(x: Tensor, points: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear, constant beyond the ends."""
    right = torch.searchsorted(points, x.contiguous()).clamp(1, len(points) - 1)
    left = right - 1
    share = ((x - points[left]) / (points[right] - points[left]).clamp_min(1e-9)).clamp(0.0, 1.0)
    return values[left] + share * (values[right] - values[left])
