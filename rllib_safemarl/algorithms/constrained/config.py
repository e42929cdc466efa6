"""The config of constrained policy optimisation: every choice of the core, orthogonal to the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.columnar_config import COLUMNAR_SETTINGS, HOPS_OR_NONE, ColumnarConfig
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.settings import Setting, at_least, is_number, one_of

CONSTRAINED_SETTINGS: dict[str, Setting] = {
    **COLUMNAR_SETTINGS,
    # Who is seen.
    "critic_hops": Setting(None, "hops", "radius of the critics' views; None takes kappa", **HOPS_OR_NONE),
    "reward_scope": Setting(
        "team",
        "-",
        "reward an agent learns from: the mean over the team, over its neighbourhood, or its own",
        **one_of("team", "neighbourhood", "own"),
    ),
    # How the step is taken.
    "sequential": Setting(
        True,
        "-",
        "update policies one after another, each under the factor of those before",
        lambda value: isinstance(value, bool),
        "true or false",
    ),
    "factor_scope": Setting(
        "neighbourhood",
        "-",
        "whose ratios enter the factor M: all agents', those of agents within critic_hops, or none",
        **one_of("all", "neighbourhood", "none"),
    ),
    "factor_clip": Setting(2.0, "-", "M stays within [1 / factor_clip, factor_clip]", **at_least(1.0)),
    "target_kl": Setting(
        None,
        "nats",
        "a policy's update stops before an epoch once KL(old ‖ new) exceeds it; None never stops",
        **at_least(0.0, above=True, none=True),
    ),
    "critic_lr": Setting(None, "-", "learning rate of the critics, or a schedule; None takes lr"),
    "critic_hiddens": Setting(
        None, "units", "hidden layers of the critics; None takes the policies' fcnet_hiddens"
    ),
    # How constraints act.
    "limit_margin": Setting(
        0.0,
        "share of the limit",
        "multipliers aim at (1 - limit_margin) · cost_limit, a reserve for agents above the mean",
        lambda value: is_number(value) and 0 <= value < 1,
        "a number of at least 0 and below 1",
    ),
    "multiplier": Setting(
        "lagrangian",
        "-",
        "how multipliers move: by dual ascent, or none (costs are only watched)",
        **one_of("lagrangian", "none"),
    ),
    "multiplier_lr": Setting(
        0.05,
        "reward per squared cost and iteration",
        "step size of dual ascent",
        **at_least(0.0, above=True),
    ),
    "multiplier_init": Setting(
        0.0, "reward per cost", "multipliers before the first update", **at_least(0.0)
    ),
}


class ConstrainedConfig(ColumnarConfig, PPOConfig):
    """PPO's config with views, a sequential scheme and constraints.

    ``.training()`` takes PPO's names and ours; ``.safety()`` is the one new noun. All settings with
    defaults, units and meanings are in ``ConstrainedConfig.settings`` and in the README beside this file.
    """

    settings = CONSTRAINED_SETTINGS
    fixed_radius: bool = False
    """Whether a preset fixes ``policy_hops`` and ``critic_hops``, so that ``kappa`` has no meaning."""

    def __init__(self, algo_class: type | None = None) -> None:
        from rllib_safemarl.algorithms.constrained.algorithm import ConstrainedPolicyOptimization

        super().__init__(algo_class=algo_class or ConstrainedPolicyOptimization)
        self.lr = 5e-4
        self.lambda_ = 0.95
        self.clip_param = 0.2
        self.num_epochs = 10
        self.minibatch_size = 1000
        self.vf_clip_param = math.inf
        self.use_kl_loss = False

    def training(
        self,
        *,
        kappa: float = NotProvided,
        policy_hops: float | None = NotProvided,
        critic_hops: float | None = NotProvided,
        max_neighbours: int = NotProvided,
        reward_scope: str = NotProvided,
        sequential: bool = NotProvided,
        factor_scope: str = NotProvided,
        factor_clip: float = NotProvided,
        target_kl: float | None = NotProvided,
        critic_lr: Any = NotProvided,
        critic_hiddens: list[int] | None = NotProvided,
        **ppo: Any,
    ) -> Any:
        """PPO's ``training()``, and our settings as in this class's ``settings``."""
        self._set(
            kappa=kappa,
            policy_hops=policy_hops,
            critic_hops=critic_hops,
            max_neighbours=max_neighbours,
            reward_scope=reward_scope,
            sequential=sequential,
            factor_scope=factor_scope,
            factor_clip=factor_clip,
            target_kl=target_kl,
            critic_lr=critic_lr,
            critic_hiddens=critic_hiddens,
        )
        return self._call(super().training, (), ppo, "training")

    def safety(
        self,
        *,
        cost_limit: float | dict[str, float] | None = NotProvided,
        limit_margin: float = NotProvided,
        multiplier: str = NotProvided,
        multiplier_lr: float = NotProvided,
        multiplier_init: float = NotProvided,
        **unknown: Any,
    ) -> Any:
        """Set the constraints.

        Args:
            cost_limit: cost that an agent may have in an episode, *undiscounted*: a number for every
                cost, or a dict from cost name to limit.
            limit_margin: multipliers aim at ``(1 - limit_margin) · cost_limit``.
            multiplier: ``lagrangian`` or ``none``.
            multiplier_lr: step size of dual ascent, reward per squared cost and iteration.
            multiplier_init: multipliers before the first update, reward per cost.
            unknown: refused.

        Raises:
            SafeMARLError: a name is unknown, or a value does not fit.
        """
        self._call(lambda **_: None, (), unknown, "safety")
        self._set(
            cost_limit=cost_limit,
            limit_margin=limit_margin,
            multiplier=multiplier,
            multiplier_lr=multiplier_lr,
            multiplier_init=multiplier_init,
        )
        return self

    def _set(self, **values: Any) -> None:
        kappa = values.get("kappa", NotProvided)
        if kappa is not NotProvided and self.fixed_radius and kappa != self.kappa:
            raise SafeMARLError(
                f"{type(self).__name__} fixes its views, so kappa={kappa} has no meaning; set policy_hops "
                "or critic_hops, or use SCAL_MAPPO_L."
            )
        super()._set(**values)

    @property
    def critic_radius(self) -> float:
        """Radius of the critics' views, hops."""
        return float(self.kappa if self.critic_hops is None else self.critic_hops)

    @property
    def critic_network(self) -> tuple[list[int], str]:
        """Hidden layers and activation of the critics."""
        model = self.model_config
        hiddens = self.critic_hiddens or model.get("fcnet_hiddens", [256, 256])
        return list(hiddens), model.get("fcnet_activation", "tanh")

    def held_costs(self, team: Team) -> NDArray[np.intp]:
        """Indices of the costs that multipliers act on; only these have critics."""
        held = np.isfinite(self.limits(team)) & (self.multiplier != "none")
        return np.flatnonzero(held)

    def get_default_learner_class(self) -> type:
        """The sequential learner."""
        from rllib_safemarl.algorithms.constrained.learner import ConstrainedLearner

        return ConstrainedLearner

    def validate(self) -> None:
        """PPO's checks and ours."""
        size = self.minibatch_size
        # PPO compares it with environment steps; ours are agent steps, of which there are more.
        self.__dict__["minibatch_size"] = None
        super().validate()
        self.__dict__["minibatch_size"] = size
        if size is not None and (not isinstance(size, int) or size < 1):
            raise SafeMARLError(f"minibatch_size={size!r} must be a whole number of agent steps, or None.")
        if self.use_kl_loss:
            raise SafeMARLError("use_kl_loss=True has no meaning here: bound the step by target_kl instead.")
        if self.multiplier != "none" and self.cost_limit is None:
            raise SafeMARLError(
                f"{type(self).__name__} needs a limit: .safety(cost_limit=…), undiscounted cost per episode "
                "and agent, or .safety(multiplier='none') to run it unconstrained."
            )
