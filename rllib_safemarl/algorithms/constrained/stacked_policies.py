"""Policies whose modules are alike, as one: a batched call, a batched optimiser."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from gymnasium.spaces.utils import flatdim
from ray.util.debug import log_once
from torch import Tensor, nn

from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.nn.stacked_adam import StackedAdam
from rllib_safemarl.nn.stacked_modules import StackedModules, stack_modules, structure

logger = logging.getLogger(__name__)

STACKED_FROM = 3
"""Fewer policies than these are quicker one by one."""


class StackedPolicies:
    """M policies seen as a :class:`TrainablePolicy`: rows of the first member, then of the second, ….

    The modules keep the parameters, and RLlib's optimisers their moments; :meth:`load` copies both into
    stacks ``[M, ...]`` and :meth:`store` back.

    Args:
        policies: alike, see :func:`stack_alike`.
        optimizers: each policy's Adam.
        modules: the policies' forward passes, stacked.
    """

    def __init__(
        self,
        policies: Sequence[TrainablePolicy],
        optimizers: Sequence[torch.optim.Optimizer],
        modules: StackedModules,
    ) -> None:
        self._policies, self._optimizers, self._modules = tuple(policies), tuple(optimizers), modules
        self.distribution = policies[0].distribution
        trained = [name for name, stack in modules.stacks.items() if stack.requires_grad]
        self._members = [modules.members[name] for name in trained]
        self.parameters: list[Any] = [modules.stacks[name] for name in trained]
        settings = self._optimizers[0].param_groups[0]
        self.optimizer = StackedAdam(self.parameters, settings["betas"], settings["eps"])

    def __len__(self) -> int:
        """M."""
        return len(self._policies)

    def inputs(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[M * B, P]`` for views ``[M * B, V]``."""
        return self._modules(views.view(len(self), -1, *views.shape[1:])).flatten(0, 1)

    @torch.no_grad()
    def load(self) -> None:
        """Take over the modules' parameters and the optimisers' moments, steps and learning rates."""
        for policy in self._policies:
            policy.module.train()
        self._modules.load()
        adam, states = self.optimizer, [optimizer.state for optimizer in self._optimizers]
        for k, members in enumerate(self._members):
            known = [state.get(parameter) for state, parameter in zip(states, members, strict=True)]
            for stack, name in ((adam.means[k], "exp_avg"), (adam.squares[k], "exp_avg_sq")):
                none = torch.zeros_like(stack[0])
                torch.stack([moments[name] if moments else none for moments in known], out=stack)
        for m, (state, optimizer) in enumerate(zip(states, self._optimizers, strict=True)):
            # Parameters that no gradient reaches have no steps.
            steps = [float(state[members[m]]["step"]) for members in self._members if members[m] in state]
            adam.rates[m], adam.steps[m] = float(optimizer.param_groups[0]["lr"]), max(steps, default=0.0)

    @torch.no_grad()
    def store(self) -> None:
        """Give parameters, moments and steps back."""
        adam = self.optimizer
        moved = torch.nonzero(adam.steps).flatten().tolist()
        for k, (stack, members) in enumerate(zip(self.parameters, self._members, strict=True)):
            for m in [] if stack.grad is None else moved:
                members[m].copy_(stack[m])
                self._optimizers[m].state[members[m]].update(
                    step=torch.tensor(float(adam.steps[m]), device=stack.device),
                    exp_avg=adam.means[k][m].clone(),
                    exp_avg_sq=adam.squares[k][m].clone(),
                )


class _Forward(nn.Module):
    """A policy's forward pass as a module's, with the policy's module among its own."""

    def __init__(self, policy: TrainablePolicy) -> None:
        super().__init__()
        self.module = policy.module
        self._inputs = policy.inputs

    def forward(self, views: Tensor) -> Tensor:
        return self._inputs(views)


def stack_alike(
    policies: Sequence[TrainablePolicy],
    optimizers: Sequence[torch.optim.Optimizer],
    settings: Sequence[Hashable],
) -> list[tuple[list[int], StackedPolicies | None]]:
    """Those of some policies that can be updated as one, and, without a stack, those that cannot.

    Recurrent policies go by themselves.

    Args:
        policies: any.
        optimizers: theirs.
        settings: of each one's update; only equal ones go together.

    Returns:
        Places in ``policies``, rising, with their stack.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, (policy, optimizer, setting) in enumerate(zip(policies, optimizers, settings, strict=True)):
        alike.setdefault((_likeness(policy, optimizer), setting), []).append(place)
    return [
        (places, _stack([policies[k] for k in places], [optimizers[k] for k in places]))
        for places in alike.values()
    ]


def _likeness(policy: TrainablePolicy, optimizer: torch.optim.Optimizer) -> Hashable:
    is_module = isinstance(policy.module, nn.Module)
    if policy.recurrent or not is_module or type(optimizer) is not torch.optim.Adam:
        return id(policy)
    parts = optimizer.param_groups
    options = repr([(k, v) for part in parts for k, v in part.items() if k not in ("params", "lr")])
    group = policy.group
    return structure(policy.module), group.kind, len(group.agents), type(policy.distribution), options


def _stack(
    policies: Sequence[TrainablePolicy], optimizers: Sequence[torch.optim.Optimizer]
) -> StackedPolicies | None:
    if len(policies) < STACKED_FROM:
        return None
    for policy in policies:
        policy.module.train()
    stack = stack_modules(list(map(_Forward, policies)), flatdim(policies[0].group.observation_space))
    if isinstance(stack, StackedModules):
        return StackedPolicies(policies, optimizers, stack)
    name = type(policies[0].module).__name__
    if log_once(f"not_stacked_{name}"):
        logger.warning("Modules %s are updated one by one: %s.", name, stack)
    return None
