"""FISOR: feasible states by expectiles, and a diffusion model of the actions worth imitating in them."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS, OfflineConfig, describe_networks
from rllib_safemarl.algorithms.offline_actor_critic.settings import OFFLINE_ACTOR_CRITIC_SETTINGS
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.action_sampler import ActionSampler
from rllib_safemarl.policies.layouts import action_layout
from rllib_safemarl.policies.sampling import SAMPLING_SETTINGS, SamplingPolicy
from rllib_safemarl.rollout.deciding_module import DecidingRLModule
from rllib_safemarl.settings import SHARE, Setting, at_least

SAMPLER = "sampler"
"""Key of the model config under which the networks' layout, settings and widths stand."""

_OF_PLANS = (
    "denoiser",
    "denoiser_settings",
    "noise_schedule",
    "diffusion_steps",
    "prediction",
    "noise_bias",
    "weights_decay",
)
FISOR_SETTINGS: dict[str, Setting] = {
    **OFFLINE_SETTINGS,
    **{
        name: OFFLINE_ACTOR_CRITIC_SETTINGS[name]
        for name in ("reward_scope", "bootstrap_timeouts", "target_decay", "weight_clip")
    },
    **{name: DIFFUSION_CBF_SETTINGS[name] for name in _OF_PLANS},
    "expectile": Setting(0.9, "-", "τ of the value of rewards", **SHARE),
    "feasibility_expectile": Setting(0.9, "-", "τ of V_h, towards the least Q_h", **SHARE),
    "danger_height": Setting(
        25.0, "-", "h of a step in danger; it is -1 elsewhere", **at_least(0.0, above=True)
    ),
    "reward_gain": Setting(
        3.0, "1 / deviation of the advantage", "α_1 of the weights in feasible states", **at_least(0.0)
    ),
    "safety_gain": Setting(5.0, "-", "α_2 of the weights elsewhere", **at_least(0.0)),
    **SAMPLING_SETTINGS,
}
OWN = tuple(name for name in FISOR_SETTINGS if name not in OFFLINE_SETTINGS)
"""Settings that ``.training()`` takes beside those of every offline algorithm."""


class FISORModule(DecidingRLModule):
    """Acts by sampling actions and taking the least infeasible."""

    def setup(self) -> None:
        """Build the networks that the model config describes."""
        layout, settings, hiddens = self.model_config[SAMPLER]
        self.sampler = ActionSampler(layout, action_layout(self.action_space), settings, hiddens)
        if self.inference_only:
            self.sampler.requires_grad_(False)
        self.policy = SamplingPolicy(self.sampler)


class FISORConfig(OfflineConfig):
    """FISOR (Zheng et al., ICLR 2024) per agent: no limit, but no violation at all where that is possible."""

    settings = FISOR_SETTINGS
    learnt_with = frozenset({*OWN} - SAMPLING_SETTINGS.keys())
    critic_actions = "own"

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or FISOR)
        self.lr = 3e-4
        self.gamma = 0.98
        self.train_batch_size_per_learner = 256
        self.denoiser, self.denoiser_settings = "mlp", {"width": 256, "layers": 3}
        self.diffusion_steps, self.noise_bias = 16, 1.0

    def training(self, **settings: Any) -> Any:
        """RLlib's ``training()``, and our settings as in this class's ``settings``."""
        self._set(**{name: settings.pop(name, NotProvided) for name in OWN})
        return super().training(**settings)

    def check_team(self, team: Team) -> None:
        """Refuse a team without costs."""
        super().check_team(team)
        if not team.cost_names:
            raise SafeMARLError(
                "FISOR learns from costs what danger is, and there are none; add them by safemarl data "
                "convert --cost."
            )

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Sampled actions."""
        return RLModuleSpec(module_class=FISORModule)

    def get_multi_rl_module_spec(self, **kwargs: Any) -> MultiRLModuleSpec:
        """The networks of a team's policies, sized by what their agents see."""
        spec = super().get_multi_rl_module_spec(**kwargs)
        describe_networks(self, spec, SAMPLER, OWN)
        return spec

    def get_default_learner_class(self) -> type:
        """Values, then weighted imitation."""
        from rllib_safemarl.algorithms.offline_actor_critic.fisor_learner import FISORLearner

        return FISORLearner


class FISOR(OfflineAlgorithm):
    """See :class:`FISORConfig`."""

    config_class: Any = FISORConfig
