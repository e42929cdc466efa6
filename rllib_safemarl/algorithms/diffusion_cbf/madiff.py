"""MADIFF: every agent denoises all agents' windows from its own view (MADiff-D of Zhu et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_safemarl.algorithms.diffusion_cbf.config import DiffusionCBFConfig, with_presets
from rllib_safemarl.algorithms.diffusion_cbf.module import DiffusionCBFModule
from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS
from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.team_planner import TeamPlanner
from rllib_safemarl.settings import Setting, one_of

AS_PUBLISHED: Mapping[str, Any] = {
    "denoiser": "paper_scale",
    "denoiser_settings": {},
    "diffusion_steps": 200,
    "solver": "ddpm",
    "solver_steps": 200,
    "plan_horizon": 23,
    "weights_decay": 0.995,
}
"""What of the published configuration a CPU cannot afford: the U-Net, all steps, windows of 24 moments."""
ATTENTIVE = ("transformer", "unet", "paper_scale")
"""Denoisers in which agents can attend to each other."""


class MADiffModule(DiffusionCBFModule):
    """Acts by planning for the team."""

    planner_class = TeamPlanner


class MADiffConfig(DiffusionCBFConfig):
    """Plans of the whole team, conditioned on returns.

    As published: windows of all agents are denoised together, with attention across agents; only the present
    of the agent that sees is given; ε-prediction, K = 200 steps of a cosine schedule, all trained alike, a
    quarter of the conditions dropped, ω = 1.2, a target return at 0.9, noise of 0.5 to start from, batches of
    32 joint windows, inverse dynamics. Instead of the published U-Net a small transformer, and 15 steps of
    DDIM, which is an option there; ``preset="published"`` takes the published ones. Barrier and critics are
    learnt as ever, so that filter and projection can be switched on; without danger in rewards, returns are
    rewards alone. Ours are also: plans as changes from each agent's present, conditions as ranks within reach
    of the agent that plans (the others are asked for the same), and a bound on plans.
    """

    settings: dict[str, Setting] = {  # noqa: RUF012 - as in every config of ours
        **with_presets({"published": AS_PUBLISHED}),
        "denoiser": replace(DIFFUSION_CBF_SETTINGS["denoiser"], **one_of(*ATTENTIVE)),
    }
    presets: Mapping[str, Mapping[str, Any]] = {"published": AS_PUBLISHED}

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MADiff)
        self.target_barrier, self.target_return = None, 0.9
        self.filter_plans = self.projection = False
        self.danger_penalty = 0.0
        self.prediction, self.noise_schedule, self.diffusion_steps = "epsilon", "cosine", 200
        self.noise_bias, self.clip_plans = 1.0, 5.0
        self.drop_together, self.drop_each = 0.25, 0.0
        self.guidance_weight, self.start_noise = 1.2, 0.5
        self.solver, self.solver_steps, self.n_plans = "ddim", 15, 1
        self.train_batch_size_per_learner = 32

    def check_team(self, team: Team) -> None:
        """Refuse a team of several kinds."""
        super().check_team(team)
        if len(team.kinds) > 1:
            names = ", ".join(kind.name for kind in team.kinds)
            raise SafeMARLError(
                f"MADIFF plans for agents of one kind, whose windows are alike; here are {names}: use "
                "DIFFUSION_RETURN or DIFFUSION_CBF."
            )

    def validate(self) -> None:
        """RLlib's checks and ours."""
        super().validate()
        if self.warm_start:
            raise SafeMARLError(
                "warm_start has no meaning in MADIFF, which keeps no plans of others: leave it at 0."
            )

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """A planner of the team."""
        return RLModuleSpec(module_class=MADiffModule)

    def get_default_learner_class(self) -> type:
        """Barrier, critics and plans of the team."""
        from rllib_safemarl.algorithms.diffusion_cbf.madiff_learner import MADiffLearner

        return MADiffLearner


class MADiff(OfflineAlgorithm):
    """See :class:`MADiffConfig`."""

    config_class: Any = MADiffConfig
