"""How a planner acts: sample plans, keep those that hold the barrier's condition, rank, act, project."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rllib_safemarl.functional.barrier import choose_plan
from rllib_safemarl.functional.barrier_projection import project_actions, project_choices
from rllib_safemarl.functional.diffusion_conditions import rank_of_quantile
from rllib_safemarl.functional.diffusion_guidance import GradientGuide, guided
from rllib_safemarl.functional.diffusion_samplers import (
    Sampler,
    add_noise,
    shifted,
    solver_steps,
)
from rllib_safemarl.functional.plan_windows import to_plan, to_states
from rllib_safemarl.policies.planner import Planner

TARGETS = ("target_barrier", "target_return")
SAME_MOMENT = 0.5
"""A plan is gone on with where the present differs by less from what it foresaw, in normalised features."""
GUIDE_BOUND = 1.0
"""Largest change of a plan by gradient guidance in one denoising step, in normalised units."""


@dataclass
class Counters:
    """What happened since the last :meth:`take`.

    Attributes:
        decisions: actions chosen.
        infeasible: decisions for which no plan kept the barrier's condition.
        projected: decisions whose action the projection changed.
        unsatisfied: of these, those for which no action was found that keeps the condition.
        warm: decisions from a plan that was gone on with.
    """

    decisions: int = 0
    infeasible: int = 0
    projected: int = 0
    unsatisfied: int = 0
    warm: int = 0

    def take(self) -> dict[str, int]:
        """The counts, which begin anew."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        self.__init__()  # type: ignore[misc]
        return counts


class PlanningPolicy:
    """Acts by planning.

    With the same noise at every step and for every agent, acting is a function of what is seen (and,
    started warm, of the plan before). The first plan starts from no noise at all: it is the one to expect.

    Args:
        planner: the networks; its settings are read at every call.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.counters = Counters()
        self._noise: Tensor | None = None
        self._generator = torch.Generator()
        self._last: tuple[Tensor, Tensor] | None = None

    def forget(self) -> None:
        """Begin without a plan."""
        self._last = None

    def act(self, views: Tensor) -> Tensor:
        """Actions ``[B, D]`` in [-1, 1] per dimension, or choices, for raw views ``[B, V]``."""
        # Env runners act in inference mode, in which the projection's gradients could not be taken.
        with torch.inference_mode(False), torch.no_grad():
            return self._act(views.clone())

    def _act(self, views: Tensor) -> Tensor:
        planner, settings = self.planner, self.planner.settings
        x, mask = planner.state(views)
        offset, rate = planner.offset, float(planner.rate)
        plans = self.plans(x, mask)
        h = planner.barrier_along(plans, mask) - offset
        own = plans[..., : planner.layout.sets.own_size]
        actions = planner.inverse.act(own[:, :, 0], own[:, :, 1])
        if not planner.action.choices:
            actions = actions.clamp(-1.0, 1.0)
        chosen = self._choose(plans[:, :, 0], actions, mask, h, rate)
        rows = torch.arange(len(x), device=x.device)
        self._last = (plans[rows, chosen], mask)
        self.counters.decisions += len(x)
        if not settings["projection"]:
            return actions[rows, chosen]
        return self.project(x, mask, actions[rows, chosen], own[rows, chosen, 1], h[:, 0, 0] + offset, offset)

    def _choose(self, present: Tensor, actions: Tensor, mask: Tensor, h: Tensor, rate: float) -> Tensor:
        """Index ``[B]`` of the plan to follow: of those that hold the best."""
        planner, count = self.planner, h.shape[1]
        if planner.settings["ranking"] == "q" and count > 1:
            masks = mask[:, None].expand(*present.shape[:2], mask.shape[-1])
            score = planner.q.smaller(present, planner.action.encode(actions), masks)
        else:
            score = -torch.arange(count, device=h.device, dtype=h.dtype).expand(len(h), -1)
        if not planner.settings["filter_plans"]:
            return score.argmax(-1)
        chosen, feasible = choose_plan(h, score, rate)
        self.counters.infeasible += int((~feasible).sum())
        return chosen

    # Plans.

    def plans(self, x: Tensor, mask: Tensor) -> Tensor:
        """M plans ``[B, M, H + 1, V]`` from normalised states; their first moment is the present."""
        warm = self._warm_rows(x, mask)
        if warm is None or not bool(warm.any()):
            return self._sample(x, mask, None)
        self.counters.warm += int(warm.sum())
        assert self._last is not None
        plans = self._sample(x[warm], mask[warm], shifted(self._last[0][warm]))
        if bool(warm.all()):
            return plans
        both = plans.new_empty(len(x), *plans.shape[1:])
        both[warm], both[~warm] = plans, self._sample(x[~warm], mask[~warm], None)
        return both

    def _warm_rows(self, x: Tensor, mask: Tensor) -> Tensor | None:
        """Rows ``[B]`` whose last plan foresaw the present, with the same neighbours in their slots."""
        if not self.planner.settings["warm_start"] or self._last is None:
            return None
        last, last_mask = self._last
        if len(last) != len(x):
            return None
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
    ) -> Tensor:
        """The nearest action whose next moment, by the learnt model, keeps the barrier condition.

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
            reached = planner.barrier(planner.model(states, actions, masks), masks)
            return reached - offset - (1.0 - rate) * (h - offset)[:, None]

        if planner.action.choices:
            return self._project_choices(x, action, ahead, kept)
        size = action.shape[-1]
        low, high = action.new_full((size,), -1.0), action.new_full((size,), 1.0)
        projection = project_actions(action, kept, low, high, _candidates(size, action))
        self.counters.projected += int(projection.changed.sum())
        self.counters.unsatisfied += int((~projection.satisfied).sum())
        return projection.actions

    def _project_choices(self, x: Tensor, action: Tensor, ahead: Tensor, kept: object) -> Tensor:
        planner = self.planner
        every = planner.action.every().to(x.device)
        choices = every[:, 0] if planner.action.single else every
        encoded = planner.action.encode(choices).to(x)
        likely = planner.inverse(x[:, : planner.layout.sets.own_size], ahead) @ encoded.T
        value = kept(encoded[None].expand(len(x), -1, -1))  # type: ignore[operator]
        best, satisfied = project_choices(likely, value)
        chosen = choices[best]
        changed = (chosen != action).view(len(x), -1).any(-1)
        self.counters.projected += int(changed.sum())
        self.counters.unsatisfied += int((~satisfied).sum())
        return chosen


def _candidates(size: int, like: Tensor) -> Tensor:
    """Actions worth a try where linearisation fails: none, and full steps along and between the axes."""
    if size > 2:
        eye = torch.eye(size, device=like.device)
        return torch.cat([torch.zeros(1, size, device=like.device), eye, -eye])
    grid = torch.tensor([-1.0, 0.0, 1.0], device=like.device)
    return torch.cartesian_prod(*[grid] * size).view(-1, size)
