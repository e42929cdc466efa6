"""Experiments from Python files, as Ray 2.40 read them: ``config``, and perhaps ``stop``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from rllib_safemarl.cli.ray_session import import_ray
from rllib_safemarl.errors import SafeMARLError


def load_python(path: Path, quiet: bool = True) -> dict[str, Any]:
    """Run a file that defines ``config`` (an AlgorithmConfig) and perhaps ``stop`` (a dict).

    What the file defines (environments, callbacks, modules) travels to the workers by value.

    Args:
        path: the file.
        quiet: whether Ray's own output is kept down.

    Returns:
        Experiments as a YAML file would describe them, one named after the file.

    Raises:
        SafeMARLError: the file is missing, fails, or defines no such ``config``.
    """
    if not path.is_file():
        raise SafeMARLError(f"there is no file {path}.")
    import_ray(quiet)
    import ray.cloudpickle
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    name = f"rllib_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    ray.cloudpickle.register_pickle_by_value(module)
    try:
        spec.loader.exec_module(module)
    except SafeMARLError:
        raise
    except Exception as error:
        raise SafeMARLError(f"{path} fails: {type(error).__name__}: {error}") from error
    config = getattr(module, "config", None)
    if not isinstance(config, AlgorithmConfig):
        raise SafeMARLError(f"{path} must define config, an AlgorithmConfig such as ScalMAPPOLConfig().")
    if config.algo_class is None:
        raise SafeMARLError(f"config of {path} belongs to no algorithm; use a class such as PPOConfig.")
    return {
        path.stem: {
            "run": _register(config.algo_class),
            "config": config.to_dict(),
            "stop": getattr(module, "stop", None) or {},
        }
    }


def _register(algorithm: type) -> str:
    """The name under which Ray knows an algorithm; one that the file itself defines is registered."""
    from ray.tune.registry import get_trainable_cls, register_trainable

    from rllib_safemarl.algorithms import ALGORITHMS
    from rllib_safemarl.cli.checking import rllib_names

    for name, known in ALGORITHMS.items():
        if known is algorithm:
            return name
    if algorithm.__name__ in rllib_names() and get_trainable_cls(algorithm.__name__) is algorithm:
        return algorithm.__name__
    register_trainable(algorithm.__name__, algorithm)
    return algorithm.__name__
