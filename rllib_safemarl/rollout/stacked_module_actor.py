"""Policies whose RLModules are alike, acting together."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from gymnasium.spaces.utils import flatdim
from ray.rllib.core.columns import Columns
from ray.util.debug import log_once

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.nn.stacked_modules import StackedModules, stack_modules, structure
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.rollout.module_actor import ModuleActor

logger = logging.getLogger(__name__)

STACKED_FROM = 5
"""Fewer modules than these are quicker one by one."""


class StackedModuleActor(Actor):
    """Policies whose RLModules are alike, by one call for all of them.

    Args:
        actors: of the single policies.
        stacks: their forward passes, to explore and not to.
    """

    def __init__(
        self, actors: Sequence[ModuleActor], stacks: Mapping[bool, StackedModules], **transform: bool
    ) -> None:
        super().__init__([group for actor in actors for group in actor.groups], **transform)
        self.distribution = actors[0].distribution
        self._stacks = stacks

    def refresh(self) -> None:
        """Take over the modules' present weights."""
        for stack in self._stacks.values():
            stack.load()

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """One pass through the stack."""
        inputs, draw = self._stacks[explore](views), self.distribution
        # A user's distribution may count on rows.
        rows = inputs.flatten(0, 1)
        actions = draw.sample(rows, generator) if explore else draw.mode(rows)
        return Choice(actions.unflatten(0, inputs.shape[:2]), inputs)


def stack_module_actors(actors: Sequence[ModuleActor], **transform: bool) -> list[Actor]:
    """The same policies, those whose modules are alike and many enough together."""
    alike: dict[Hashable, list[ModuleActor]] = {}
    for actor in actors:
        alike.setdefault(_likeness(actor), []).append(actor)
    made: list[Actor] = []
    for members in alike.values():
        stacks = _stacks(members) if len(members) >= STACKED_FROM else None
        made += members if stacks is None else [StackedModuleActor(members, stacks, **transform)]
    return made


def _likeness(actor: ModuleActor) -> Hashable:
    (group,), module = actor.groups, actor.module
    if not isinstance(module, torch.nn.Module):
        return id(actor)
    return structure(module), group.kind, len(group.rows), type(actor.distribution)


def _stacks(actors: Sequence[ModuleActor]) -> dict[bool, StackedModules] | None:
    """Forward passes by whether they explore; ``None`` where they cannot be stacked."""
    stacks, size = {}, flatdim(actors[0].groups[0].observation_space)
    for explore in (True, False):
        stack = stack_modules([_Forward(actor, explore) for actor in actors], size)
        if isinstance(stack, str):
            if log_once(f"not_sampled_together_{actors[0].name}"):
                logger.warning("%s and those like it act one by one: %s.", actors[0].name, stack)
            return None
        stacks[explore] = stack
    return stacks


class _Forward(torch.nn.Module):
    """One forward pass of an RLModule as a module's own: views ``[B, V]`` to distribution inputs."""

    def __init__(self, actor: ModuleActor, explore: bool) -> None:
        super().__init__()
        self.module: Any = actor.module
        self._space, self._run, self._explore = actor.groups[0].observation_space, actor.forward, explore

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        out = self._run({Columns.OBS: unflatten_rows(self._space, views)}, self._explore)
        if Columns.ACTIONS in out:
            raise ValueError("it chooses actions itself")
        return out[Columns.ACTION_DIST_INPUTS]
