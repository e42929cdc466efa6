"""The learner of FISOR: feasible values, values of rewards, and weighted denoising of actions at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rllib_safemarl.algorithms.offline_actor_critic.batches import Transitions
from rllib_safemarl.algorithms.offline_actor_critic.scales import value_scale, view_scales
from rllib_safemarl.algorithms.offline_actor_critic.transition_learner import TransitionLearner
from rllib_safemarl.data.normaliser import NormaliserStatistics
from rllib_safemarl.functional.diffusion_training import training_pair, training_steps
from rllib_safemarl.functional.expectile import expectile_loss
from rllib_safemarl.functional.feasibility import (
    feasibility_target,
    imitation_weights,
    lower_expectile_loss,
    violation,
)
from rllib_safemarl.offline.source import Source
from rllib_safemarl.offline.windows import WindowBatch
from rllib_safemarl.policies.action_sampler import ActionSampler


class FISORLearner(TransitionLearner):
    """Learns one :class:`ActionSampler` per policy, all of its agents alike."""

    def build(self) -> None:
        """Build the networks."""
        if self._is_built:
            return
        super().build()
        self._samplers: dict[str, ActionSampler] = {
            g.policy: self.module[g.policy].sampler for g in self.groups
        }

    def prepare(self, source: Source) -> None:
        """Find out the scale of what is seen and earned."""
        self._danger_cost = source.schema.danger_cost
        if self._batches == 0:
            for group in self.groups:
                self._set_scales(self._samplers[group.policy], group.kind, source.statistics)

    def _set_scales(self, sampler: ActionSampler, kind: str, statistics: NormaliserStatistics) -> None:
        layout = self._policy_views.layouts[kind]
        mean, deviation = view_scales(statistics, self._recorded, kind, layout)
        scale = value_scale(statistics["rewards"], self.config.gamma)[0]
        for buffer, value in ((sampler.mean, mean), (sampler.deviation, deviation), (sampler.scale, scale)):
            buffer.copy_(torch.as_tensor(value, dtype=torch.float32))

    def learn(self, windows: WindowBatch) -> None:
        """One step of all networks of every policy that is trained."""
        for policy, rows in self.read(windows).items():
            if not self.should_module_be_updated(policy):
                continue
            sampler = self._samplers[policy]
            losses, shares = self._losses(sampler, rows)
            parameters = [parameter for parameter in sampler.parameters() if parameter.requires_grad]
            self.step(policy, None, self.means(policy, losses, rows), parameters)
            self.log(policy, self.means(policy, shares, rows))
            self._follow(sampler)
        self._batches += 1

    def _losses(
        self, sampler: ActionSampler, rows: Transitions
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses ``[M]`` by name, and what else to report."""
        config = self.config
        x, next_x = sampler.state(rows.views)[0], sampler.state(rows.next_views)[0]
        action = sampler.action.encode(rows.actions)
        with torch.no_grad():
            h = violation(rows.cost.sum(-1) > self._danger_cost, config.danger_height)
            target_h = feasibility_target(h, sampler.v_h(next_x), rows.ended, config.gamma)
            target = rows.reward / sampler.scale
            target = target + config.gamma * torch.where(rows.ended, 0.0, sampler.v(next_x))
            q_h = sampler.target_q_h(x, action).amax(0)
            q = sampler.target_q.smaller(x, action)
        v_h, v = sampler.v_h(x), sampler.v(x)
        weights = self._weights(rows, q - v.detach(), v_h.detach(), q_h)
        losses = {
            "feasibility_q_loss": (sampler.q_h(x, action) - target_h).square().sum(0),
            "feasibility_value_loss": lower_expectile_loss(q_h - v_h, config.feasibility_expectile),
            "q_loss": (sampler.q(x, action) - target).square().sum(0),
            "value_loss": expectile_loss(q - v, config.expectile),
            "diffusion_loss": weights * self._denoising(sampler, x, sampler.encode(rows.actions)),
        }
        return losses, {"feasible_share": (v_h <= 0.0).float(), "weight_mean": weights}

    def _weights(self, rows: Transitions, advantage: Tensor, v_h: Tensor, q_h: Tensor) -> Tensor:
        deviation = advantage[rows.counted > 0.0].std().clamp_min(1e-6)
        gains = (self.config.reward_gain, self.config.safety_gain)
        return imitation_weights(advantage / deviation, v_h, q_h, gains, self.config.weight_clip)

    def _denoising(self, sampler: ActionSampler, x: Tensor, action: Tensor) -> Tensor:
        """Squared error ``[M]`` per dimension of the action, of actions noised to random steps."""
        config, known = self.config, sampler.known(x)
        window = torch.cat([action, x], -1)[:, None]
        noise = torch.randn(window.shape, generator=self.generator).to(x.device)
        steps = training_steps(len(x), sampler.schedule.num_steps, config.noise_bias, self.generator)
        steps = steps.to(x.device)
        noised, target = training_pair(window, noise, steps, sampler.schedule, config.prediction, known)
        error = (sampler.denoiser(noised, steps) - target)[:, 0, : action.shape[-1]]
        return error.square().mean(-1)

    def _follow(self, sampler: ActionSampler) -> None:
        """Let slow copies and averaged weights follow; the first ones count less."""
        config, begun = self.config, self._batches
        averaged = min(config.weights_decay, (1.0 + begun) / (10.0 + begun))
        pairs: list[tuple[nn.Module, nn.Module, float]] = [
            (sampler.q_h, sampler.target_q_h, config.target_decay),
            (sampler.q, sampler.target_q, config.target_decay),
            (sampler.denoiser, sampler.acting_denoiser, averaged),
        ]
        for source, target, decay in pairs:
            get_ema_multi_avg_fn(decay)(list(target.parameters()), list(source.parameters()), None)
