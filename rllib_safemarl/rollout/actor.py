"""Actors for RLModules: plain MLPs together, any other module by its own forward methods."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from gymnasium.spaces.utils import flatdim
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.util.debug import log_once

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.nn.stacked_modules import StackedModules, stack_modules, structure
from rllib_safemarl.policies.actor import Actor, Choice, StackActor, stack_by_shape
from rllib_safemarl.policies.kinds import MLPPolicy, Policy
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.policies.planning_actor import PlanningActor
from rllib_safemarl.rollout.distributions import distribution_of
from rllib_safemarl.rollout.planning_module import planning_policy
from rllib_safemarl.rollout.rl_module import policy_mlp

logger = logging.getLogger(__name__)

STACKED_FROM = 5
"""Fewer modules than these are quicker one by one."""


class ModuleActor(Actor):
    """One policy, by calling its RLModule.

    Raises:
        SafeMARLError: the module is recurrent, or does not fit its spaces.
    """

    def __init__(self, group: Group, module: RLModule, normalize_actions: bool, clip_actions: bool) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self._module = module
        self.name = f"the RLModule {type(module).__name__} of policy {group.policy!r}"
        if module.is_stateful():
            raise SafeMARLError(
                f"{self.name} is recurrent (its get_initial_state() returns something); recurrent modules "
                "cannot be trained yet: stack observations in the environment."
            )
        self.distribution = distribution_of(module)
        if isinstance(module, TorchRLModule):
            module.eval()
        self._explore = _forward(module, "forward_exploration")
        self._infer = _forward(module, "forward_inference")
        self._try_out()

    def _try_out(self) -> None:
        """Act once on zeros, so that what does not fit is said before anything runs."""
        (group,) = self.groups
        space = group.action_space
        zeros = torch.zeros(1, 2, flatdim(group.observation_space))
        try:
            with torch.inference_mode(), torch.random.fork_rng(devices=[]):
                actions = self.choose(zeros, True, torch.Generator()).actions
        except SafeMARLError:
            raise
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            raise SafeMARLError(
                f"{self.name} cannot act on its observation space {group.observation_space} "
                f"({type(error).__name__}: {said}); build it from self.observation_space."
            ) from error
        if tuple(actions.shape[2:]) != (space.shape or ()):
            raise SafeMARLError(
                f"{self.name} gives actions of shape {tuple(actions.shape[2:])} where its action space is "
                f"{space}; size its output by self.action_space."
            )

    def likeness(self) -> Hashable:
        """Equal for actors that may act together."""
        (group,) = self.groups
        if not isinstance(self._module, torch.nn.Module):
            return id(self)
        return structure(self._module), group.kind, len(group.rows), type(self.distribution)

    def forward_pass(self, explore: bool) -> torch.nn.Module:
        """From views ``[B, V]`` to distribution inputs ``[B, P]``."""
        assert isinstance(self._module, torch.nn.Module)
        run = self._explore if explore else self._infer
        return _Forward(self._module, self.groups[0].observation_space, run)

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """Call the module's forward method for exploration or inference."""
        (group,) = self.groups
        batch = {Columns.OBS: unflatten_rows(group.observation_space, views[0])}
        out = self._explore(batch) if explore else self._infer(batch)
        inputs, log_prob = out.get(Columns.ACTION_DIST_INPUTS), None
        if Columns.ACTIONS in out:
            actions, log_prob = out[Columns.ACTIONS], out.get(Columns.ACTION_LOGP)
        elif inputs is not None:
            draw = self.distribution
            actions = draw.sample(inputs, generator) if explore else draw.mode(inputs)
        if (Columns.ACTIONS not in out and inputs is None) or (inputs is None and log_prob is None):
            raise SafeMARLError(
                f"{self.name} returned {sorted(out)}; it must return 'action_dist_inputs', or 'actions' "
                "and 'action_logp'."
            )
        return Choice(
            actions[None],
            None if inputs is None else inputs[None],
            None if log_prob is None else log_prob[None],
        )


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


