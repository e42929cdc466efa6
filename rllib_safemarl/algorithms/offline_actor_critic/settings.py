"""Settings of the offline actor-critic core: each stands once, with default, unit and meaning."""

from __future__ import annotations

from rllib_safemarl.algorithms.constrained.settings import CONSTRAINED_SETTINGS
from rllib_safemarl.algorithms.offline.config import OFFLINE_SETTINGS
from rllib_safemarl.functional.rewards import REWARD_SCOPES
from rllib_safemarl.settings import FLAG, INSIDE_SHARE, SHARE, Setting, at_least, counts, one_of

_PID = (
    "limit_margin",
    "multiplier_lr",
    "multiplier_init",
    "proportional_gain",
    "derivative_gain",
    "derivative_smoothing",
)
_AS_ONLINE = ("critic_hops", "critic_lr", "critic_hiddens", *_PID)
SAFETY = (
    "cost_limit",
    "constraint",
    "cost_spread",
    "cost_twins",
    *_PID,
    "advantage_temperature",
    "weight_clip",
    "ood_quantile",
    "ood_samples",
    "ood_rate",
)
"""Settings that ``.safety()`` takes."""

OFFLINE_ACTOR_CRITIC_SETTINGS: dict[str, Setting] = {
    **OFFLINE_SETTINGS,
    **{name: CONSTRAINED_SETTINGS[name] for name in _AS_ONLINE},
    # The critics.
    "critic_actions": Setting(
        "own",
        "-",
        "whose actions critics see: the agent's own, or those of all agents in the critics' views",
        **one_of("own", "seen"),
    ),
    "others_act": Setting(
        "data",
        "-",
        "how the others act, with critic_actions: seen, while an actor is improved: as in the data, or by "
        "their policies",
        **one_of("data", "policies"),
    ),
    "reward_scope": Setting(
        "own",
        "-",
        "reward an agent learns from: the mean over the team, over its neighbourhood, or its own",
        **one_of(*REWARD_SCOPES),
    ),
    "bootstrap_timeouts": Setting(
        True,
        "-",
        "value what comes after a time limit; false takes it for an end, as public code does",
        **FLAG,
    ),
    "target_decay": Setting(0.995, "-", "share that target networks keep of themselves in a batch", **SHARE),
    "target_noise": Setting(
        0.2,
        "half action width",
        "deviation of the noise on a deterministic actor in targets",
        **at_least(0.0),
    ),
    "target_noise_clip": Setting(0.5, "half action width", "bound on that noise", **at_least(0.0)),
    # The actor.
    "actor": Setting(
        "deterministic", "-", "of real actions; choices have logits", **one_of("deterministic", "gaussian")
    ),
    "choice_actor": Setting(
        "categorical",
        "-",
        "of choices: logits of its own, or the choice of the largest Q (double Q-learning, without a critic "
        "beside the policy)",
        **one_of("categorical", "greedy"),
    ),
    "actor_delay": Setting(2, "batches", "between two steps of the actor", **counts(1)),
    "q_weight": Setting(
        2.5,
        "-",
        "α of TD3+BC: weight of Q, in units of its mean magnitude, against the squared distance to the "
        "data's actions, or against their log-likelihood",
        **at_least(0.0),
    ),
    # Conservatism.
    "conservatism": Setting(
        "none",
        "-",
        "none, the actor stays near the data (bc), or Q of other actions is held down (cql)",
        **one_of("none", "bc", "cql"),
    ),
    "cql_weight": Setting(
        0.1,
        "-",
        "of the conservative term, Q in units of the rewards' scale; at 1 the actor goes where the data's "
        "actions are most, whatever they earn",
        **at_least(0.0),
    ),
    "cql_samples": Setting(
        4, "actions", "drawn from the whole range of real actions, and as many near the policy's", **counts(1)
    ),
    "cql_reach": Setting(
        0.3, "half action width", "how near the policy's actions those are", **at_least(0.0, above=True)
    ),
    # The constraint.
    "constraint": Setting(
        "none",
        "-",
        "none, multipliers of a PID controller (pid), projection by weighted regression (cup), or rewards "
        "only where the cost critic allows (cpq)",
        **one_of("none", "pid", "cup", "cpq"),
    ),
    "cost_spread": Setting(
        "data",
        "-",
        "by which limits per episode become limits of critics' values: as costs fall in the data's "
        "episodes, or spread evenly over them, as published",
        **one_of("data", "even"),
    ),
    "cost_twins": Setting(
        "larger",
        "-",
        "what the two critics of a cost say together: the larger, which is wary of actions that the data do "
        "not hold and says more than episodes cost, or their mean, which says how much they cost",
        **one_of("larger", "mean"),
    ),
    "advantage_temperature": Setting(
        0.3, "deviations of the advantage", "η of the weights exp(A / η) of cup", **at_least(0.0, above=True)
    ),
    "weight_clip": Setting(100.0, "-", "largest weight of a sample of cup", **at_least(1.0)),
    "ood_quantile": Setting(
        0.9,
        "-",
        "actions less likely than this share of the data's are out of its distribution (cpq)",
        **INSIDE_SHARE,
    ),
    "ood_samples": Setting(4, "actions", "of the policy that cpq looks at in each state", **counts(1)),
    "ood_rate": Setting(
        0.01, "-", "step by which cpq's weight on the cost of such actions moves in a batch", **at_least(0.0)
    ),
}

OWN = tuple(name for name in OFFLINE_ACTOR_CRITIC_SETTINGS if name not in (*OFFLINE_SETTINGS, *SAFETY))
"""Settings that ``.training()`` takes beside those of every offline algorithm."""
