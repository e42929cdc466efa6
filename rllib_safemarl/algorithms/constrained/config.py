"""The config of constrained policy optimisation: every choice of the core, orthogonal to the others."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.utils.from_config import NotProvided
from ray.util.debug import log_once

from rllib_safemarl.algorithms.columnar_config import ColumnarConfig
from rllib_safemarl.algorithms.constrained.settings import CONSTRAINED_SETTINGS
from rllib_safemarl.algorithms.settings import is_search_space
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.nn.stacked import activation_name
from rllib_safemarl.settings import Setting, one_of

logger = logging.getLogger(__name__)


def with_presets(*names: str) -> dict[str, Setting]:
    """The settings, with ``preset`` among them."""
    known = one_of(*names)
    preset = Setting(
        None,
        "-",
        "values of other settings by one name; what is set by name in the same call or job goes before them",
        lambda value: value is None or known["accepts"](value),
        f"{known['expected']}, or null",
    )
    return {**CONSTRAINED_SETTINGS, "preset": preset}


class ConstrainedConfig(ColumnarConfig, PPOConfig):
    """PPO's config with views, a sequential scheme and constraints.

    ``.training()`` takes PPO's names and ours; ``.safety()`` is the one new noun. All settings with
    defaults, units and meanings are in ``ConstrainedConfig.settings`` and in the README beside this file.
    """

    settings = CONSTRAINED_SETTINGS
    presets: Mapping[str, Mapping[str, Any]] = {}
    """Values of other settings by one name, which ``preset`` takes."""
    learns_sequences = True
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
        coloured: bool = NotProvided,
        factor_scope: str = NotProvided,
        factor_clip: float = NotProvided,
        step: str = NotProvided,
        target_kl: float | None = NotProvided,
        conjugate_gradient_steps: int = NotProvided,
        damping: float = NotProvided,
        line_search_steps: int = NotProvided,
        line_search_shrink: float = NotProvided,
        critic_lr: Any = NotProvided,
        critic_hiddens: list[int] | None = NotProvided,
        preset: str | None = None,
        **ppo: Any,
    ) -> Any:
        """PPO's ``training()``, and our settings as in this class's ``settings``.

        A ``preset`` is taken first, so that what is set by name goes before its values.
        """
        if is_search_space(preset):
            raise SafeMARLError(
                "a search over presets belongs in the dict that Tune is given, as in config={'preset': "
                "tune.grid_search([…])}: a config object names every other setting, too."
            )
        self._take_preset(preset)
        self._set(
            kappa=kappa,
            policy_hops=policy_hops,
            critic_hops=critic_hops,
            max_neighbours=max_neighbours,
            reward_scope=reward_scope,
            sequential=sequential,
            coloured=coloured,
            factor_scope=factor_scope,
            factor_clip=factor_clip,
            step=step,
            target_kl=target_kl,
            conjugate_gradient_steps=conjugate_gradient_steps,
            damping=damping,
            line_search_steps=line_search_steps,
            line_search_shrink=line_search_shrink,
            critic_lr=critic_lr,
            critic_hiddens=critic_hiddens,
        )
        return self._call(super().training, (), ppo, "training")

    def env_runners(self, *args: Any, max_sample_age: int = NotProvided, **kwargs: Any) -> Any:
        """RLlib's ``env_runners()``; ``max_sample_age`` as in this class's settings."""
        self._set(max_sample_age=max_sample_age)
        return self._call(super().env_runners, args, kwargs, "env_runners")

    def safety(
        self,
        *,
        cost_limit: float | dict[str, float] | None = NotProvided,
        limit_margin: float = NotProvided,
        multiplier: str = NotProvided,
        multiplier_lr: float = NotProvided,
        multiplier_init: float = NotProvided,
        proportional_gain: float = NotProvided,
        derivative_gain: float = NotProvided,
        derivative_smoothing: float = NotProvided,
        tightening: float = NotProvided,
        nu: str = NotProvided,
        **unknown: Any,
    ) -> Any:
        """Set the constraints.

        Args:
            cost_limit: cost that an agent may have in an episode, *undiscounted*: a number for every
                cost, or a dict from cost name to limit.
            limit_margin: multipliers aim at ``(1 - limit_margin) · cost_limit``.
            multiplier: ``lagrangian``, ``pid``, ``cpo`` (with ``step="trust_region"``) or ``none``.
            multiplier_lr: step size of dual ascent and integral gain of PID, reward per squared cost and
                iteration.
            multiplier_init: multipliers before the first update, reward per cost.
            proportional_gain: of PID, reward per squared cost.
            derivative_gain: of PID, reward per squared cost.
            derivative_smoothing: of PID, share of the past in the cost whose rise counts.
            tightening: share of what other agents' updates may have cost that is held back, 0 to 1.
            nu: what a nat of other agents' KL is held to cost: ``measured``, or the ``theorem``'s bound.
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
            proportional_gain=proportional_gain,
            derivative_gain=derivative_gain,
            derivative_smoothing=derivative_smoothing,
            tightening=tightening,
            nu=nu,
        )
        return self

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> Any:
        """As RLlib's; the dict's other settings go before those of its ``preset``."""
        if not is_search_space(preset := config_dict.get("preset")):
            self._take_preset(preset)
        return super().update_from_dict(config_dict)

    def _take_preset(self, name: str | None) -> None:
        if name is None:
            return
        if not self.presets:
            raise SafeMARLError(f"{type(self).__name__} has no presets, so preset={name!r} has no meaning.")
        self._set(preset=name)
        super().update_from_dict(self.presets[name])

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
        return list(hiddens), activation_name(model.get("fcnet_activation", "tanh"))

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
        self._check_sample_age()
        self._check_step()
        activation_name(self.model_config.get("fcnet_activation", "tanh"))
        self._check_coloured()
        self._check_tightening()
        self._check_limit()

    def _check_limit(self) -> None:
        """Refuse multipliers without a limit, and say where a preset that has none was given some."""
        name, multiplier = type(self).__name__, self.multiplier
        if multiplier == "none":
            return
        if self.cost_limit is None:
            raise SafeMARLError(
                f"{name} needs a limit: .safety(cost_limit=…), undiscounted cost per episode "
                "and agent, or .safety(multiplier='none') to run it unconstrained."
            )
        # As in a tuned config of another algorithm that was run by this one's name.
        if type(self)().multiplier == "none" and log_once(f"{name}_{multiplier}"):
            logger.warning(
                "%s keeps to no limit by itself; multiplier=%r makes it keep to one.", name, multiplier
            )

    def _check_sample_age(self) -> None:
        """Refuse old samples where nobody makes them, or where steps are taken from the policy that acted."""
        if self.max_sample_age == 0 or self.in_evaluation:
            return
        if self.num_env_runners == 0:
            raise SafeMARLError(
                f"max_sample_age={self.max_sample_age} has no meaning without remote env runners: set "
                "num_env_runners, or max_sample_age=0."
            )
        if self.step == "trust_region":
            raise SafeMARLError(
                "step='trust_region' starts from the policy that acted, which an old sample's is not: set "
                "max_sample_age=0, or step='clip'."
            )

    def _check_step(self) -> None:
        """Refuse combinations of ``step`` and ``multiplier`` that mean nothing."""
        if self.step == "trust_region" and self.target_kl is None:
            raise SafeMARLError("step='trust_region' needs its radius: set target_kl, such as 0.01.")
        if self.multiplier == "cpo" and self.step != "trust_region":
            raise SafeMARLError(
                "multiplier='cpo' is solved in trust-region steps: set step='trust_region', or use "
                "multiplier='lagrangian'."
            )

    def _check_coloured(self) -> None:
        """Refuse ``coloured`` where agents far apart are not independent of each other's updates."""
        if self.coloured and not (self.sequential and self.factor_scope == "neighbourhood"):
            raise SafeMARLError(
                "coloured=True updates those together that no factor joins: set sequential=True and "
                f"factor_scope='neighbourhood' (is {self.factor_scope!r}), or coloured=False."
            )

    def check_team(self, team: Team) -> None:
        """As for any team; and ``coloured`` needs a policy per agent."""
        super().check_team(team)
        policy, plays = Counter(team.policy_ids).most_common(1)[0]
        if self.coloured and plays > 1:
            raise SafeMARLError(
                f"coloured=True needs a policy per agent, and policy {policy!r} plays {plays} agents: name "
                "one for each in .multi_agent(policies=[…]), or set coloured=False."
            )

    def _check_tightening(self) -> None:
        """Refuse ``tightening`` where there is nothing to tighten."""
        if self.tightening == 0.0:
            return
        if self.multiplier == "none":
            raise SafeMARLError(
                "tightening has no meaning with multiplier='none', which holds no limits; set another "
                "multiplier, or tightening=0."
            )
        if not self.sequential:
            raise SafeMARLError(
                "tightening charges agents for those updated before them: set sequential=True, or "
                "tightening=0."
            )
        if self.nu == "theorem" and self.gamma >= 1.0:
            raise SafeMARLError("nu='theorem' is infinite with gamma=1; set gamma below 1, or nu='measured'.")
