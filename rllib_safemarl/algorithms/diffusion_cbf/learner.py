"""The learner of DIFFUSION_CBF: first the barrier, then the critics, then the plans."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ALL_MODULES
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rllib_safemarl.algorithms.collectives import num_learners, sum_gradients
from rllib_safemarl.algorithms.diffusion_cbf.losses import (
    barrier_losses,
    critic_losses,
    diffusion_loss,
    plan_losses,
    window_conditions,
)
from rllib_safemarl.algorithms.diffusion_cbf.prepare import LABELS
from rllib_safemarl.algorithms.diffusion_cbf.rows import Rows
from rllib_safemarl.algorithms.diffusion_cbf.statistics import (
    Labelled,
    calibrate,
    dangerous_episodes,
    fit_changes,
    fit_normaliser,
    held_out,
    return_floor,
    warn_of_blindness,
)
from rllib_safemarl.algorithms.offline.learner import OfflineLearner
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.barrier import check_rate
from rllib_safemarl.functional.diffusion_conditions import quantile_table
from rllib_safemarl.offline.source import Source
from rllib_safemarl.offline.windows import Pieces, WindowBatch, WindowCutter
from rllib_safemarl.policies.planner import Planner, check_beta

PROGRESS = "diffusion_cbf"
"""Key of a learner's state under which ours stands."""
STAGES = ("barrier", "critics", "plans")
SAMPLED_WINDOWS = 2048
"""From which scales are estimated."""
TARGET_DECAY = 0.99
"""Of the moving average of Q's weights that V learns from."""
WARM_UP = 100
"""Batches over which a stage's learning rate rises."""


