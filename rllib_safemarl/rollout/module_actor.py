"""The acting side of any RLModule, by its own forward methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium.spaces.utils import flatdim
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.rollout.distributions import distribution_of


class ModuleActor(Actor):
    """One policy, by calling its RLModule.

    Raises:
        SafeMARLError: the module does not fit its spaces.
    """

    def __init__(self, group: Group, module: RLModule, normalize_actions: bool, clip_actions: bool) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self.module = module
        self.name = f"the RLModule {type(module).__name__} of policy {group.policy!r}"
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

    def forward(self, batch: dict[str, Any], explore: bool) -> Mapping[str, Any]:
        """What the module's forward method, for exploration or inference, gives for rows ``[B, ...]``."""
        return self._explore(batch) if explore else self._infer(batch)

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """Call the module and draw from its distribution."""
        (group,) = self.groups
        batch = {Columns.OBS: unflatten_rows(group.observation_space, views[0])}
        out = self.forward(batch, explore)
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


def _forward(module: RLModule, name: str) -> Any:
    """The module's forward method, past the mode switch that TorchRLModule adds to every call.

    The runner's modules stay in eval mode; RLlib's wrapper sets and resets it each time, which costs
    a tenth of its sampling. A wrapper that a user overrode is called as it is.
    """
    if getattr(type(module), name) is getattr(TorchRLModule, name, None):
        return getattr(module, f"_{name}")
    return getattr(module, name)
