"""How FISOR acts: sample actions, take the least infeasible."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rllib_safemarl.functional.diffusion_samplers import SOLVERS, Sampler, solver_steps
from rllib_safemarl.policies.action_sampler import ActionSampler
from rllib_safemarl.policies.deciding import DecidingPolicy
from rllib_safemarl.settings import Setting, at_least, counts, one_of

SAMPLING_SETTINGS: dict[str, Setting] = {
    "n_candidates": Setting(
        16, "actions", "sampled in every state, of which the least infeasible is taken", **counts(1)
    ),
    "solver": Setting("ddim", "-", "that samples actions", **one_of(*SOLVERS)),
    "solver_steps": Setting(5, "steps", "of the solver", **counts(1)),
    "start_noise": Setting(
        1.0,
        "-",
        "standard deviation of the noise that actions start from; the first starts from none",
        **at_least(0.0),
    ),
}
"""What can be changed of policies that are trained."""


@dataclass(frozen=True)
class SampledDecision:
    """What B agents decided.

    Attributes:
        actions: ``[B, D]`` in [-1, 1] per dimension, or choices ``[B, ...]``.
        flags: ``infeasible``: no action was expected to keep the agent safe, Q_h > 0 for all.
    """

    actions: Tensor
    flags: dict[str, Tensor]


class SamplingPolicy(DecidingPolicy):
    """Samples actions and takes the one of least Q_h; with the same noise in every state.

    Args:
        sampler: the networks.
    """

    changeable = SAMPLING_SETTINGS
    flags = ("infeasible",)

    def __init__(self, sampler: ActionSampler) -> None:
        super().__init__(sampler)
        self.sampler = sampler
        self._generator = torch.Generator()
        self._noise: Tensor | None = None
        self.forget()

    def forget(self) -> None:
        """Begin the sequence of random numbers anew."""
        self._generator.manual_seed(0)

    def decide(self, views: Tensor) -> SampledDecision:
        """Sample and choose for raw views ``[B, V]``."""
        with torch.no_grad():
            return self._decide(views)

    def _decide(self, views: Tensor) -> SampledDecision:
        sampler = self.sampler
        x, _ = sampler.state(views)
        candidates = self.candidates(x)
        wide = x[:, None].expand(-1, candidates.shape[1], -1)
        infeasible = sampler.q_h(wide, sampler.action.encode(candidates)).amax(0)
        least, best = infeasible.min(1)
        chosen = candidates[torch.arange(len(x), device=x.device), best]
        return SampledDecision(chosen, {"infeasible": least > 0.0})

    def candidates(self, x: Tensor) -> Tensor:
        """Actions ``[B, N, D]``, or choices ``[B, N, ...]``, for normalised states ``x [B, V]``."""
        sampler, settings = self.sampler, self.sampler.settings
        count, size = settings["n_candidates"], sampler.action.encoded
        if self._noise is None or len(self._noise) != count:
            self._noise = torch.randn(count, 1, size, generator=torch.Generator().manual_seed(0))
            self._noise[0] = 0.0
        start = (settings["start_noise"] * self._noise).to(x.device).repeat(len(x), 1, 1)
        states = x.repeat_interleave(count, 0)
        table = solver_steps(sampler.schedule, settings["solver"], settings["solver_steps"])
        drawn = Sampler(table, settings["prediction"], clip=1.0)(
            sampler.acting_denoiser,
            torch.cat([start, states[:, None]], -1),
            sampler.known(states),
            generator=self._generator,
        )
        return sampler.decode(drawn[:, 0, :size]).unflatten(0, (len(x), count))
