"""Settings of RLlib that have no meaning in columns, each with the way to what is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from rllib_safemarl.errors import SafeMARLError, nearest_name

_CONNECTOR = (
    "columns run no connectors; scale observations in the environment, or read them in an RLModule "
    "of your own"
)
_STEP = "bound the step by target_kl"
NO_SEQUENCES = "what learns from datasets learns from single steps, and so no recurrent modules"
_CRITICS = "critics are separate networks; set critic_hiddens and critic_lr"

MEANINGLESS: dict[str, tuple[tuple[Any, ...], str]] = {
    "framework_str": (("torch",), "only torch is supported"),
    "env_to_module_connector": ((None,), _CONNECTOR),
    "_env_to_module_connector": ((None,), _CONNECTOR),
    "_module_to_env_connector": ((None,), _CONNECTOR),
    "_learner_connector": ((None,), _CONNECTOR),
    "observation_filter": (
        ("NoFilter", None),
        "columns run no filters; scale observations in the environment",
    ),
    "output": ((None,), "record episodes with 'safemarl record'"),
    "batch_mode": (
        ("truncate_episodes",),
        "columns cut episodes and bootstrap; batches of whole episodes are not needed",
    ),
    "count_steps_by": (
        ("env_steps",),
        "all agents act at once, so batches are counted in environment steps",
    ),
    "clip_rewards": ((None, False), "clip rewards in the environment"),
    "create_local_env_runner": (
        (True,),
        "the local env runner holds the modules that restarted runners are synchronised from",
    ),
    "use_env_runner_state_server": ((False,), "weights travel with every request for samples"),
    "num_aggregator_actors_per_learner": ((0,), "columns need no aggregation"),
    "torch_compile_learner": ((False,), "compile in an RLModule of your own"),
    "torch_compile_worker": ((False,), "compile in an RLModule of your own"),
    "_torch_grad_scaler_class": ((None,), "gradients are not scaled"),
    "_torch_lr_scheduler_classes": ((None,), "give lr a schedule: [[step, lr], …]"),
    "use_critic": ((True,), "the constrained surrogate needs critics"),
    "use_gae": ((True,), "set lambda_=1.0 for Monte-Carlo advantages"),
    "remote_worker_envs": ((False,), "use more env runners"),
    "gym_env_vectorize_mode": (("sync",), "copies are stepped together in columns"),
    "kl_coeff": ((0.2,), _STEP),
    "kl_target": ((0.01,), _STEP),
    "vf_loss_coeff": ((1.0,), "critics are separate networks and share no loss; set critic_lr"),
    "shuffle_batch_per_epoch": ((True,), "minibatches are drawn anew in every epoch"),
    "optimizer": (({},), "policies and critics have an Adam each; set lr, critic_lr and grad_clip"),
    "exploration_config": (({}, {"type": "StochasticSampling"}), "explore in an RLModule"),
}


def refuse_meaningless(config: Any) -> None:
    """Raise an error for the first setting that columns give no meaning to.

    The evaluation config of RLlib sets ``batch_mode`` itself, so it is left alone there.
    """
    pristine = type(config)()
    for name, (accepted, mend) in MEANINGLESS.items():
        if name == "batch_mode" and config.in_evaluation:
            continue
        value = getattr(config, name, accepted[0])
        mode = getattr(value, "value", value)
        untouched = value == getattr(pristine, name, accepted[0])
        if not untouched and mode not in accepted and value not in accepted:
            shown = name.lstrip("_").removesuffix("_str")
            raise SafeMARLError(f"{shown}={_short(value)} has no meaning here: {mend}.")
    if config.model_config.get("vf_share_layers"):
        raise SafeMARLError(f"model_config vf_share_layers=True has no meaning here: {_CRITICS}.")
    if config.model_config.get("use_lstm") and not config.learns_sequences:
        raise SafeMARLError(f"model_config use_lstm=True has no meaning here: {NO_SEQUENCES}.")
    if config.model != pristine.model:
        raise SafeMARLError("training(model=…) has no meaning here: set .rl_module(model_config={…}).")
    _refuse_unknown_model_keys(config)
    _refuse_overrides(config)


_PER_MODULE = frozenset(
    {
        "lr",
        "clip_param",
        "entropy_coeff",
        "num_epochs",
        "target_kl",
        "grad_clip",
        "grad_clip_by",
    }
)
"""What ``algorithm_config_overrides_per_module`` may change: what concerns one policy's step alone."""


def _refuse_overrides(config: Any) -> None:
    """Refuse overrides of single modules that the learner would not look at."""
    for module, overrides in config.algorithm_config_overrides_per_module.items():
        for name in overrides if isinstance(overrides, Mapping) else ():
            if name not in _PER_MODULE:
                raise SafeMARLError(
                    f"algorithm_config_overrides_per_module[{module!r}] cannot change {name!r}; for single "
                    f"policies there are {', '.join(sorted(_PER_MODULE))}."
                )


def _refuse_unknown_model_keys(config: Any) -> None:
    """RLlib's own networks read no other keys; a user's module may read any."""
    given = config._model_config
    if config.has_own_modules or not isinstance(given, Mapping):
        return
    known = {field.name for field in fields(DefaultModelConfig)}
    for name in given:
        if name not in known:
            raise SafeMARLError(f"model_config has no setting {name!r}.{nearest_name(name, known)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
