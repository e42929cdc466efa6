"""The trust-region step of one policy, with products and sums over all learners."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays, sum_tensor
from rllib_safemarl.algorithms.constrained.policy_data import PolicyData
from rllib_safemarl.algorithms.constrained.policy_update import StepResult, measure
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.conjugate_gradients import (
    conjugate_gradients,
    flat_gradient,
    hessian_product,
)
from rllib_safemarl.functional.multipliers import EpisodeCost
from rllib_safemarl.functional.trust_region import Case, TrustRegionStep, accepts, trust_region_step


@dataclass(frozen=True)
class TrustRegionSettings:
    """Settings of the trust-region step.

    Attributes:
        radius: δ, nats; with 0 the policy stays where it is.
        entropy_coeff: weight of the entropy in the reward's surrogate, reward per nat.
        conjugate_gradient_steps: products per system.
        damping: added to the Fisher matrix's diagonal.
        line_search_steps: lengths tried.
        line_search_shrink: each over the one before.
        clip: ε outside of which ratios are counted, for the report alone.
    """

    radius: float
    entropy_coeff: float
    conjugate_gradient_steps: int
    damping: float
    line_search_steps: int
    line_search_shrink: float
    clip: float


@dataclass(frozen=True)
class StepProblem:
    """What a step shall do.

    Attributes:
        reward: ``[T * N, G]`` M · A, A normalised; its mean over acting rows times the ratio is to rise.
        costs: ``[m, T * N, G]`` M · A_j, centred, in units of cost per step.
        excess: ``[m]`` (Ĵ_c - limit) / T̄, cost per step.
    """

    reward: Tensor
    costs: Tensor
    excess: NDArray[np.float64]


def step_problem(
    reward: Tensor,
    costs: Tensor,
    group: Group,
    limits: NDArray[np.float64],
    estimate: EpisodeCost,
    held: NDArray[np.intp],
) -> StepProblem:
    """The problem of one policy; agents that share it share a constraint on their mean cost.

    Args:
        reward: as in :class:`StepProblem`.
        costs: as there.
        group: the policy's agents.
        limits: ``[m]`` or ``[G, m]`` of the held costs, per episode.
        estimate: of all costs.
        held: ``[m]`` indices of the held costs among all.
    """
    above = estimate.cost[np.ix_(group.agents, held)] - limits
    return StepProblem(reward, costs, above.mean(0) / estimate.length)


def trust_region_update(
    policy: TrainablePolicy, data: PolicyData, problem: StepProblem, settings: TrustRegionSettings
) -> StepResult:
    """One step of constrained policy optimisation; every learner takes the same one.

    Args:
        policy: the policy; its parameters are moved in place.
        data: its rows.
        problem: objective and constraints.
        settings: of the step.
    """
    if settings.radius <= 0.0:
        return replace(measure(policy, data, settings.clip), details={"trust_region_radius": 0.0})
    if isinstance(policy.module, torch.nn.Module):
        policy.module.train()
    (count,) = sum_arrays(float(data.mask.sum()))
    search = _Search(policy, data, problem, settings, max(float(count), 1.0))
    direction, step = search.direction()
    length, gain, change = search.along(direction, step)
    details = {
        "trust_region_radius": settings.radius,
        "line_search_length": length,
        "surrogate_gain": gain,
        **{f"trust_region_{case.value}": float(step.case is case) for case in Case},
    }
    if len(change):
        details |= {
            "surrogate_cost_change": float(change.max()),
            "trust_region_multiplier": float(step.multipliers.max()),
            "constraint_excess": float(problem.excess.max()),
        }
    return replace(measure(policy, data, settings.clip), loss=-gain, epochs=int(length > 0), details=details)


class _Search:
    """Direction and length of one step; ``count`` acting rows on all learners together."""

    def __init__(
        self,
        policy: TrainablePolicy,
        data: PolicyData,
        problem: StepProblem,
        settings: TrustRegionSettings,
        count: float,
    ) -> None:
        self._policy, self._settings, self._problem = policy, settings, problem
        self._data, self._actions = data, data.actions.flatten(0, 1)
        self._log_prob, self._weight = data.log_prob.flatten(), data.mask.flatten() / count
        self._signals = torch.cat([problem.reward[None], problem.costs]).flatten(1)
        with torch.no_grad():
            self._old = data.new_inputs(policy)

    def _surrogates(self, inputs: Tensor) -> Tensor:
        """Reward and costs ``[1 + m]`` of this learner's rows."""
        distribution = self._policy.distribution
        ratio = (distribution.log_prob(inputs, self._actions) - self._log_prob).exp()
        values = self._signals @ (ratio * self._weight)
        if self._settings.entropy_coeff:
            bonus = (distribution.entropy(inputs) * self._weight).sum() * self._settings.entropy_coeff
            values = torch.cat([values[:1] + bonus, values[1:]])
        return values

    def _kl(self, inputs: Tensor) -> Tensor:
        return (self._policy.distribution.kl(self._old, inputs) * self._weight).sum()

    def direction(self) -> tuple[Tensor, TrustRegionStep]:
        """The whole step ``[D]`` that the quadratic problem asks for."""
        parameters, settings = self._policy.parameters, self._settings
        inputs = self._data.new_inputs(self._policy)
        values = self._surrogates(inputs)
        gradients = torch.stack([flat_gradient(value, parameters, keep=True) for value in values])
        sum_tensor(gradients)
        local = hessian_product(self._kl(inputs), parameters)

        def product(vector: Tensor) -> Tensor:
            return sum_tensor(local(vector)) + settings.damping * vector

        steps = settings.conjugate_gradient_steps
        natural = torch.stack([conjugate_gradients(product, g, steps) for g in gradients])
        table = (gradients.double() @ natural.double().T).cpu().numpy()
        table = (table + table.T) / 2.0
        step = trust_region_step(
            float(table[0, 0]), table[0, 1:], table[1:, 1:], self._problem.excess, settings.radius
        )
        along = torch.as_tensor(np.concatenate([[step.along_reward], -step.along_cost])).to(natural)
        return along @ natural, step

    @torch.no_grad()
    def along(self, direction: Tensor, step: TrustRegionStep) -> tuple[float, float, NDArray[np.float64]]:
        """Go as far as is accepted; the share of the step, and the surrogates' changes."""
        parameters, settings = self._policy.parameters, self._settings
        unmoved = np.zeros(len(self._problem.excess))
        if step.case is Case.STUCK:
            return 0.0, 0.0, unmoved
        start = torch.nn.utils.parameters_to_vector(parameters)
        (before,) = sum_arrays(self._surrogates(self._old).double().cpu().numpy())
        length = 1.0
        for _ in range(settings.line_search_steps):
            torch.nn.utils.vector_to_parameters(start + length * direction, parameters)
            inputs = self._data.new_inputs(self._policy)
            after, kl = sum_arrays(self._surrogates(inputs).double().cpu().numpy(), float(self._kl(inputs)))
            change = after - before
            if accepts(float(kl), change[0], change[1:], self._problem.excess, settings.radius):
                return length, float(change[0]), change[1:]
            length *= settings.line_search_shrink
        torch.nn.utils.vector_to_parameters(start, parameters)
        return 0.0, 0.0, unmoved
