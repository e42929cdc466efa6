"""Env runners for commands that let a checkpoint's policies act."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_safemarl.cli.documents import set_dotted
from rllib_safemarl.cli.paths import newest_checkpoint
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    from rllib_safemarl.rollout.trained_runner import TrainedEnvRunner


def local_checkpoint(path: str) -> Path:
    """The checkpoint at a path, see :func:`newest_checkpoint`.

    Raises:
        SafeMARLError: there is none, or it lies elsewhere.
    """
    folder = newest_checkpoint(path)
    if not isinstance(folder, Path):
        raise SafeMARLError(f"{path} lies elsewhere: copy it to this machine first.")
    return folder


def trained_runner(
    folder: Path, assignments: tuple[str, ...], episodes: int, **fixed: Any
) -> TrainedEnvRunner:
    """Copies of the environment, in which a checkpoint's policies act.

    Args:
        folder: the checkpoint.
        assignments: texts of ``--set``.
        episodes: to run.
        fixed: config keys that go before all.

    Raises:
        SafeMARLError: another package's algorithm wrote it, or a setting does not fit.
    """
    from rllib_safemarl.algorithms.columnar_config import ColumnarConfig
    from rllib_safemarl.cli.checking import check_env
    from rllib_safemarl.evaluation.trained import TrainedTeam, read_config

    _, config = read_config(folder)
    if not isinstance(config, ColumnarConfig):
        raise SafeMARLError(f"{folder} was not written by an algorithm of this package; only those are read.")
    changes: dict[str, Any] = {"env_config": dict(config.env_config)}
    set_dotted(changes, assignments)
    check_env(changes.get("env", config.env))
    return TrainedTeam.read(folder).runner({**changes, **fixed}, episodes)
