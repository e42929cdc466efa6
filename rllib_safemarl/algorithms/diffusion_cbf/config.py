"""The config of DIFFUSION_CBF."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.diffusion_cbf.module import PLANNER, DiffusionCBFModule
from rllib_safemarl.algorithms.diffusion_cbf.prepare import label
from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS, OfflineConfig
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.envs.team import TEAM, make_views
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.offline.source import Prepare
from rllib_safemarl.policies.planner import StateLayout

OWN = tuple(name for name in DIFFUSION_CBF_SETTINGS if name not in OFFLINE_SETTINGS)
"""Settings that ``.training()`` takes beside those of every offline algorithm."""


class DiffusionCBFConfig(OfflineConfig):
    """Every agent plans with a diffusion model, conditioned on its barrier and its return."""

    settings = DIFFUSION_CBF_SETTINGS

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DiffusionCBF)
        self.lr = 1e-3
        self.gamma = 0.98
        self.grad_clip = 1.0
        self.train_batch_size_per_learner = 128

    def training(self, **settings: Any) -> Any:
        """RLlib's ``training()``, and our settings as in this class's ``settings``."""
        self._set(**{name: settings.pop(name, NotProvided) for name in OWN})
        return super().training(**settings)

    @property
    def horizon(self) -> int:  # type: ignore[override]
        """H, steps of a window."""
        return int(self.plan_horizon)

    def preparation(self) -> Prepare:
        """Labels every moment as safe, dangerous or neither."""
        horizon = self.danger_horizon

        def labelled(dataset: Dataset) -> Dataset:
            return label(dataset, horizon)

        return labelled

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """A planner."""
        return RLModuleSpec(module_class=DiffusionCBFModule)

    def get_multi_rl_module_spec(self, **kwargs: Any) -> MultiRLModuleSpec:
        """The planners of a team's policies, sized by what their agents see."""
        spec = super().get_multi_rl_module_spec(**kwargs)
        team = spec.model_config[TEAM]
        views = make_views(team, self.policy_radius, self.max_neighbours)
        kind_of = {team.policy_ids[i]: kind.name for kind in team.kinds for i in kind.agents}
        hiddens = list(self.model_config.get("fcnet_hiddens", [128, 128]))
        settings = {name: getattr(self, name) for name in OWN}
        for policy, module in spec.rl_module_specs.items():
            layout = views.layouts[kind_of[policy]]
            sets = SetLayout(layout.own_size, layout.slot_size if layout.slots else 0)
            present = layout.observation_size + layout.position_size
            module.model_config = {PLANNER: (StateLayout(sets, present, layout.slots), settings, hiddens)}
        return spec

    def get_default_learner_class(self) -> type:
        """Barrier, critics and plans, one after another."""
        from rllib_safemarl.algorithms.diffusion_cbf.learner import DiffusionCBFLearner

        return DiffusionCBFLearner


class DiffusionCBF(OfflineAlgorithm):
    """See :class:`DiffusionCBFConfig`."""

    config_class: Any = DiffusionCBFConfig
