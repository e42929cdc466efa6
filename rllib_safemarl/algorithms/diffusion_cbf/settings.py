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

_QUANTILE: dict[str, Any] = {
    "accepts": lambda value: value is None or _share(value),
    "expected": "a number between 0 and 1, or null",
}


def _inside(value: object) -> bool:
    return is_number(value) and 0.0 < value < 1.0  # type: ignore[operator]


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
        0.9, "-", "β, the safety that the barrier is calibrated to", _inside, "a number above 0 and below 1"
    ),
    "beta_mode": Setting(
        "miss",
        "-",
        "what β bounds: 1 - β is the share of dangerous episodes that are missed, or β the share of accepted "
        "episodes that stay safe",
        **one_of("miss", "precision"),
    ),
    "beta_confidence": Setting(
        0.95, "-", "of the bound in mode precision", _inside, "a number above 0 and below 1"
    ),
    # The critics.
    "expectile": Setting(0.8, "-", "τ of implicit Q-learning", **_SHARE),
    "danger_penalty": Setting(1.0, "reward", "r_p, lost by a step into danger", **at_least(0.0)),
    # The plans.
    "plan_horizon": Setting(12, "steps", "H, length of a plan", **_count(2)),
    "denoiser": Setting("transformer", "-", "network of the plans", **one_of(*DENOISERS)),
    "denoiser_settings": Setting({}, "-", "of that network, such as width and layers"),
    "noise_schedule": Setting("cosine", "-", "of the diffusion", **one_of(*SCHEDULES)),
    "diffusion_steps": Setting(64, "steps", "K, of the noise schedule", **_count(2)),
    "prediction": Setting("x0", "-", "what the network predicts", **one_of(*PREDICTIONS)),
    "noise_bias": Setting(
        3.0,
        "-",
        "windows are noised to step K u^(1/bias), u uniform; 1 trains all steps alike",
        **at_least(1.0),
    ),
    "action_weight": Setting(
        20.0, "-", "weight, in the loss, of the first step of the agent's own features", **at_least(0.0)
    ),
    "drop_together": Setting(0.2, "-", "probability that a window's whole condition is dropped", **_SHARE),
    "drop_each": Setting(0.05, "-", "probability that one entry is dropped besides", **_SHARE),
    "weights_decay": Setting(0.995, "-", "of the moving average of weights that acts", **_SHARE),
    "reach_expectile": Setting(0.9, "-", "of y among windows alike, as what the data reach", **_SHARE),
    "mixed_precision": Setting(True, "-", "denoise in bfloat16 where learners have a GPU", **_FLAG),
    # Stages of learning; in each the learning rate falls to nearly 0.
    "barrier_batches": Setting(1500, "batches", "before the critics, on the barrier", **_count(1)),
    "critic_batches": Setting(1500, "batches", "before the plans, on the critics", **_count(1)),
    "plan_batches": Setting(
        None,
        "batches",
        "on the plans; null keeps the learning rate where it is",
        lambda value: value is None or (is_whole(value) and value >= 1),
        "a whole number of at least 1, or null",
    ),
    # Acting.
    "n_plans": Setting(4, "plans", "M, sampled at every step", **_count(1)),
    "solver": Setting("dpm_solver_pp", "-", "that samples plans", **one_of(*SOLVERS)),
    "solver_steps": Setting(2, "steps", "of the solver", **_count(1)),
    "clip_plans": Setting(
        None,
        "typical changes",
        "bound on plans while they are sampled, which predicted noise needs; null for none",
        **at_least(0.0, above=True, none=True),
    ),
    "start_noise": Setting(
        0.5,
        "-",
        "standard deviation of the noise that plans start from; the first starts from none",
        **at_least(0.0),
    ),
    "ranking": Setting(
        "expected",
        "-",
        "of plans that keep the barrier condition: the expected one first, then the others; or by Q",
        **one_of("expected", "q"),
    ),
    "warm_start": Setting(
        0.0, "-", "share of the noise put on the last plan to go on with it; 0 begins anew", **_SHARE
    ),
    "guidance": Setting(
        "condition",
        "-",
        "of the plans: by y alone, or by the gradient of the barrier's condition besides",
        **one_of("condition", "gradient"),
    ),
    "guidance_weight": Setting(1.0, "-", "ω; 1 is purely conditional", **at_least(0.0)),
    "gradient_weight": Setting(1.0, "-", "of gradient guidance", **at_least(0.0)),
    "target_barrier": Setting(
        1.0, "quantile", "of the data's least h, asked for within reach; null asks for none", **_QUANTILE
    ),
    "target_return": Setting(
        1.0, "quantile", "of the data's returns, asked for within reach; null asks for none", **_QUANTILE
    ),
    "filter_plans": Setting(True, "-", "prefer plans that keep the barrier condition", **_FLAG),
    "projection": Setting(True, "-", "project the action on the condition of one learnt step", **_FLAG),
}
