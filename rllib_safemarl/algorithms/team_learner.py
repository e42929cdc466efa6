"""What all our learners do alike: policies of a team, gradients summed by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from rllib_safemarl._compat import load_optimizer
from rllib_safemarl.algorithms.collectives import broadcast
from rllib_safemarl.algorithms.trainable_policy import TrainablePolicy
from rllib_safemarl.envs.team import TEAM, Group, Team, make_groups, make_views
from rllib_safemarl.functional.gradients import clip_gradients
from rllib_safemarl.functional.views import ViewBuilder


class TeamLearner(TorchLearner):
    """A learner of the policies of a team, equal on every process.

    Attributes:
        team: the team.
        groups: its agents by policy.
        own_key: under which :meth:`own_state` stands in a learner's state; empty where there is none.
    """

    own_key = ""
    team: Team
    groups: tuple[Group, ...]
    _policies: dict[str, TrainablePolicy]
    _policy_views: ViewBuilder
    _seed: int

    def build(self) -> None:
        """Build the policies, and draw the seed that all learners share."""
        if self._is_built:
            return
        super().build()
        config = self.config
        self.team = self._module_spec.model_config[TEAM]
        self._policy_views = make_views(self.team, config.policy_radius, config.max_neighbours)
        self.groups = make_groups(self.team, self._policy_views, config.has_own_modules)
        self._policies = {g.policy: TrainablePolicy(g, self.module[g.policy]) for g in self.groups}
        seed = np.random.SeedSequence(config.seed).generate_state(1).astype(np.int64)
        shared_seed = torch.from_numpy(seed)
        broadcast([shared_seed])
        self._seed = int(shared_seed)
        broadcast(p for policy in self._policies.values() for p in policy.module.parameters())

    def _make_modules_ddp_if_necessary(self) -> None:
        """Nothing: gradients are summed by hand, in an order of our own."""

    def compute_loss_for_module(self, **kwargs: Any) -> Any:
        """Not used: see :meth:`update`."""
        raise NotImplementedError("losses are computed in update()")

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Adam on the policy's own parameters."""
        parameters = [p for p in self.module[module_id].parameters() if p.requires_grad]
        self.register_optimizer(
            module_id=module_id,
            optimizer=torch.optim.Adam(parameters, eps=1e-5, fused=True),
            params=parameters,
            lr_or_lr_schedule=config.lr,
        )

    def clipper(self, policy: str, clip: Callable[..., None] = clip_gradients) -> Callable[[Any], None]:
        """What clips the gradients of parameters as the config says."""
        config = self.config.get_config_for_module(policy)
        if config.grad_clip is None:
            return lambda parameters: None
        return partial(clip, bound=config.grad_clip, by=config.grad_clip_by)

    def own_state(self) -> dict[str, Any]:
        """What goes into a checkpoint beside RLlib's state."""
        return {}

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`own_state`."""

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and ours beside it."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self.own_key and self._check_component(self.own_key, components, not_components):
            state[self.own_key] = self.own_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`, one without ours too."""
        self._weights_seq_no = -1
        super().set_state(state)
        self._weights_seq_no = state.get(WEIGHTS_SEQ_NO, 0)
        if self.own_key in state:
            self.set_own_state(state[self.own_key])

    def _set_optimizer_state(self, state: dict[str, Any]) -> None:
        for name, saved in state.items():
            if name in self._named_optimizers:
                load_optimizer(self._named_optimizers[name], saved["state"], self._device)
