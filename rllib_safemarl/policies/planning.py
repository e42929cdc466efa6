"""How a planner acts: sample plans, keep those that hold the barrier's condition, rank, act, project."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rllib_safemarl.envs.vector import Dynamics
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.barrier import choose_plan
from rllib_safemarl.functional.barrier_projection import Projection, project_actions, project_choices
from rllib_safemarl.functional.diffusion_conditions import rank_of_quantile
from rllib_safemarl.functional.diffusion_guidance import GradientGuide, guided
from rllib_safemarl.functional.diffusion_samplers import (
    Sampler,
    add_noise,
    shifted,
    solver_steps,
)
from rllib_safemarl.functional.plan_windows import to_plan, to_states
from rllib_safemarl.policies.deciding import DecidingPolicy
from rllib_safemarl.policies.decisions import FLAGS, Decision
from rllib_safemarl.policies.planner import Planner, check_beta
from rllib_safemarl.policies.planning_settings import PLANNING_SETTINGS

TARGETS = ("target_barrier", "target_return")
SAME_MOMENT = 0.5
"""A plan is gone on with where the present differs by less from what it foresaw, in normalised features."""
GUIDE_BOUND = 1.0
"""Largest change of a plan by gradient guidance in one denoising step, in normalised units."""

PROJECTION_TOLERANCE = 1e-4
"""Of the condition, in units of h: solutions lie on its edge, and rounding would put half of them beyond."""


class PlanningPolicy(DecidingPolicy):
    """Acts by planning.

    With the same noise at every step and for every agent, acting is a function of what is seen (and,
    started warm, of the plan before). The first plan starts from no noise at all: it is the one to expect.

    Args:
        planner: the networks; its settings are read at every call.

    Attributes:
        decision: the last one, or ``None``.
        dynamics: the environment's own step, where it offers one; privileged.
    """

    changeable = PLANNING_SETTINGS
    flags = FLAGS

    def __init__(self, planner: Planner) -> None:
        super().__init__(planner)
        self.planner = planner
        self.dynamics: Dynamics | None = None
        self.decision: Decision | None = None
        self._noise: Tensor | None = None
        self._generator = torch.Generator()
        self._last: tuple[Tensor, Tensor] | None = None
        self.forget()

    def forget(self) -> None:
        """Begin without a plan, and the sequence of random numbers anew."""
        self._last = self.decision = None
        self._generator.manual_seed(0)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse a β that asks for more than the calibration split can tell; untrained planners have none."""
        if episodes := int((self.planner.scores[0] > -math.inf).sum()):
            check_beta(settings, episodes)

    def shielded(self, views: Tensor, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions ``[B, D]`` of another policy, projected as its own would be; flags ``[B]``."""
        with torch.inference_mode(False), torch.no_grad():
            planner = self.planner
            if (width := planner.layout.width) != views.shape[-1]:
                raise SafeMARLError(
                    f"the shield's planners see {width} numbers, and these policies {views.shape[-1]}: kappa "
                    "and max_neighbours must be the same."
                )
            x, mask = planner.state(views.clone())
            h, offset = planner.barrier(x, mask), planner.offset
            wanted = actions.clone().clamp(-1.0, 1.0)
            projection = self.project(x, mask, wanted, x[:, : planner.layout.sets.own_size], h, offset)
            flags = {
                "accepted": h >= offset,
                "projected": projection.changed,
                "unsatisfied": ~projection.satisfied,
            }
            return projection.actions, flags

    def decide(self, views: Tensor) -> Decision:
        """Plan and choose for raw views ``[B, V]``."""
        # Env runners act in inference mode, in which the projection's gradients could not be taken.
        with torch.inference_mode(False), torch.no_grad():
            self.decision = self._decide(views.clone())
            return self.decision

    def _decide(self, views: Tensor) -> Decision:
        planner = self.planner
        x, mask = planner.state(views)
        offset, rate = planner.offset, float(planner.rate)
        warm = self.warm_rows(x, mask)
        plans = self.plans(x, mask, warm)
        h = planner.barrier_along(plans, mask) - offset
        own = plans[..., : planner.layout.sets.own_size]
        actions = planner.inverse.act(own[:, :, 0], own[:, :, 1])
        if not planner.action.choices:
            actions = actions.clamp(-1.0, 1.0)
        chosen, feasible = self._choose(plans[:, :, 0], actions, mask, h, rate)
        rows = torch.arange(len(x), device=x.device)
        self._last = (plans[rows, chosen], mask)
        never = torch.zeros_like(feasible)
        noted = (h[:, 0, 0] >= 0.0, ~feasible, never, never, warm)
        flags = dict(zip(FLAGS, noted, strict=True))
        action = actions[rows, chosen]
        if planner.settings["projection"]:
            now = h[:, 0, 0] + offset
            projection = self.project(x, mask, action, own[rows, chosen, 1], now, offset)
            action = projection.actions
            flags |= {"projected": projection.changed, "unsatisfied": ~projection.satisfied}
        return Decision(action, plans, h, chosen, flags)

    def _choose(
        self, present: Tensor, actions: Tensor, mask: Tensor, h: Tensor, rate: float
    ) -> tuple[Tensor, Tensor]:
        """Index ``[B]`` of the plan to follow, of those that hold the best, and ``[B]`` whether any held."""
        planner, count = self.planner, h.shape[1]
        if planner.settings["ranking"] == "q" and count > 1:
            masks = mask[:, None].expand(*present.shape[:2], mask.shape[-1])
            score = planner.q.smaller(present, planner.action.encode(actions), masks)
        else:
            score = -torch.arange(count, device=h.device, dtype=h.dtype).expand(len(h), -1)
        chosen, feasible = choose_plan(h, score, rate)
        return (chosen if planner.settings["filter_plans"] else score.argmax(-1)), feasible

    # Plans.

    def plans(self, x: Tensor, mask: Tensor, warm: Tensor | None = None) -> Tensor:
        """M plans ``[B, M, H + 1, V]`` from normalised states; their first moment is the present.

        Args:
            x: ``[B, V]`` normalised states.
            mask: ``[B, K]`` taken slots.
            warm: ``[B]`` rows that go on with their last plan, see :meth:`warm_rows`; none where not given.
        """
        if warm is None or self._last is None or not bool(warm.any()):
            return self._sample(x, mask, None)
        plans = self._sample(x[warm], mask[warm], shifted(self._last[0][warm]))
        if bool(warm.all()):
            return plans
        both = plans.new_empty(len(x), *plans.shape[1:])
        both[warm], both[~warm] = plans, self._sample(x[~warm], mask[~warm], None)
        return both

    def warm_rows(self, x: Tensor, mask: Tensor) -> Tensor:
        """Rows ``[B]`` whose last plan foresaw the present, with the same neighbours in their slots."""
        nowhere = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if not self.planner.settings["warm_start"] or self._last is None:
            return nowhere
        last, last_mask = self._last
        if len(last) != len(x):
            return nowhere
        near = (last[:, 1] - x).abs().amax(-1) < SAME_MOMENT
        return near & (last_mask == mask).all(-1)

    def _sample(self, x: Tensor, mask: Tensor, before: Tensor | None) -> Tensor:
        """Plans from noise, or from plans ``before [B, H + 1, V]`` of the last step, moved on by one."""
        planner, settings = self.planner, self.planner.settings
        count = settings["n_plans"]
        present, masks = x.repeat_interleave(count, 0), mask.repeat_interleave(count, 0)
        start = self._start_noise(x)
        noise = start.repeat(len(x), *[1] * (start.dim() - 1))
        first, number = planner.schedule.num_steps, settings["solver_steps"]
        if before is not None:
            first = max(1, round(first * settings["warm_start"]))
            number = max(1, min(first, math.ceil(number * settings["warm_start"])))
            before[:, 0] = x
            known = to_plan(before, planner.plan_scales).repeat_interleave(count, 0)
            steps = torch.full((len(known),), first, device=x.device)
            noise = add_noise(known, noise, planner.schedule, steps)
        table = solver_steps(planner.schedule, settings["solver"], number, first)
        condition, context = planner.told(self.wanted(x, mask).repeat_interleave(count, 0), masks)
        predict = guided(planner.acting_denoiser, condition, settings["guidance_weight"], context)
        drawn = Sampler(table, settings["prediction"], clip=settings["clip_plans"])(
            predict, noise, planner.known(present), self._guide(masks), self._generator
        )
        drawn = planner.own_plans(drawn)
        taken = masks[:, None].expand(*drawn.shape[:2], masks.shape[-1])
        return planner.zeroed(to_states(drawn, planner.plan_scales), taken).unflatten(0, (len(x), count))

    def _start_noise(self, x: Tensor) -> Tensor:
        """Noise ``[M, *window_shape]`` that plans start from, alike at every step."""
        settings = self.planner.settings
        shape = (settings["n_plans"], *self.planner.window_shape)
        if self._noise is None or self._noise.shape != shape:
            self._noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            self._noise[0] = 0.0
        return settings["start_noise"] * self._noise.to(x)

    def wanted(self, x: Tensor, mask: Tensor) -> Tensor:
        """The y ``[B, 2]`` that plans are asked for: targets, within reach; NaN where nothing is asked."""
        settings = self.planner.settings
        reach = self.planner.reach(x, mask)
        columns = []
        for i, name in enumerate(TARGETS):
            target = settings[name]
            if target is None:
                columns.append(torch.full_like(reach[:, i], math.nan))
            else:
                columns.append(reach[:, i].clamp(max=rank_of_quantile(target)))
        return torch.stack(columns, -1)

    def _guide(self, mask: Tensor) -> GradientGuide | None:
        """Towards plans that keep the barrier's condition, see arXiv 2606.12640."""
        planner, settings = self.planner, self.planner.settings
        if settings["guidance"] != "gradient":
            return None
        offset, rate = planner.offset, float(planner.rate)

        def kept(plan: Tensor) -> Tensor:
            states = to_states(planner.own_plans(plan), planner.plan_scales)
            h = planner.barrier_along(states, mask) - offset
            return (h[:, 1:] - (1.0 - rate) * h[:, :-1]).clamp(max=0.0).sum(-1)

        return GradientGuide(kept, settings["gradient_weight"], max_norm=GUIDE_BOUND)

    # Projection.

    def project(
        self, x: Tensor, mask: Tensor, action: Tensor, ahead: Tensor, h: Tensor, offset: float
    ) -> Projection:
        """The nearest action whose next moment, by ``projection_model``, keeps the barrier condition.

        Args:
            x: ``[B, V]`` states.
            mask: ``[B, K]`` taken slots.
            action: ``[B, D]`` or choices ``[B, ...]``.
            ahead: ``[B, S]`` own features at the plan's first moment; ranks choices.
            h: ``[B]`` of the states.
            offset: δ.
        """
        planner, rate = self.planner, float(self.planner.rate)

        def kept(actions: Tensor) -> Tensor:
            count = actions.shape[1]
            states = x[:, None].expand(-1, count, -1)
            masks = mask[:, None].expand(-1, count, -1)
            reached = planner.barrier(self._next(states, actions, masks), masks)
            return reached - offset - (1.0 - rate) * (h - offset)[:, None]

        if planner.action.choices:
            return self._project_choices(x, action, ahead, kept)
        size = action.shape[-1]
        low, high = action.new_full((size,), -1.0), action.new_full((size,), 1.0)
        return project_actions(
            action, kept, low, high, _candidates(size, action), tolerance=PROJECTION_TOLERANCE
        )

    def _next(self, states: Tensor, actions: Tensor, masks: Tensor) -> Tensor:
        """Normalised states ``[B, N, V]`` after one step by encoded actions ``[B, N, D]``."""
        planner = self.planner
        if planner.settings["projection_model"] == "learnt":
            return planner.model(states, actions, masks)
        if self.dynamics is None:
            raise SafeMARLError(
                "projection_model=true needs an environment that offers its own dynamics, as "
                "safemarl/crossing does; this one does not: use projection_model=learnt."
            )
        ahead = self.dynamics(states * planner.deviation + planner.mean, actions)
        return planner.zeroed((ahead - planner.mean) / planner.deviation, masks)

    def _project_choices(
        self, x: Tensor, action: Tensor, ahead: Tensor, kept: Callable[[Tensor], Tensor]
    ) -> Projection:
        planner = self.planner
        every = planner.action.every().to(x.device)
        choices = every[:, 0] if planner.action.single else every
        encoded = planner.action.encode(choices).to(x)
        likely = planner.inverse(x[:, : planner.layout.sets.own_size], ahead) @ encoded.T
        value = kept(encoded[None].expand(len(x), -1, -1))
        best, satisfied = project_choices(likely, value)
        chosen = choices[best]
        changed = (chosen != action).view(len(x), -1).any(-1)
        return Projection(chosen, value.gather(1, best[:, None])[:, 0], changed, satisfied)


def _candidates(size: int, like: Tensor) -> Tensor:
    """Actions worth a try where linearisation fails: none, and full steps along and between the axes."""
    if size > 2:
        eye = torch.eye(size, device=like.device)
        return torch.cat([torch.zeros(1, size, device=like.device), eye, -eye])
    grid = torch.tensor([-1.0, 0.0, 1.0], device=like.device)
    return torch.cartesian_prod(*[grid] * size).view(-1, size)