class _Forward(torch.nn.Module):
    """One forward pass of an RLModule as a module's own."""

    def __init__(self, module: torch.nn.Module, space: Any, forward: Any) -> None:
        super().__init__()
        self.module, self._space, self._run = module, space, forward

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        out = self._run({Columns.OBS: unflatten_rows(self._space, views)})
        if Columns.ACTIONS in out:
            raise ValueError("it chooses actions itself")
        return out[Columns.ACTION_DIST_INPUTS]


def stack_module_actors(actors: Sequence[ModuleActor], **transform: bool) -> list[Actor]:
    """The same policies, those whose modules are alike and many enough together."""
    alike: dict[Hashable, list[ModuleActor]] = {}
    for actor in actors:
        alike.setdefault(actor.likeness(), []).append(actor)
    made: list[Actor] = []
    for members in alike.values():
        stacks = _stacks(members) if len(members) >= STACKED_FROM else None
        made += members if stacks is None else [StackedModuleActor(members, stacks, **transform)]
    return made


def _stacks(actors: Sequence[ModuleActor]) -> dict[bool, StackedModules] | None:
    """Forward passes by whether they explore; ``None`` where they cannot be stacked."""
    stacks, size = {}, flatdim(actors[0].groups[0].observation_space)
    for explore in (True, False):
        stack = stack_modules([actor.forward_pass(explore) for actor in actors], size)
        if isinstance(stack, str):
            if log_once(f"not_sampled_together_{actors[0].name}"):
                logger.warning("%s and those like it act one by one: %s.", actors[0].name, stack)
            return None
        stacks[explore] = stack
    return stacks


def make_actors(
    groups: Sequence[Group], module: MultiRLModule, normalize_actions: bool, clip_actions: bool
) -> list[Actor]:
    """Actors for all groups: MLPs of equal shape together, any other module by itself."""
    plain = policy_mlps(groups, module)
    actors: list[Actor] = []
    single: list[ModuleActor] = []
    transform = {"normalize_actions": normalize_actions, "clip_actions": clip_actions}
    for group in groups:
        planning = planning_policy(module[group.policy])
        if planning is not None:
            actors.append(PlanningActor(group, planning, **transform))
        elif group.policy not in plain:
            single.append(ModuleActor(group, module[group.policy], **transform))
    actors += stack_module_actors(single, **transform)
    for members in stack_by_shape([g for g in groups if g.policy in plain], plain):
        modules = [module[group.policy] for group in members]
        actors.append(
            StackActor(
                members,
                partial(_networks, modules),
                distribution_of(modules[0]),
                **transform,
            )
        )
    return actors


def portable_policies(groups: Sequence[Group], module: MultiRLModule) -> dict[str, Policy]:
    """Those policies that can act without Ray, sharing the modules' parameters."""
    found: dict[str, Policy] = {
        name: MLPPolicy(network, distribution_of(module[name]))
        for name, network in policy_mlps(groups, module).items()
    }
    for group in groups:
        planning = planning_policy(module[group.policy])
        if planning is not None:
            # With plans of its own.
            found[group.policy] = PlanningPolicy(planning.planner)
    return found


def policy_mlps(groups: Sequence[Group], module: MultiRLModule) -> dict[str, PolicyMLP]:
    """Networks of those policies that are plain MLPs on flat views, sharing the modules' parameters."""
    found = {group.policy: policy_mlp(module[group.policy]) for group in groups}
    flat = {group.policy for group in groups if len(group.observation_space.shape or ()) == 1}
    return {policy: mlp for policy, mlp in found.items() if mlp is not None and policy in flat}


def _networks(modules: Sequence[RLModule]) -> list[PolicyMLP]:
    return [network for network in map(policy_mlp, modules) if network is not None]


def _forward(module: RLModule, name: str) -> Any:
    """The module's forward method, past the mode switch that TorchRLModule adds to every call.

    The runner's modules stay in eval mode; RLlib's wrapper sets and resets it each time, which costs
    a tenth of its sampling. A wrapper that a user overrode is called as it is.
    """
    if getattr(type(module), name) is getattr(TorchRLModule, name, None):
        return getattr(module, f"_{name}")
    return getattr(module, name)