class DiffusionCBFLearner(OfflineLearner):
    """Learns one :class:`Planner` per policy, all of its agents alike."""

    own_key = PROGRESS
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
        self._facts: dict[str, dict[str, float]] = {}
        self._conditions: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(self._seed)
        self._source: Source | None = None

    def prepare(self, source: Source) -> None:
        """Find out what the planners must know of the data."""
        self._source = source
        assert source.dataset is not None
        config = self.config
        self._floor = return_floor(source.dataset, config.gamma, config.danger_penalty)
        rate = check_rate(config.alpha, source.schema.step_seconds or 1.0)
        if self._batches > 0:
            return
        calibration = held_out(config, "calibration")
        for group in self.groups:
            settings = self._planners[group.policy].settings
            check_beta(settings, dangerous_episodes(calibration, group.agents))
        windows = self._spread(SAMPLED_WINDOWS)
        views = self.window_views(windows)
        for group in self.groups:
            planner = self._planners[group.policy]
            planner.rate.fill_(rate)
            picked = np.ascontiguousarray(group.pick(views[group.kind]).swapaxes(1, 2))
            fit_normaliser(planner, torch.from_numpy(picked).flatten(0, 1).to(self._device))
            fit_changes(planner, Rows(self, planner, group, windows, views[group.kind]))

    # Stages.

    @property
    def stage(self) -> tuple[str, float]:
        """What is learned now, and what factor of the learning rate."""
        config, done = self.config, self._batches
        for name, batches in zip(
            STAGES, (config.barrier_batches, config.critic_batches, config.plan_batches), strict=True
        ):
            if batches is None:
                return name, min(1.0, (done + 1) / WARM_UP)
            if done < batches or name == STAGES[-1]:
                falling = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / batches)))
                return name, min(1.0, (done + 1) / WARM_UP) * max(falling, 1e-2)
            done -= batches
        raise AssertionError

    def learn(self, windows: WindowBatch) -> None:
        """One step of every planner."""
        stage, factor = self.stage
        if self._batches >= self.config.barrier_batches and not self._facts:
            self._calibrate()
        if stage == "plans" and not self._conditions:
            self._find_conditions()
        views = self.window_views(windows)
        for group in self.groups:
            if not self.should_module_be_updated(group.policy):
                continue
            planner = self._planners[group.policy]
            rows = Rows(self, planner, group, windows, views[group.kind])
            losses = self._losses(stage, planner, rows, group)
            self._step(group.policy, losses, factor)
            self._average(planner, stage)
            for name, loss in losses.items():
                self._logged.setdefault(group.policy, {}).setdefault(name, []).append(loss.detach())
        self._batches += 1

    def _losses(self, stage: str, planner: Planner, rows: Rows, group: Group) -> dict[str, Tensor]:
        if stage == "barrier":
            return barrier_losses(planner, rows, self.config)
        if stage == "critics":
            return critic_losses(planner, rows, self.config, self._floor)
        rows.shuffle_slots(self._generator)
        y = self._conditions[group.policy][rows.numbers].flatten(0, 1).to(rows.x.device)
        return {
            "diffusion_loss": self.diffusion_loss(planner, rows, y, group),
            **plan_losses(planner, rows, y, self.config),
        }

    def diffusion_loss(self, planner: Planner, rows: Rows, y: Tensor, group: Group) -> Tensor:
        """The denoiser's loss on windows with conditions y ``[M, 2]``."""
        return diffusion_loss(planner, rows, y, self.config, self._generator)

    def _step(self, policy: str, losses: dict[str, Tensor], factor: float) -> None:
        optimizer = self.get_optimizer(policy)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack([loss for loss in losses.values() if loss.requires_grad]).sum()
        (loss / num_learners()).backward()
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        sum_gradients(parameters)
        self.clipper(policy)(parameters)
        for group in optimizer.param_groups:
            group["lr"] *= factor
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] /= factor

    def _average(self, planner: Planner, stage: str) -> None:
        """Let the averaged weights follow; the first ones count less, or they would never be forgotten."""
        pairs: dict[str, tuple[nn.Module, nn.Module, float]] = {
            "critics": (planner.q, planner.target_q, TARGET_DECAY),
            "plans": (planner.denoiser, planner.acting_denoiser, self.config.weights_decay),
        }
        if stage not in pairs:
            return
        source, target, decay = pairs[stage]
        config = self.config
        begun = self._batches - config.barrier_batches - (config.critic_batches if stage == "plans" else 0)
        decay = min(decay, (1.0 + begun) / (10.0 + begun))
        get_ema_multi_avg_fn(decay)(list(target.parameters()), list(source.parameters()), None)

    # Between stages; what was frozen gives the same again in a restored run.

    def _spread(self, count: int) -> WindowBatch:
        """Windows spread over the dataset."""
        cutter = self._cutter()
        return cutter.cut(np.linspace(0, len(cutter) - 1, min(count, len(cutter))).astype(np.int64))

    def _cutter(self) -> WindowCutter:
        assert self._source is not None and self._source.dataset is not None
        return WindowCutter(Pieces.of(self._source.dataset), self.config.horizon)

    def _calibrate(self) -> None:
        """Find how far the barrier is lowered, on episodes that it did not learn from."""
        splits = [held_out(self.config, name) for name in ("calibration", "selection")]
        seen = []
        for dataset in splits:
            values = {name: dataset[f"observations/{kind}"] for name, kind in self._recorded.items()}
            positions = dataset["positions"] if "positions" in dataset else None
            edges = dataset["neighbours"].astype(np.int32) if "neighbours" in dataset else None
            seen.append(self._policy_views(values, dataset["active"], positions, edges))
        for group in self.groups:
            labelled = [
                Labelled(np.ascontiguousarray(group.pick(views[group.kind])), group.agents, dataset)
                for views, dataset in zip(seen, splits, strict=True)
            ]
            facts = calibrate(self._planners[group.policy], *labelled)
            warn_of_blindness(group.policy, facts, self.config.danger_horizon)
            self._facts[group.policy] = facts

    def _find_conditions(self) -> None:
        """Y of every window of the dataset, as ranks; barrier and critics are frozen now."""
        cutter, config = self._cutter(), self.config
        found: dict[str, list[tuple[Tensor, Tensor]]] = {group.policy: [] for group in self.groups}
        for part in np.array_split(np.arange(len(cutter)), max(1, len(cutter) // SAMPLED_WINDOWS)):
            windows = cutter.cut(part)
            views = self.window_views(windows)
            for group in self.groups:
                planner = self._planners[group.policy]
                rows = Rows(self, planner, group, windows, views[group.kind])
                found[group.policy].append(window_conditions(planner, rows, config, self._floor))
        for group in self.groups:
            planner = self._planners[group.policy]
            barrier, returns = (torch.cat(part) for part in zip(*found[group.policy], strict=True))
            for entry, values in enumerate((barrier, returns)):
                planner.ranks[entry] = quantile_table(values)
            y = planner.conditions(barrier, returns)
            self._conditions[group.policy] = y.unflatten(0, (-1, len(group.agents))).cpu()

    def window_views(self, windows: WindowBatch) -> dict[str, np.ndarray]:
        """Views ``[B, H + 1, A_kind, V]`` that follow the neighbours of a window's first moment."""
        values = {name: windows[f"observations/{kind}"] for name, kind in self._recorded.items()}
        positions = windows["positions"] if "positions" in windows.columns else None
        near = None
        if "neighbours" in windows.columns:
            near = self._policy_views.neighbours(windows["neighbours"][:, :1].astype(np.int32))
            # Of kappa 0 they are the same nobody at every moment, [A, 0].
            shape = (len(windows), windows["active"].shape[1], *near.index.shape[-2:])
            near = type(near)(np.broadcast_to(near.index, shape), np.broadcast_to(near.hops, shape))
        return self._policy_views(values, windows["active"], positions, None, near)

    def report(self) -> None:
        """Mean losses since the last report, and what is known of the barrier."""
        totals = []
        for policy, losses in self._logged.items():
            means = {name: float(torch.stack(values).mean()) for name, values in losses.items()}
            for name, value in {**means, **self._facts.get(policy, {})}.items():
                self.metrics.log_value((policy, *name.split("/")), value, window=1)
            totals.append(sum(value for name, value in means.items() if name.endswith("_loss")))
            if not math.isfinite(totals[-1]):
                raise SafeMARLError(f"policy {policy!r} diverged ({means}); lower lr or grad_clip.")
        self.metrics.log_value((ALL_MODULES, "total_loss"), float(np.mean(totals)), window=1)
        self.metrics.log_value((ALL_MODULES, "stage"), float(STAGES.index(self.stage[0])), window=1)
        self._logged.clear()

    # State.

    def own_state(self) -> dict[str, Any]:
        """How far the stages are, and the generator."""
        return {"batches": self._batches, "generator": self._generator.get_state().numpy()}

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`own_state`."""
        self._batches = int(state["batches"])
        self._generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._facts.clear()
        self._conditions.clear()
