"""Settings of acting: what can be changed of planners that are trained."""

from __future__ import annotations

from rllib_safemarl.functional.diffusion_samplers import SOLVERS
from rllib_safemarl.settings import (
    FLAG,
    INSIDE_SHARE,
    SHARE,
    SHARE_OR_NULL,
    Setting,
    at_least,
    counts,
    one_of,
)

PLANNING_SETTINGS: dict[str, Setting] = {
    "beta": Setting(0.9, "-", "β, the safety that the barrier is calibrated to", **INSIDE_SHARE),
    "beta_mode": Setting(
        "miss",
        "-",
        "what β bounds: 1 - β is the share of dangerous episodes that are missed, or β the share of accepted "
        "episodes that stay safe",
        **one_of("miss", "precision"),
    ),
    "beta_confidence": Setting(0.95, "-", "of the bound in mode precision", **INSIDE_SHARE),
    "n_plans": Setting(4, "plans", "M, sampled at every step", **counts(1)),
    "solver": Setting("dpm_solver_pp", "-", "that samples plans", **one_of(*SOLVERS)),
    "solver_steps": Setting(2, "steps", "of the solver", **counts(1)),
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
        0.0, "-", "share of the noise put on the last plan to go on with it; 0 begins anew", **SHARE
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
        1.0, "quantile", "of the data's least h, asked for within reach; null asks for none", **SHARE_OR_NULL
    ),
    "target_return": Setting(
        1.0, "quantile", "of the data's returns, asked for within reach; null asks for none", **SHARE_OR_NULL
    ),
    "filter_plans": Setting(True, "-", "prefer plans that keep the barrier condition", **FLAG),
    "projection": Setting(True, "-", "project the action on the condition of one step ahead", **FLAG),
    "projection_model": Setting(
        "learnt",
        "-",
        "of that step: learnt from data, or the environment's own, which is privileged and few offer",
        **one_of("learnt", "true"),
    ),
}
