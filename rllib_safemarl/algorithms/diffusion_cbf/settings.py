"""Settings of DIFFUSION_CBF: each stands once, with default, unit and meaning."""

from __future__ import annotations

from rllib_safemarl.algorithms.diffusion_cbf.prepare import DANGER_SOURCES
from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS
from rllib_safemarl.functional.diffusion_schedules import PREDICTIONS, SCHEDULES
from rllib_safemarl.nn.barrier_networks import BARRIER_POOLINGS
from rllib_safemarl.nn.denoisers import DENOISERS
from rllib_safemarl.policies.planning_settings import PLANNING_SETTINGS
from rllib_safemarl.settings import FLAG, SHARE, Setting, at_least, counts, is_whole, one_of

DIFFUSION_CBF_SETTINGS: dict[str, Setting] = {
    **OFFLINE_SETTINGS,
    # The barrier.
    "danger_horizon": Setting(12, "steps", "T_h: a state is safe if no danger comes within it", **counts(1)),
    "danger_from": Setting(
        "margins",
        "-",
        "what tells danger: recorded margins, where there are any, or costs above the dataset's danger_cost",
        **one_of(*DANGER_SOURCES),
    ),
    "alpha": Setting(1.0, "1/s", "α of the barrier condition ḣ + α h ≥ 0", **at_least(0.0, above=True)),
    "barrier_pooling": Setting(
        "pairs", "-", "h as the least over neighbours, or of their pooled codes", **one_of(*BARRIER_POOLINGS)
    ),
    "barrier_ignores": Setting(
        (),
        "features",
        "numbers of observations, own and neighbours', that danger cannot depend on, such as where a goal is",
        lambda value: isinstance(value, (list, tuple)) and all(is_whole(v) and v >= 0 for v in value),
        "a list of whole numbers",
    ),
    "barrier_margin": Setting(0.05, "-", "γ_h, by which signs and condition should hold", **at_least(0.0)),
    "future_margin_coef": Setting(
        1.0, "-", "weight of the regression of h on the least margin to come", **at_least(0.0)
    ),
    # The critics.
    "expectile": Setting(0.8, "-", "τ of implicit Q-learning", **SHARE),
    "danger_penalty": Setting(1.0, "reward", "r_p, lost by a step into danger", **at_least(0.0)),
    # The plans.
    "plan_horizon": Setting(12, "steps", "H, length of a plan", **counts(2)),
    "denoiser": Setting("transformer", "-", "network of the plans", **one_of(*DENOISERS)),
    "denoiser_settings": Setting({}, "-", "of that network, such as width and layers"),
    "noise_schedule": Setting("cosine", "-", "of the diffusion", **one_of(*SCHEDULES)),
    "diffusion_steps": Setting(64, "steps", "K, of the noise schedule", **counts(2)),
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
    "drop_together": Setting(0.2, "-", "probability that a window's whole condition is dropped", **SHARE),
    "drop_each": Setting(0.05, "-", "probability that one entry is dropped besides", **SHARE),
    "weights_decay": Setting(0.995, "-", "of the moving average of weights that acts", **SHARE),
    "reach_expectile": Setting(0.9, "-", "of y among windows alike, as what the data reach", **SHARE),
    "mixed_precision": Setting(True, "-", "denoise in bfloat16 where learners have a GPU", **FLAG),
    # Stages of learning; in each the learning rate falls to nearly 0.
    "barrier_batches": Setting(1500, "batches", "before the critics, on the barrier", **counts(1)),
    "critic_batches": Setting(1500, "batches", "before the plans, on the critics", **counts(1)),
    "plan_batches": Setting(
        None,
        "batches",
        "on the plans; null keeps the learning rate where it is",
        lambda value: value is None or (is_whole(value) and value >= 1),
        "a whole number of at least 1, or null",
    ),
    # Acting.
    **PLANNING_SETTINGS,
}
