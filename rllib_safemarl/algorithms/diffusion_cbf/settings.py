"""Settings of DIFFUSION_CBF: each stands once, with default, unit and meaning."""

from __future__ import annotations

from typing import Any

from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS
from rllib_safemarl.algorithms.settings import Setting, at_least, is_number, is_whole, one_of
from rllib_safemarl.functional.diffusion_samplers import SOLVERS
from rllib_safemarl.functional.diffusion_schedules import PREDICTIONS, SCHEDULES
from rllib_safemarl.nn.denoisers import DENOISERS


def _share(value: object) -> bool:
    return is_number(value) and 0.0 <= value <= 1.0  # type: ignore[operator]


def _count(least: int) -> dict[str, Any]:
    return {
        "accepts": lambda value: is_whole(value) and value >= least,
        "expected": f"a whole number of at least {least}",
    }


_FLAG: dict[str, Any] = {"accepts": lambda value: isinstance(value, bool), "expected": "true or false"}
_SHARE: dict[str, Any] = {"accepts": _share, "expected": "a number between 0 and 1"}

DIFFUSION_CBF_SETTINGS: dict[str, Setting] = {
    **OFFLINE_SETTINGS,
    # The barrier.
    "danger_horizon": Setting(12, "steps", "T_h: a state is safe if no danger comes within it", **_count(1)),
    "alpha": Setting(1.0, "1/s", "α of the barrier condition ḣ + α h ≥ 0", **at_least(0.0, above=True)),
    "barrier_margin": Setting(0.05, "-", "γ_h, by which signs and condition should hold", **at_least(0.0)),
    "future_margin_coef": Setting(
        1.0, "-", "weight of the regression of h on the least margin to come", **at_least(0.0)
    ),
    "beta": Setting(
        0.9,
        "-",
        "β: pre-danger episodes are missed with at most probability 1 - β",
        lambda value: is_number(value) and 0.0 < value < 1.0,
        "a number above 0 and below 1",
    ),
    # The critics.
    "expectile": Setting(0.8, "-", "τ of implicit Q-learning", **_SHARE),
    "danger_penalty": Setting(1.0, "reward", "r_p, lost by a step into danger", **at_least(0.0)),
    # The plans.
    "plan_horizon": Setting(12, "steps", "H, length of a plan", **_count(2)),
    "denoiser": Setting("mlp", "-", "network of the plans", **one_of(*DENOISERS)),
    "denoiser_settings": Setting({}, "-", "of that network, such as width and layers"),
    "noise_schedule": Setting("cosine", "-", "of the diffusion", **one_of(*SCHEDULES)),
    "diffusion_steps": Setting(64, "steps", "K, of the noise schedule", **_count(2)),
    "prediction": Setting("x0", "-", "what the network predicts", **one_of(*PREDICTIONS)),
    "drop_together": Setting(0.2, "-", "probability that a window's whole condition is dropped", **_SHARE),
    "drop_each": Setting(0.05, "-", "probability that one entry is dropped besides", **_SHARE),
    "weights_decay": Setting(0.995, "-", "of the moving average of weights that acts", **_SHARE),
    # Stages of learning.
    "barrier_batches": Setting(1500, "batches", "before the critics, on the barrier", **_count(1)),
    "critic_batches": Setting(1500, "batches", "before the plans, on the critics", **_count(1)),
    # Acting.
    "n_plans": Setting(4, "plans", "M, sampled at every step", **_count(1)),
    "solver": Setting("dpm_solver_pp", "-", "that samples plans", **one_of(*SOLVERS)),
    "solver_steps": Setting(2, "steps", "of the solver", **_count(1)),
    "guidance_weight": Setting(1.0, "-", "ω; 1 is purely conditional", **at_least(0.0)),
    "target_barrier": Setting(
        0.5,
        "quantile",
        "of the least h of the data's windows that plans are asked for; null asks for none",
        lambda value: value is None or _share(value),
        "a number between 0 and 1, or null",
    ),
    "target_return": Setting(
        1.0,
        "-",
        "of plans: -1 is the data's 2 % quantile, 1 its 98 % quantile; null asks for none",
        lambda value: value is None or is_number(value),
        "a number, or null",
    ),
    "filter_plans": Setting(True, "-", "prefer plans that keep the barrier condition", **_FLAG),
    "projection": Setting(True, "-", "project the action on the condition of one learnt step", **_FLAG),
}
