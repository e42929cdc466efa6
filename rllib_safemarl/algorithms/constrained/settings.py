"""Hyper-parameters of constrained policy optimisation."""

from __future__ import annotations

from rllib_safemarl.algorithms.columnar_config import COLUMNAR_SETTINGS, HOPS_OR_NONE
from rllib_safemarl.functional.rewards import REWARD_SCOPES
from rllib_safemarl.settings import FLAG, SHARE, Setting, at_least, counts, is_number, is_whole, one_of

CONSTRAINED_SETTINGS: dict[str, Setting] = {
    **COLUMNAR_SETTINGS,
    # Who is seen.
    "critic_hops": Setting(None, "hops", "radius of the critics' views; None takes kappa", **HOPS_OR_NONE),
    "reward_scope": Setting(
        "team",
        "-",
        "reward an agent learns from: the mean over the team, over its neighbourhood, or its own",
        **one_of(*REWARD_SCOPES),
    ),
    # Who samples under which weights.
    "max_sample_age": Setting(
        0,
        "updates",
        "remote env runners sample without waiting for updates, and what is sampled under weights of more "
        "updates ago is dropped; with 0 every update waits for all of them under its own weights",
        is_whole,
        "a whole number of at least 0",
    ),
    # How the step is taken.
    "sequential": Setting(
        True,
        "-",
        "update policies one after another, each under the factor of those before",
        lambda value: isinstance(value, bool),
        "true or false",
    ),
    "coloured": Setting(
        False,
        "-",
        "update agents that are more than critic_hops apart on a static graph together, as one batched step; "
        "needs a policy per agent and factor_scope=neighbourhood",
        **FLAG,
    ),
    "factor_scope": Setting(
        "neighbourhood",
        "-",
        "whose ratios enter the factor M: all agents', those of agents within critic_hops, or none",
        **one_of("all", "neighbourhood", "none"),
    ),
    "factor_clip": Setting(2.0, "-", "M stays within [1 / factor_clip, factor_clip]", **at_least(1.0)),
    "step": Setting(
        "clip",
        "-",
        "how a policy steps: epochs of the clipped surrogate, or one natural-gradient step inside target_kl",
        **one_of("clip", "trust_region"),
    ),
    "target_kl": Setting(
        None,
        "nats",
        "radius of a trust-region step; a clipped update stops before an epoch once KL(old ‖ new) exceeds "
        "it, and with None never",
        **at_least(0.0, above=True, none=True),
    ),
    "tightening": Setting(
        0.0,
        "-",
        "share of what other agents' updates may have cost that is taken from an agent's limit and radius "
        "(Theorem 3.7): 0 ignores it, 1 holds all of it",
        **SHARE,
    ),
    "nu": Setting(
        "measured",
        "-",
        "cost per episode that a nat of other agents' KL is held to cost: measured over past iterations, or "
        "the theorem's bound, under which nothing moves",
        **one_of("measured", "theorem"),
    ),
    "conjugate_gradient_steps": Setting(
        10, "-", "Fisher-vector products per system that a trust-region step solves", **counts(1)
    ),
    "damping": Setting(
        0.1, "-", "added to the Fisher matrix's diagonal before it is inverted", **at_least(0.0)
    ),
    "line_search_steps": Setting(
        10, "-", "lengths that a trust-region step tries before it gives up", **counts(1)
    ),
    "line_search_shrink": Setting(
        0.8,
        "-",
        "each length that is tried over the one before",
        lambda value: is_number(value) and 0 < value < 1,
        "a number above 0 and below 1",
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
        "how multipliers move: by dual ascent, by a PID controller, solved anew in every trust-region step "
        "(cpo), or none (costs are only watched)",
        **one_of("lagrangian", "pid", "cpo", "none"),
    ),
    "multiplier_lr": Setting(
        0.05,
        "reward per squared cost and iteration",
        "step size of dual ascent; the integral gain of PID",
        **at_least(0.0, above=True),
    ),
    "multiplier_init": Setting(
        0.0,
        "reward per cost",
        "multipliers before the first update; the first integral of PID",
        **at_least(0.0),
    ),
    "proportional_gain": Setting(
        0.1, "reward per squared cost", "PID: multiplier per unit of cost above the limit", **at_least(0.0)
    ),
    "derivative_gain": Setting(
        0.1,
        "reward per squared cost",
        "PID: multiplier per unit by which the cost rises in an iteration",
        **at_least(0.0),
    ),
    "derivative_smoothing": Setting(
        0.5,
        "-",
        "PID: share of the past in the running mean whose rise counts; 0 takes the last two estimates",
        lambda value: is_number(value) and 0 <= value < 1,
        "a number of at least 0 and below 1",
    ),
}
