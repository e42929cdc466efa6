"""Experiments as files and flags describe them: Ray 2.40's schema, read without importing Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rllib_safemarl.cli.documents import load_yaml, parse_mapping, set_dotted
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.paths import is_remote, newest_checkpoint, resolve, resolve_inputs
from rllib_safemarl.errors import SafeMARLError, nearest_name

TUNE_KEYS = ("num_samples", "time_budget_s", "max_failures", "log_to_file", "export_formats", "sync_config")
"""Keys of an experiment that go to Tune as they are."""
CHECKPOINT_KEYS = {
    "checkpoint_freq": "checkpoint_frequency",
    "checkpoint_at_end": "checkpoint_at_end",
    "keep_checkpoints_num": "num_to_keep",
    "checkpoint_score_attr": "checkpoint_score_attribute",
}
"""Older keys of an experiment, and flags → keys of ``checkpoint_config``."""
CHECKPOINT_CONFIG_KEYS = (*CHECKPOINT_KEYS.values(), "checkpoint_score_order")
EXPERIMENT_KEYS = (
    "run",
    "env",
    "stop",
    "config",
    "storage_path",
    "restore",
    "checkpoint_config",
    *TUNE_KEYS,
    *CHECKPOINT_KEYS,
)
REFUSED_KEYS = {
    "resources_per_trial": "an algorithm asks for its own resources; set num_env_runners, "
    "num_cpus_per_env_runner, num_learners and num_gpus_per_learner in config",
    "local_dir": "it is called storage_path now",
    "upload_dir": "it is called storage_path now",
}


@dataclass
class Experiment:
    """One experiment, ready to be checked.

    Attributes:
        name: its folder's name.
        run: the algorithm's name.
        config: of the algorithm, ``env`` included, perhaps with ``grid_search``.
        stop: metric → value from which on a trial stops.
        checkpoints: keys of Tune's ``CheckpointConfig``.
        storage_path: folder the experiment's folder lies in, or a URI; None takes Ray's.
        restore: checkpoint that trials start from.
        tune: further keys for Tune.
    """

    name: str
    run: str
    config: dict[str, Any]
    stop: dict[str, float] = field(default_factory=dict)
    checkpoints: dict[str, Any] = field(default_factory=dict)
    storage_path: str | None = None
    restore: str | None = None
    tune: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """Where the experiment's files lie; None if that is not a local folder."""
        storage = self.storage_path or str(Path.home() / "ray_results")
        return None if is_remote(storage) else Path(storage) / self.name


def read_experiments(path: Path, flags: TrainFlags) -> list[Experiment]:
    """Read a ``.yaml`` or ``.py`` file and apply the flags.

    Raises:
        SafeMARLError: the file is missing or malformed, or a key or value in it does not fit.
    """
    if path.suffix in (".yaml", ".yml"):
        document = load_yaml(path)
    elif path.suffix == ".py":
        from rllib_safemarl.cli.python_files import load_python

        document = load_python(path, flags.quiet)
    else:
        raise SafeMARLError(f"{path} is neither a .yaml nor a .py file.")
    if not isinstance(document, Mapping) or not document:
        raise SafeMARLError(f"{path} must map experiment names to experiments (run, env, stop, config, …).")
    if "run" in document and not isinstance(document["run"], Mapping):
        raise SafeMARLError(f"{path} describes an experiment without a name: indent it under one.")
    folder = path.resolve().parent
    return [read_experiment(str(name), spec, folder, flags) for name, spec in document.items()]


