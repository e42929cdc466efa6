"""Policies of one agent each whose modules are alike, as one: a batched call, a batched optimiser."""

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

logger = logging.getLogger(__name__)


class StackedPolicies:
    """M policies seen as a :class:`TrainablePolicy`: rows of the first member, then of the second, ….

    The modules keep the parameters, and RLlib's optimisers their moments; :meth:`load` copies both into
    stacks ``[M, ...]`` and :meth:`store` back.

    Args:
        policies: alike, see :func:`stack_alike`.
        optimizers: each policy's Adam.
    """

    def __init__(
        self, policies: Sequence[TrainablePolicy], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self.policies, self._optimizers = tuple(policies), tuple(optimizers)
        self.distribution = policies[0].distribution
        calls = [_Call(policy) for policy in policies]
        self._state, self._buffers = torch.func.stack_module_state(calls)
        tables = [dict(call.named_parameters()) for call in calls]
        self._members = {name: [table[name] for table in tables] for name in self._state}
        tables = [dict(call.named_buffers()) for call in calls]
        self._fixed = {name: [table[name] for table in tables] for name in self._buffers}
        trained = [name for name, stack in self._state.items() if stack.requires_grad]
        self._trained = [self._members[name] for name in trained]
        self.parameters: list[Any] = [self._state[name] for name in trained]
        settings = self._optimizers[0].param_groups[0]
        self.optimizer = StackedAdam(self.parameters, settings["betas"], settings["eps"])

        def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor], views: Tensor) -> Tensor:
            return torch.func.functional_call(calls[0], (parameters, buffers), (views,))

        self._call = torch.vmap(call)

    def __len__(self) -> int:
        """M."""
        return len(self.policies)

    def inputs(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[M * B, P]`` for views ``[M * B, V]``."""
        stacked = views.view(len(self), -1, *views.shape[1:])
        return self._call(self._state, self._buffers, stacked).flatten(0, 1)

    def train(self) -> None:
        """Put all modules into training mode."""
        for policy in self.policies:
            if isinstance(policy.module, nn.Module):
                policy.module.train()

    @torch.no_grad()
    def load(self) -> None:
        """Take over the modules' parameters and the optimisers' moments, steps and learning rates."""
        self._buffers = {name: torch.stack(members) for name, members in self._fixed.items()}
        for name, stack in self._state.items():
            torch.stack(self._members[name], out=stack.detach())
        adam, states = self.optimizer, [optimizer.state for optimizer in self._optimizers]
        for k, members in enumerate(self._trained):
            known = [state.get(parameter) for state, parameter in zip(states, members, strict=True)]
            for stack, name in ((adam.means[k], "exp_avg"), (adam.squares[k], "exp_avg_sq")):
                none = torch.zeros_like(stack[0])
                torch.stack([moments[name] if moments else none for moments in known], out=stack)
        for m, (state, optimizer) in enumerate(zip(states, self._optimizers, strict=True)):
            # Parameters that no gradient reaches have no steps.
            steps = [float(state[members[m]]["step"]) for members in self._trained if members[m] in state]
            adam.rates[m], adam.steps[m] = float(optimizer.param_groups[0]["lr"]), max(steps, default=0.0)

    @torch.no_grad()
    def store(self) -> None:
        """Give parameters, moments and steps back."""
        adam = self.optimizer
        for k, (stack, members) in enumerate(zip(self.parameters, self._trained, strict=True)):
            for m in [] if stack.grad is None else torch.nonzero(adam.steps).flatten().tolist():
                members[m].copy_(stack[m])
                self._optimizers[m].state[members[m]].update(
                    step=torch.tensor(float(adam.steps[m]), device=stack.device),
                    exp_avg=adam.means[k][m].clone(),
                    exp_avg_sq=adam.squares[k][m].clone(),
                )


class _Call(nn.Module):
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

    Modules are alike if they are of one class and kind with parameters of one shape each, if ``vmap`` can
    call them, and if it then gives what they give themselves. Recurrent ones go by themselves.

    Args:
        policies: any.
        optimizers: theirs.
        settings: of each one's update; only equal ones go together.

    Returns:
        Places in ``policies``, rising, with their stack.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, (policy, optimizer, setting) in enumerate(zip(policies, optimizers, settings, strict=True)):
        alike.setdefault((_shape(policy), _options(optimizer), setting), []).append(place)
    parts: list[tuple[list[int], StackedPolicies | None]] = []
    for places in alike.values():
        stack = None
        if len(places) > 1 and type(optimizers[places[0]]) is torch.optim.Adam:
            stack = _tried([policies[k] for k in places], [optimizers[k] for k in places])
        parts.append((places, stack))
    return parts


def _shape(policy: TrainablePolicy) -> Hashable:
    def sizes(tensors: Any) -> Hashable:
        return tuple((name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors)

    module = policy.module
    if policy.recurrent or not isinstance(module, nn.Module):
        return id(policy)
    parts = sizes(module.named_parameters()), sizes(module.named_buffers())
    return type(module), policy.group.kind, len(policy.group.agents), type(policy.distribution), parts


def _options(optimizer: torch.optim.Optimizer) -> Hashable:
    """What a stack's optimiser has for all members alike."""
    options = [
        (k, v) for group in optimizer.param_groups for k, v in group.items() if k not in ("params", "lr")
    ]
    return repr(options)


def _tried(
    policies: Sequence[TrainablePolicy], optimizers: Sequence[torch.optim.Optimizer]
) -> StackedPolicies | None:
    """A stack that has acted as its members do on a few rows, or ``None``."""
    why = "together they give other outputs than one by one"
    try:
        stack = StackedPolicies(policies, optimizers)
        size = flatdim(policies[0].group.observation_space)
        rows = torch.randn(len(stack), 3, size, generator=torch.Generator().manual_seed(0))
        rows = rows.to(stack.parameters[0].device)
        with torch.no_grad():
            stack.train()
            together = stack.inputs(rows.flatten(0, 1))
            alone = torch.cat([policy.inputs(r) for policy, r in zip(policies, rows, strict=True)])
        if torch.allclose(together, alone, rtol=1e-4, atol=1e-5):
            return stack
    except Exception as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
    name = type(policies[0].module).__name__
    if log_once(f"not_stacked_{name}"):
        logger.warning("Modules %s are updated one by one: %s.", name, why)
    return None
