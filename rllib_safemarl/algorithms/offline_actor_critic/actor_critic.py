"""One policy with its slow copy and its critics, and how it acts while it learns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rllib_safemarl.algorithms.offline_actor_critic.critics import Critics
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.distributions import Deterministic
from rllib_safemarl.policies.layouts import ActionLayout


@dataclass(frozen=True)
class Noise:
    """Noise on a deterministic actor in targets.

    Attributes:
        deviation: of the normal noise.
        bound: on its magnitude.
    """

    deviation: float
    bound: float


class ActorCritic:
    """What is learnt for the agents of one policy.

    Args:
        policy: acts.
        critics: value it; ``None`` where the policy's outputs are values themselves.
        layout: of its actions.

    Attributes:
        target: its slow copy.
        low: ``[D]`` least real action, as the policy puts it out.
        high: ``[D]`` largest.
        scales: ``[1 + C]`` what a value of 1 stands for: reward, and cost.
        floor: less than discounted rewards come to, below 0, in units of their scale.
    """

    def __init__(self, policy: TrainablePolicy, critics: Critics | None, layout: ActionLayout) -> None:
        self.policy, self.critics, self.layout = policy, critics, layout
        module = copy.deepcopy(policy.module)
        self.target = TrainablePolicy(policy.group, module)
        for parameter in self.target.parameters:
            parameter.requires_grad_(False)
        self.low, self.high = -torch.ones(layout.size), torch.ones(layout.size)
        self.scales, self.floor = torch.ones(1), 0.0

    @property
    def group(self) -> Group:
        """The agents."""
        return self.policy.group

    @property
    def is_deterministic(self) -> bool:
        """Whether the policy puts out its action itself."""
        return isinstance(self.policy.distribution, Deterministic)

    def set_facts(self, low: Any, high: Any, scales: Any, floor: float) -> None:
        """Take over what the data are like; see the attributes."""
        device = self.policy.parameters[0].device
        self.low, self.high, self.scales = (
            torch.as_tensor(value, dtype=torch.float32, device=device) for value in (low, high, scales)
        )
        self.floor = float(floor)

    def within(self, actions: Tensor) -> Tensor:
        """Real actions ``[..., D]`` within their range; choices as they are."""
        return actions if self.layout.choices else torch.minimum(torch.maximum(actions, self.low), self.high)

    def choice_probabilities(self, inputs: Tensor) -> Tensor:
        """Probability ``[N, M]`` of each of N joint choices."""
        every = self.layout.every().to(inputs.device)
        choices = every[:, :1] if self.layout.single else every[:, None]
        shape = (len(every), len(inputs), *choices.shape[2:])
        inputs = inputs.expand(len(every), *inputs.shape)
        return self.policy.distribution.log_prob(inputs, choices.expand(shape)).exp()

    def act(self, views: Tensor, generator: torch.Generator) -> Tensor:
        """Encoded actions ``[M, E]`` of the policy; real ones are differentiable."""
        return self._act(self.policy, views, generator, None)

    @torch.no_grad()
    def act_next(self, views: Tensor, generator: torch.Generator, noise: Noise) -> Tensor:
        """Encoded actions ``[M, E]`` of the slow copy, as targets take them."""
        return self._act(self.target, views, generator, noise)

    def _act(
        self, policy: TrainablePolicy, views: Tensor, generator: torch.Generator, noise: Noise | None
    ) -> Tensor:
        inputs = policy.inputs(views)
        actions = policy.distribution.sample(inputs, generator)
        if noise is not None and noise.deviation and self.is_deterministic:
            drawn = torch.randn(actions.shape, generator=generator).to(actions.device)
            actions = actions + (noise.deviation * drawn).clamp(-noise.bound, noise.bound)
        return self.layout.encode(self.within(actions))

    def follow(self, decay: float) -> None:
        """Let the slow copies follow, keeping ``decay`` of themselves."""
        get_ema_multi_avg_fn(decay)(self.target.parameters, self.policy.parameters, None)
        if self.critics is not None:
            self.critics.follow(decay)

    # State.

    def get_state(self) -> dict[str, Any]:
        """What is not the policy's own."""
        parts = {"target": self.target.module, "critics": self.critics}
        return {
            name: {key: tensor.detach().cpu().numpy().copy() for key, tensor in part.state_dict().items()}
            for name, part in parts.items()
            if part is not None
        } | {"facts": [*(t.cpu().numpy() for t in (self.low, self.high, self.scales)), self.floor]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        for name, part in (("target", self.target.module), ("critics", self.critics)):
            if part is not None:
                part.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state[name].items()})
        self.set_facts(*state["facts"])
