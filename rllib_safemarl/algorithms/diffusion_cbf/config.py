"""The config of DIFFUSION_CBF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.diffusion_cbf.module import PLANNER, DiffusionCBFModule
from rllib_safemarl.algorithms.diffusion_cbf.prepare import label, take_split
from rllib_safemarl.algorithms.diffusion_cbf.presets import PAPER, STRONG
from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS, OfflineConfig, describe_networks
from rllib_safemarl.algorithms.settings import is_search_space
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.source import Prepare
from rllib_safemarl.policies.planning_settings import PLANNING_SETTINGS
from rllib_safemarl.settings import Setting, one_of

OWN = tuple(name for name in DIFFUSION_CBF_SETTINGS if name not in OFFLINE_SETTINGS)
"""Settings that ``.training()`` takes beside those of every offline algorithm."""


def with_presets(names: Mapping[str, Mapping[str, Any]]) -> dict[str, Setting]:
    """The settings, with ``preset`` among them."""
    known = one_of(*names)
    preset = Setting(
        None,
        "-",
        "values of other settings by one name; what is set by name in the same call or job goes before them",
        lambda value: value is None or known["accepts"](value),
        f"{known['expected']}, or null",
    )
    return {**DIFFUSION_CBF_SETTINGS, "preset": preset}


class DiffusionCBFConfig(OfflineConfig):
    """Every agent plans with a diffusion model, conditioned on its barrier and its return.

    ``preset="paper"`` is the method as it was written, relative to the defaults: the barrier by eq. (12)
    alone, without regression on the margin to come; β as the 0.95 that the text asks of P[h ≥ 0]; the
    network predicts the noise, at all steps and features alike (eq. 10), and y is dropped as a whole; plans
    come from unit noise by all K steps of DDPM, under classifier-free guidance; of M plans those with h ≥ 0
    are kept and the one of largest Q is followed (eq. 14); no projection. The paper says nothing of ω, p, K,
    M, H, r_p, the network, or how Q and the filter meet: ω = 1.2 and p = 0.25 are the published MADiff's; K,
    H, M and the network stay at their defaults, as do the scales of plans and conditions, without which
    nothing is learnt in the time. Noise predicted at K needs a bound on plans.

    ``preset="strong"`` is the defaults of all of these.
    """

    settings = with_presets({"paper": PAPER, "strong": STRONG})
    learnt_with = frozenset({"preset", *OWN} - PLANNING_SETTINGS.keys())
    presets: Mapping[str, Mapping[str, Any]] = {"paper": PAPER, "strong": STRONG}

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DiffusionCBF)
        self.lr = 1e-3
        self.gamma = 0.98
        self.grad_clip = 1.0
        self.train_batch_size_per_learner = 128

    def training(self, **settings: Any) -> Any:
        """RLlib's ``training()``, and our settings as in this class's ``settings``.

        Raises:
            SafeMARLError: a setting does not fit.
        """
        if is_search_space(preset := settings.pop("preset", None)):
            raise SafeMARLError(
                "a search over presets belongs in the dict that Tune is given, as in config={'preset': "
                "tune.grid_search([…])}: a config object names every other setting, too."
            )
        self._take_preset(preset)
        self._set(**{name: settings.pop(name, NotProvided) for name in OWN})
        return super().training(**settings)

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> Any:
        """As RLlib's; the dict's other settings go before those of its ``preset``."""
        if not is_search_space(preset := config_dict.get("preset")):
            self._take_preset(preset)
        return super().update_from_dict(config_dict)

    def _take_preset(self, name: str | None) -> None:
        if name is not None:
            self._set(preset=name)
            self._set(**self.presets[name])

    @property
    def horizon(self) -> int:  # type: ignore[override]
        """H, steps of a window."""
        return int(self.plan_horizon)

    def preparation(self, split: str | None = None) -> Prepare:
        """Takes a split, ``data_split`` unless named, and labels moments as safe, dangerous or neither."""
        horizon, source, name = self.danger_horizon, self.danger_from, split or self.data_split

        def labelled(dataset: Dataset) -> Dataset:
            return label(take_split(dataset, name), horizon, source)

        return labelled

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """A planner."""
        return RLModuleSpec(module_class=DiffusionCBFModule)

    def get_multi_rl_module_spec(self, **kwargs: Any) -> MultiRLModuleSpec:
        """The planners of a team's policies, sized by what their agents see."""
        spec = super().get_multi_rl_module_spec(**kwargs)
        describe_networks(self, spec, PLANNER, OWN)
        return spec

    def get_default_learner_class(self) -> type:
        """Barrier, critics and plans, one after another."""
        from rllib_safemarl.algorithms.diffusion_cbf.learner import DiffusionCBFLearner

        return DiffusionCBFLearner


def _without_barrier(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in ("filter_plans", "projection")}


class DiffusionReturnConfig(DiffusionCBFConfig):
    """DIFFUSION_CBF conditioned on the return alone, and without filter and projection.

    The barrier is learnt all the same, so that these can be switched on in evaluation.
    """

    presets: Mapping[str, Mapping[str, Any]] = {
        name: _without_barrier(values) for name, values in DiffusionCBFConfig.presets.items()
    }

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DiffusionReturn)
        self.target_barrier = None
        self.filter_plans = self.projection = False


class DiffusionCBF(OfflineAlgorithm):
    """See :class:`DiffusionCBFConfig`."""

    config_class: Any = DiffusionCBFConfig


class DiffusionReturn(OfflineAlgorithm):
    """See :class:`DiffusionReturnConfig`."""

    config_class: Any = DiffusionReturnConfig
