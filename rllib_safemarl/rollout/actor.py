"""The acting side of policies: from views to actions, one network call for as many as possible."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.nn.mlp import PolicyMLP, PolicyStack
from rllib_safemarl.rollout.distributions import distribution_of
from rllib_safemarl.rollout.groups import Group
from rllib_safemarl.rollout.rl_module import policy_mlp


@dataclass(frozen=True)
class Acted:
    """What the P policies of an actor chose for their G agents each, in N copies.

    Attributes:
        actions: ``[P, N, G, ...]`` as the policies chose them.
        env_actions: the same, scaled for the environment.
        inputs: ``[P, N, G, …]`` distribution inputs, or ``None``.
        log_prob: ``[P, N, G]`` where a module gives it itself, else ``None``.
    """

    actions: NDArray
    env_actions: NDArray
    inputs: NDArray | None
    log_prob: NDArray | None


class Actor(abc.ABC):
    """Acts for P policies whose groups are of one kind and one size.

    Attributes:
        groups: the P groups.
        rows: ``[P * G]`` their agents as rows of the kind's columns, policy by policy.
    """

    def __init__(self, groups: Sequence[Group], normalize_actions: bool, clip_actions: bool) -> None:
        self.groups = tuple(groups)
        self.kind = groups[0].kind
        self.rows = np.concatenate([group.rows for group in groups])
        self._shape = len(groups), len(groups[0].rows)
        self._transform = ActionTransform(groups[0].action_space, normalize_actions, clip_actions)

    @abc.abstractmethod
    def choose(
        self, views: torch.Tensor, explore: bool, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Actions, inputs and log-probabilities ``[P, B, …]`` for views ``[P, B, V]``."""

    def refresh(self) -> None:  # noqa: B027 - modules called directly are always fresh
        """Take over the modules' present weights."""

    def act(
        self, views: Mapping[str, NDArray[np.float32]], explore: bool, generator: torch.Generator
    ) -> Acted:
        """Choose actions for views kind → ``[N, A_kind, V]``; call without gradients."""
        mine = views[self.kind]
        policies, agents = self._shape
        copies = len(mine)
        if policies == 1:
            rows = self.groups[0].pick(mine)[None]
        else:
            rows = mine[:, self.rows].reshape(copies, policies, agents, -1).swapaxes(0, 1)
        flat = np.ascontiguousarray(rows).reshape(policies, copies * agents, -1)
        actions, inputs, log_prob = self.choose(torch.from_numpy(flat), explore, generator)
        lead = (policies, copies, agents)
        chosen = actions.numpy().reshape(*lead, *actions.shape[2:])
        return Acted(
            chosen,
            self._transform(chosen),
            None if inputs is None else inputs.numpy().reshape(*lead, -1),
            None if log_prob is None else log_prob.numpy().reshape(lead),
        )


class ModuleActor(Actor):
    """One policy, by calling its RLModule."""

    def __init__(self, group: Group, module: RLModule, normalize_actions: bool, clip_actions: bool) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self.distribution = distribution_of(module)
        if isinstance(module, TorchRLModule):
            module.eval()
        self._explore = _forward(module, "forward_exploration")
        self._infer = _forward(module, "forward_inference")

    def choose(
        self, views: torch.Tensor, explore: bool, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
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
                f"the RLModule of policy {group.policy!r} returned {sorted(out)}; it must return "
                "'action_dist_inputs', or 'actions' and 'action_logp'."
            )
        return (
            actions[None],
            None if inputs is None else inputs[None],
            None if log_prob is None else log_prob[None],
        )


class StackActor(Actor):
    """Policies that are equally shaped MLPs, by one batched call for all."""

    def __init__(
        self,
        groups: Sequence[Group],
        modules: Sequence[RLModule],
        normalize_actions: bool,
        clip_actions: bool,
    ) -> None:
        super().__init__(groups, normalize_actions, clip_actions)
        self.distribution = distribution_of(modules[0])
        self._modules = modules
        self.refresh()

    def refresh(self) -> None:
        """Stack the modules' present weights."""
        networks = [policy_mlp(module) for module in self._modules]
        self._stack = PolicyStack([network for network in networks if network is not None])

    def choose(
        self, views: torch.Tensor, explore: bool, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """One pass through the stack."""
        inputs = self._stack(views)
        draw = self.distribution
        return draw.sample(inputs, generator) if explore else draw.mode(inputs), inputs, None


def make_actors(
    groups: Sequence[Group], module: MultiRLModule, normalize_actions: bool, clip_actions: bool
) -> list[Actor]:
    """Actors for all groups: MLPs of equal shape together, any other module by itself."""
    stacks: dict[Any, list[Group]] = {}
    actors: list[Actor] = []
    for group in groups:
        network: PolicyMLP | None = policy_mlp(module[group.policy])
        if network is None or len(group.observation_space.shape or ()) != 1:
            actor = ModuleActor(group, module[group.policy], normalize_actions, clip_actions)
            actors.append(actor)
        else:
            stacks.setdefault((group.kind, len(group.rows), network.shape), []).append(group)
    for members in stacks.values():
        modules = [module[group.policy] for group in members]
        actors.append(StackActor(members, modules, normalize_actions, clip_actions))
    return actors


def _forward(module: RLModule, name: str) -> Any:
    """The module's forward method, past the mode switch that TorchRLModule adds to every call.

    The runner's modules stay in eval mode; RLlib's wrapper sets and resets it each time, which costs
    a tenth of its sampling. A wrapper that a user overrode is called as it is.
    """
    if getattr(type(module), name) is getattr(TorchRLModule, name, None):
        return getattr(module, f"_{name}")
    return getattr(module, name)
