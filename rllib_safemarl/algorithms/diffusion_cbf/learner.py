"""The learner of DIFFUSION_CBF: first the barrier, then the critics, then the plans."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ALL_MODULES
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_gradients
from rllib_safemarl.algorithms.diffusion_cbf.planner import Planner
from rllib_safemarl.algorithms.diffusion_cbf.prepare import (
    DANGER,
    INITIAL,
    LABELS,
    LEAST_MARGIN,
    NEXT_DANGER,
)
from rllib_safemarl.algorithms.diffusion_cbf.statistics import (
    calibration_data,
    fit_conditions,
    fit_normaliser,
    fit_scores,
    return_floor,
)
from rllib_safemarl.algorithms.offline.learner import OfflineLearner
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.barrier import barrier_loss, check_rate, future_margin_loss
from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_training import denoising_loss, drop_conditions, training_pair
from rllib_safemarl.functional.expectile import expectile_loss
from rllib_safemarl.functional.masked_means import masked_mean
from rllib_safemarl.functional.window_returns import (
    continuation,
    critic_target,
    penalised_reward,
    safe_set,
    window_least_barrier,
    window_returns,
)
from rllib_safemarl.offline.source import Source
from rllib_safemarl.offline.windows import Pieces, WindowBatch, WindowCutter

PROGRESS = "diffusion_cbf"
STAGES = ("barrier", "critics", "plans")


class DiffusionCBFLearner(OfflineLearner):
    """Learns one :class:`Planner` per policy, all of its agents alike."""

    extra_columns = ("rewards", "terminals", *LABELS)

    def build(self) -> None:
        """Build the planners."""
        if self._is_built:
            return
        super().build()
        self._planners: dict[str, Planner] = {g.policy: self.module[g.policy].planner for g in self.groups}
        self._batches = 0
        self._floor = 0.0
        self._logged: dict[str, dict[str, list[Tensor]]] = {}
        self._generator = torch.Generator().manual_seed(self._seed)
        self._source: Source | None = None

    def prepare(self, source: Source) -> None:
        """Find out what the planners must know of the data."""
        self._source = source
        assert source.dataset is not None
        self._floor = return_floor(source.dataset, self.config.gamma, self.config.danger_penalty)
        if self._batches == 0:
            seconds = source.schema.step_seconds or 1.0
            for group in self.groups:
                planner = self._planners[group.policy]
                planner.rate.fill_(check_rate(self.config.alpha, seconds))
                fit_normaliser(planner, self._sample_views(group))

    def stage(self) -> str:
        """What is learned now."""
        first = self.config.barrier_batches
        if self._batches < first:
            return "barrier"
        return "critics" if self._batches < first + self.config.critic_batches else "plans"

    def learn(self, windows: WindowBatch) -> None:
        """One step of every planner."""
        stage = self.stage()
        if self._batches == self.config.barrier_batches:
            self._calibrate()
        if self._batches == self.config.barrier_batches + self.config.critic_batches:
            self._fit_conditions()
        views = self.window_views(windows)
        for group in self.groups:
            if not self.should_module_be_updated(group.policy):
                continue
            planner = self._planners[group.policy]
            data = _Rows(self, planner, group, windows, views[group.kind])
            losses = getattr(self, f"_{stage}_losses")(planner, data)
            optimizer = self.get_optimizer(group.policy)
            optimizer.zero_grad(set_to_none=True)
            torch.stack([loss for name, loss in losses.items() if loss.requires_grad]).sum().backward()
            parameters = [p for p in planner.parameters() if p.grad is not None]
            sum_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            self._average(planner, stage)
            for name, loss in losses.items():
                self._logged.setdefault(group.policy, {}).setdefault(name, []).append(loss.detach())
        self._batches += 1

    # Losses of one stage.

    def _barrier_losses(self, planner: Planner, data: _Rows) -> dict[str, Tensor]:
        config = self.config
        h, next_h = planner.barrier(data.x[:, 0], data.mask), planner.barrier(data.x[:, 1], data.mask)
        seconds = float(planner.rate) / config.alpha
        parts = barrier_loss(
            h,
            next_h,
            data.now(INITIAL),
            data.now(DANGER),
            data.counted[:, 0],
            config.barrier_margin,
            config.alpha,
            seconds,
        )
        losses = {"barrier_loss": parts.total((1.0, 1.0, 0.3))}
        if config.future_margin_coef:
            ahead = future_margin_loss(h, data.now(LEAST_MARGIN), 1.0)
            losses["future_margin_loss"] = config.future_margin_coef * ahead
        shares = {"initial_right": parts.initial_right, "danger_right": parts.danger_right}
        return {**losses, **{name: share.detach() for name, share in shares.items()}}

    def _critics_losses(self, planner: Planner, data: _Rows) -> dict[str, Tensor]:
        config = self.config
        with torch.no_grad():
            h, next_h = planner.barrier(data.x[:, 0], data.mask), planner.barrier(data.x[:, 1], data.mask)
            inside = safe_set(h, data.now(DANGER)) & data.counted[:, 0]
            next_safe = safe_set(next_h, data.now(NEXT_DANGER))
            reward = penalised_reward(data.reward[:, 0], data.now(NEXT_DANGER), config.danger_penalty)
            next_value = planner.value(data.x[:, 1], data.mask)
            target = critic_target(
                reward, next_value, next_safe, data.terminal[:, 0], config.gamma, self._floor
            )
            wanted = planner.target_q.smaller(data.x[:, 0], data.actions[:, 0], data.mask)
        value = planner.value(data.x[:, 0], data.mask)
        twins = planner.q(data.x[:, 0], data.actions[:, 0], data.mask)
        return {
            "value_loss": masked_mean(expectile_loss(wanted - value, config.expectile), inside),
            "q_loss": masked_mean((twins - target).square().sum(0), inside),
        }

    def _plans_losses(self, planner: Planner, data: _Rows) -> dict[str, Tensor]:
        config = self.config
        present = Inpainting.of_present(data.x[:, :1], data.x.shape[1])
        noise = torch.randn(data.x.shape, generator=self._generator)
        steps = torch.randint(1, planner.schedule.num_steps + 1, (len(data.x),), generator=self._generator)
        noised, target = training_pair(data.x, noise, steps, planner.schedule, config.prediction, present)
        y = planner.scaled(*self._conditions(planner, data)).clamp(-1.5, 1.5)
        dropped = drop_conditions(y.shape, config.drop_together, config.drop_each, self._generator)
        context = data.mask.float() if planner.layout.slots else None
        output = planner.denoiser(noised, steps, y, dropped, context)
        own = planner.layout.sets.own_size
        now, after = data.x[:, 0], data.x[:, 1]
        stepped = data.counted[:, 0]
        model = planner.model(now, data.actions[:, 0], data.mask)
        return {
            "diffusion_loss": denoising_loss(output, target, data.plan_counted(planner)),
            "inverse_loss": planner.inverse.loss(now[:, :own], after[:, :own], data.actions[:, 0], stepped),
            "model_loss": masked_mean((model - after).square().mean(-1), stepped),
        }

    @torch.no_grad()
    def _conditions(self, planner: Planner, data: _Rows) -> tuple[Tensor, Tensor]:
        """Least barrier and return of every window."""
        masks = data.mask[:, None].expand(*data.x.shape[:2], data.mask.shape[-1])
        h = planner.barrier(data.x, masks)
        reward = penalised_reward(data.reward, data.along(NEXT_DANGER), self.config.danger_penalty)
        safe = safe_set(h[:, -1], data.along(NEXT_DANGER)[:, -1])
        end = continuation(planner.value(data.x[:, -1], data.mask), safe, data.terminal.any(1), self._floor)
        return window_least_barrier(h), window_returns(reward, data.counted, end, self.config.gamma)

    def _average(self, planner: Planner, stage: str) -> None:
        pairs = {"critics": (planner.q, planner.target_q, 0.99)}
        pairs["plans"] = (planner.denoiser, planner.acting_denoiser, self.config.weights_decay)
        if stage in pairs:
            source, target, decay = pairs[stage]
            with torch.no_grad():
                for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
                    theirs.lerp_(ours, 1.0 - decay)

    # Between stages.

    def _sample_views(self, group: Group, count: int = 2048) -> Tensor:
        """Raw views ``[M, H + 1, V]`` of windows spread over the dataset."""
        return self._sampled(count)[1][group.policy]

    def _sampled(self, count: int) -> tuple[WindowBatch, dict[str, Tensor]]:
        assert self._source is not None and self._source.dataset is not None
        cutter = WindowCutter(Pieces.of(self._source.dataset), self.config.horizon)
        windows = cutter.cut(np.linspace(0, len(cutter) - 1, min(count, len(cutter))).astype(np.int64))
        views = self.window_views(windows)
        flat = {}
        for group in self.groups:
            picked = group.pick(views[group.kind])
            flat[group.policy] = torch.from_numpy(np.ascontiguousarray(picked.swapaxes(1, 2))).flatten(0, 1)
        return windows, flat

    def _calibrate(self) -> None:
        """Lower the barrier by what the calibration split demands."""
        dataset = calibration_data(self.config)
        values = {name: dataset[f"observations/{kind}"] for name, kind in self._recorded.items()}
        positions = dataset["positions"] if "positions" in dataset else None
        edges = dataset["neighbours"].astype(np.int32) if "neighbours" in dataset else None
        views = self._policy_views(values, dataset["active"], positions, edges)
        for group in self.groups:
            picked = np.ascontiguousarray(group.pick(views[group.kind]))
            fit_scores(self._planners[group.policy], picked, group.agents, dataset)

    def _fit_conditions(self) -> None:
        """Scale y by the data's quantiles."""
        windows, _ = self._sampled(4096)
        views = self.window_views(windows)
        for group in self.groups:
            planner = self._planners[group.policy]
            data = _Rows(self, planner, group, windows, views[group.kind])
            barrier, returns = self._conditions(planner, data)
            with torch.no_grad():
                fit_conditions(planner, planner.barrier(data.x[:, 0], data.mask), barrier, returns)

    def window_views(self, windows: WindowBatch) -> dict[str, np.ndarray]:
        """Views ``[B, H + 1, A_kind, V]`` that follow the neighbours of a window's first moment."""
        values = {name: windows[f"observations/{kind}"] for name, kind in self._recorded.items()}
        positions = windows["positions"] if "positions" in windows.columns else None
        near = None
        if "neighbours" in windows.columns:
            near = self._policy_views.neighbours(windows["neighbours"][:, :1].astype(np.int32))
            shape = (len(windows), windows["active"].shape[1], *near.index.shape[2:])
            near = type(near)(np.broadcast_to(near.index, shape), np.broadcast_to(near.hops, shape))
        return self._policy_views(values, windows["active"], positions, None, near)

    def report(self) -> None:
        """Mean losses since the last report."""
        means = {
            policy: {name: float(torch.stack(values).mean()) for name, values in losses.items()}
            for policy, losses in self._logged.items()
        }
        for policy, losses in means.items():
            for name, loss in losses.items():
                self.metrics.log_value((policy, name), loss, window=1)
        total = [sum(v for k, v in losses.items() if k.endswith("_loss")) for losses in means.values()]
        self.metrics.log_value((ALL_MODULES, "total_loss"), float(np.mean(total)), window=1)
        self.metrics.log_value((ALL_MODULES, "stage"), float(STAGES.index(self.stage())), window=1)
        self._logged.clear()

    # State.

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and how far the stages are."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(PROGRESS, components, not_components):
            state[PROGRESS] = {"batches": self._batches, "generator": self._generator.get_state().numpy()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`."""
        super().set_state(state)
        if PROGRESS in state:
            self._batches = int(state[PROGRESS]["batches"])
            self._generator.set_state(torch.from_numpy(np.array(state[PROGRESS]["generator"])))


class _Rows:
    """A batch of windows of one policy's agents, an agent's window a row: ``M = B * G``."""

    def __init__(
        self,
        learner: DiffusionCBFLearner,
        planner: Planner,
        group: Group,
        windows: WindowBatch,
        views: np.ndarray,
    ) -> None:
        self._windows, self._group = windows, group
        raw = torch.from_numpy(np.ascontiguousarray(group.pick(views).swapaxes(1, 2))).flatten(0, 1)
        states, masks = planner.state(raw)
        self.x, self.mask = states, masks[:, 0]
        """States ``[M, H + 1, V]`` and taken slots ``[M, K]``, those of the first moment."""
        steps = self.x.shape[1] - 1
        self.actions = learner.actions(windows, group).unflatten(0, (-1, steps)).transpose(1, 2).flatten(0, 1)
        self.counted = self._flat(windows["active"][:, :-1][..., group.agents] & windows.mask[..., None])
        self.reward = self._flat(windows["rewards"][..., group.agents])
        self.terminal = self._flat(windows["terminals"][..., group.agents])

    def _flat(self, column: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(column.swapaxes(1, 2))).flatten(0, 1)

    def along(self, name: str) -> Tensor:
        """A label of every step ``[M, H]``."""
        return self._flat(self._windows[name][..., self._group.agents])

    def now(self, name: str) -> Tensor:
        """A label of the first moment ``[M]``."""
        return self.along(name)[:, 0]

    def plan_counted(self, planner: Planner) -> Tensor:
        """Where a plan's loss counts ``[M, H + 1, V]``: planned moments, own features, taken slots."""
        sets = planner.layout.sets
        own = torch.ones(len(self.x), sets.own_size, dtype=torch.bool)
        slots = self.mask.repeat_interleave(sets.slot_size, 1) if planner.layout.slots else self.mask
        features = torch.cat([own, slots], 1)[:, None]
        moments = torch.cat([torch.zeros_like(self.counted[:, :1]), self.counted], 1)
        return features & moments[..., None]
