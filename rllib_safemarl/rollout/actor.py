"""Calls a group's RLModule on flat rows of observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.rollout.distributions import distribution_of
from rllib_safemarl.rollout.groups import Group


@dataclass(frozen=True)
class Acted:
    """What the G agents of a group chose in N copies.

    Attributes:
        actions: ``[N, G, ...]`` as the policy chose them.
        env_actions: the same, scaled for the environment.
        inputs: ``[N, G, P]`` distribution inputs, or ``None``.
        log_prob: ``[N, G]`` where the module gives it itself, else ``None``.
    """

    actions: NDArray
    env_actions: NDArray
    inputs: NDArray | None
    log_prob: NDArray | None


class GroupActor:
    """The acting side of one policy."""

    def __init__(
        self, group: Group, module: RLModule, normalize_actions: bool, clip_actions: bool
    ) -> None:
        self.group = group
        self.module = module
        self.distribution = distribution_of(module)
        self._transform = ActionTransform(group.action_space, normalize_actions, clip_actions)
        self._space = group.observation_space
        if isinstance(module, TorchRLModule):
            module.eval()
        self._explore = _forward(module, "forward_exploration")
        self._infer = _forward(module, "forward_inference")

    def act(self, views: NDArray[np.float32], explore: bool, generator: torch.Generator) -> Acted:
        """Choose actions for views ``[N, G, V]``; call under ``torch.no_grad()``."""
        lead = views.shape[:2]
        rows = torch.from_numpy(views.reshape(-1, views.shape[-1]))
        batch = {Columns.OBS: unflatten_rows(self._space, rows)}
        out = self._explore(batch) if explore else self._infer(batch)
        inputs = out.get(Columns.ACTION_DIST_INPUTS)
        log_prob = None
        if Columns.ACTIONS in out:
            actions, log_prob = out[Columns.ACTIONS], out.get(Columns.ACTION_LOGP)
        elif inputs is not None:
            draw = self.distribution
            actions = draw.sample(inputs, generator) if explore else draw.mode(inputs)
        else:
            raise SafeMARLError(
                f"the RLModule of policy {self.group.policy!r} returned {sorted(out)}; it must return "
                "'action_dist_inputs', or 'actions' and 'action_logp'."
            )
        chosen = actions.numpy().reshape(*lead, *actions.shape[1:])
        return Acted(
            chosen,
            self._transform(chosen),
            None if inputs is None else inputs.numpy().reshape(*lead, -1),
            None if log_prob is None else log_prob.numpy().reshape(lead),
        )


def _forward(module: RLModule, name: str) -> Any:
    """The module's forward method, past the mode switch that TorchRLModule adds to every call.

    The runner's modules stay in eval mode; RLlib's wrapper sets and resets it each time, which costs
    a tenth of its sampling. A wrapper that a user overrode is called as it is.
    """
    if getattr(type(module), name) is getattr(TorchRLModule, name, None):
        return getattr(module, f"_{name}")
    return getattr(module, name)