def read_experiment(name: str, spec: Any, folder: Path, flags: TrainFlags) -> Experiment:
    """Make one experiment from its mapping and the flags.

    Args:
        name: the experiment's.
        spec: its keys.
        folder: relative paths are looked for here, and then in the working directory.
        flags: the command line's.

    Raises:
        SafeMARLError: a key or value does not fit.
    """
    if not isinstance(spec, Mapping):
        raise SafeMARLError(f"experiment {name!r} must be a mapping with run, env, stop and config.")
    _refuse_unknown_keys(name, spec)
    run = spec.get("run")
    if not isinstance(run, str):
        raise SafeMARLError(f"experiment {name!r} names no algorithm: add a line such as run: SCAL_MAPPO_L.")
    config = spec.get("config") or {}
    if not isinstance(config, Mapping):
        raise SafeMARLError(f"config of experiment {name!r} must be a mapping, and is {config!r}.")
    config = _copied(config)
    if spec.get("env") is not None:
        config["env"] = spec["env"]
    _apply_flags(config, flags)
    if not config.get("env") and not config.get("input_"):
        raise SafeMARLError(
            f"experiment {name!r} names no environment: add a line such as env: safemarl/crossing."
        )
    resolve_inputs(config, folder)
    restore = flags.restore or spec.get("restore")
    storage_path = spec.get("storage_path")
    if flags.storage_path:
        storage_path = resolve(flags.storage_path, Path.cwd())
    elif storage_path:
        storage_path = resolve(str(storage_path), folder)
    return Experiment(
        name=name,
        run=run,
        config=config,
        stop=_read_stop(name, _stop_flag(flags.stop) if flags.stop else spec.get("stop")),
        checkpoints=_read_checkpoints(name, spec, flags),
        storage_path=storage_path,
        restore=str(newest_checkpoint(resolve(str(restore), folder))) if restore else None,
        tune={key: spec[key] for key in TUNE_KEYS if spec.get(key) is not None},
    )


def _refuse_unknown_keys(name: str, spec: Mapping[str, Any]) -> None:
    for key in spec:
        if key in REFUSED_KEYS:
            raise SafeMARLError(f"{key} of experiment {name!r} has no meaning here: {REFUSED_KEYS[key]}.")
        if key not in EXPERIMENT_KEYS:
            raise SafeMARLError(
                f"experiment {name!r} has no key {key!r}.{nearest_name(key, EXPERIMENT_KEYS)} It knows: "
                f"{', '.join(EXPERIMENT_KEYS)}; settings of the algorithm stand under config."
            )


def _apply_flags(config: dict[str, Any], flags: TrainFlags) -> None:
    if flags.env:
        config["env"] = flags.env
    if flags.framework:
        config["framework"] = flags.framework
    if flags.local_mode:
        config.update(num_env_runners=0, num_learners=0)
    if flags.log_debug or flags.log_info:
        config["log_level"] = "DEBUG" if flags.log_debug else "INFO"
    set_dotted(config, flags.assignments)
    framework = config.get("framework", "torch")
    if framework != "torch":
        raise SafeMARLError(f"framework {framework!r} is not supported: only torch is.")


def _stop_flag(text: str) -> dict[str, Any]:
    return parse_mapping(text, "--stop", example="training_iteration")


def _read_stop(name: str, stop: Any) -> dict[str, float]:
    """Stopping criteria, nested ones under ``a/b``."""
    if not isinstance(stop or {}, Mapping):
        raise SafeMARLError(f"stop of experiment {name!r} must map metrics to values, and is {stop!r}.")
    flat: dict[str, float] = {}
    for key, value in (stop or {}).items():
        if isinstance(value, Mapping):
            flat |= {f"{key}/{below}": v for below, v in _read_stop(name, value).items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[str(key)] = value
        else:
            raise SafeMARLError(f"stop criterion {key!r} of experiment {name!r} is {value!r}, no number.")
    return flat


def _read_checkpoints(name: str, spec: Mapping[str, Any], flags: TrainFlags) -> dict[str, Any]:
    """Keys of ``CheckpointConfig``: flags go before the file, and both before our defaults."""
    given = spec.get("checkpoint_config") or {}
    if not isinstance(given, Mapping):
        raise SafeMARLError(f"checkpoint_config of experiment {name!r} must be a mapping.")
    for key in given:
        if key not in CHECKPOINT_CONFIG_KEYS:
            raise SafeMARLError(
                f"checkpoint_config of experiment {name!r} has no key {key!r}."
                f"{nearest_name(key, CHECKPOINT_CONFIG_KEYS)}"
            )
    checkpoints = {"checkpoint_at_end": True, **given}
    for source in (spec, vars(flags)):
        for key, tune_key in CHECKPOINT_KEYS.items():
            if source.get(key) is not None:
                checkpoints[tune_key] = source[key]
    score = checkpoints.get("checkpoint_score_attribute")
    if isinstance(score, str) and score.startswith("min-"):
        checkpoints |= {"checkpoint_score_attribute": score[4:], "checkpoint_score_order": "min"}
    return checkpoints


def _copied(value: Any) -> Any:
    """A copy in which mappings and lists can be changed; everything else stays itself."""
    if isinstance(value, Mapping):
        return {key: _copied(below) for key, below in value.items()}
    return [_copied(below) for below in value] if isinstance(value, list) else value
