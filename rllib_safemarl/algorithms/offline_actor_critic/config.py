"""The config of the offline actor-critic core: every choice orthogonal to the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.offline.config import OfflineConfig
from rllib_safemarl.algorithms.offline_actor_critic.settings import (
    OFFLINE_ACTOR_CRITIC_SETTINGS,
    OWN,
    SAFETY,
)
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.network_module import NETWORK, NetworkRLModule


class OfflineActorCriticConfig(OfflineConfig):
    """Actors and critics learnt from a dataset.

    ``.training()`` and ``.safety()`` take what ``settings`` lists. Hidden layers of actors are RLlib's
    ``fcnet_hiddens`` and ``fcnet_activation``; critics have ``critic_hiddens``.
    """

    settings = OFFLINE_ACTOR_CRITIC_SETTINGS
    learnt_with = frozenset({*OWN, *SAFETY} - {"cost_limit"})

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.lr = 3e-4
        self.gamma = 0.98
        self.train_batch_size_per_learner = 256

    def training(self, **settings: Any) -> Any:
        """RLlib's ``training()``, and our settings as in this class's ``settings``."""
        self._set(**{name: settings.pop(name, NotProvided) for name in OWN})
        return super().training(**settings)

    def safety(self, **settings: Any) -> Any:
        """Set the limit of the undiscounted cost per episode and agent, and how it is kept to.

        Args:
            settings: ``cost_limit``, ``constraint`` and what belongs to it, as in this class's ``settings``.

        Raises:
            SafeMARLError: a name is unknown, or a value does not fit.
        """
        self._set(**{name: settings.pop(name, NotProvided) for name in SAFETY})
        return super().safety(**settings)

    # What is built.

    @property
    def critic_radius(self) -> float:
        """Radius of the critics' views, hops."""
        return float(self.kappa if self.critic_hops is None else self.critic_hops)

    def held_costs(self, team: Team) -> NDArray[np.intp]:
        """Indices of the costs that are kept to; only these have critics."""
        held = np.isfinite(self.limits(team)) & (self.constraint != "none")
        return np.flatnonzero(held)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """A network that knows the scale of what it sees."""
        return RLModuleSpec(module_class=NetworkRLModule)

    def get_multi_rl_module_spec(self, **kwargs: Any) -> MultiRLModuleSpec:
        """The policies' networks."""
        spec = super().get_multi_rl_module_spec(**kwargs)
        for module in spec.rl_module_specs.values():
            if module.module_class is NetworkRLModule:
                module.model_config = {NETWORK: self._network(module.action_space)}
        return spec

    @property
    def actor_layers(self) -> list[int]:
        """Widths of the actors' hidden layers."""
        return list(self.model_config.get("fcnet_hiddens", [256, 256]))

    @property
    def critic_layers(self) -> list[int]:
        """Widths of the critics' hidden layers."""
        return list(self.critic_hiddens or self.actor_layers)

    def _network(self, actions: spaces.Space) -> dict[str, Any]:
        return {
            "hiddens": self.actor_layers,
            "activation": self.model_config.get("fcnet_activation", "relu"),
            "deterministic": self.actor == "deterministic",
            "bounded": self.has_unit_actions(actions),
        }

    def has_unit_actions(self, space: spaces.Space) -> bool:
        """Whether policies put real actions out between -1 and 1."""
        if not isinstance(space, spaces.Box) or not space.is_bounded():
            return False
        unit = bool(np.all(space.low == -1.0) and np.all(space.high == 1.0))
        return bool(self.normalize_actions) or unit

    def get_default_learner_class(self) -> type:
        """Critics, then actors."""
        from rllib_safemarl.algorithms.offline_actor_critic.learner import OfflineActorCriticLearner

        return OfflineActorCriticLearner

    # What does not fit.

    def validate(self) -> None:
        """RLlib's checks and ours."""
        super().validate()
        name = type(self).__name__
        if self.constraint != "none" and self.cost_limit is None:
            raise SafeMARLError(
                f"{name} needs a limit: .safety(cost_limit=…), undiscounted cost per episode and agent, or "
                ".safety(constraint='none') to run it unconstrained."
            )
        if self.bootstrap_timeouts and self.gamma >= 1.0:
            raise SafeMARLError(
                f"gamma={self.gamma} and bootstrap_timeouts=True leave values unbounded: lower gamma."
            )
        self._check_choices()

    def _check_choices(self) -> None:
        """Refuse combinations that mean nothing."""
        if self.choice_actor == "greedy":
            for setting, wanted in (("critic_actions", "own"), ("constraint", "none")):
                if getattr(self, setting) != wanted:
                    raise SafeMARLError(
                        f"choice_actor='greedy' acts by Q of its own choices alone, so {setting}="
                        f"{getattr(self, setting)!r} has no meaning: set choice_actor='categorical'."
                    )
            if self.conservatism == "bc":
                raise SafeMARLError(
                    "choice_actor='greedy' has no actor that could stay near the data: set "
                    "choice_actor='categorical', or conservatism='cql'."
                )
        if self.constraint == "cup" and self.conservatism != "none":
            raise SafeMARLError(
                f"constraint='cup' clones the data by weights, so conservatism={self.conservatism!r} has no "
                "meaning: leave it at 'none'."
            )
