"""Paths of files and flags, made absolute on the driver: a trial runs in Ray's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rllib_safemarl.errors import SafeMARLError

INPUT_KEYS = ("input_",)
"""Config keys that hold paths of files to read."""
CHECKPOINT_FILE = "rllib_checkpoint.json"
"""What RLlib writes into every checkpoint."""


def is_remote(path: str) -> bool:
    """Whether a path is a URI such as ``s3://bucket/folder``."""
    return "://" in path


def resolve(path: str, folder: Path) -> str:
    """Make a path absolute: below ``folder`` if it exists there, else below the working directory."""
    if is_remote(path):
        return path
    relative = Path(path).expanduser()
    below_folder = folder / relative
    return str(below_folder if below_folder.exists() else Path.cwd() / relative)


def resolve_inputs(config: dict[str, Any], folder: Path) -> None:
    """Make the paths of data sets in a config absolute, in place.

    Raises:
        SafeMARLError: there is no such file in the file's folder, nor in the working directory.
    """
    for key in INPUT_KEYS:
        value = config.get(key)
        if isinstance(value, str) and value != "sampler":
            config[key] = _resolve_input(key, value, folder)
        elif isinstance(value, list):
            config[key] = [_resolve_input(key, v, folder) if isinstance(v, str) else v for v in value]


def _resolve_input(key: str, value: str, folder: Path) -> str:
    path = resolve(value, folder)
    # A pattern such as data/*.parquet names files without being one.
    if not is_remote(path) and not any(letter in value for letter in "*?[") and not Path(path).exists():
        raise SafeMARLError(f"{key}: there is no {value!r} in {folder} nor in {Path.cwd()}.")
    return path


def newest_checkpoint(path: str) -> Path | str:
    """Find the checkpoint to restore.

    Args:
        path: a checkpoint's folder, or that of a trial or experiment, which gives its newest whole one.

    Raises:
        SafeMARLError: there is no such folder, or no checkpoint in it.
    """
    if is_remote(path):
        return path
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise SafeMARLError(f"there is no checkpoint folder {folder}.")
    if (folder / CHECKPOINT_FILE).is_file():
        return folder
    found = [
        file.parent
        for pattern in ("checkpoint_*", "*/checkpoint_*", "*/*/checkpoint_*")
        for file in folder.glob(f"{pattern}/{CHECKPOINT_FILE}")
    ]
    if not found:
        raise SafeMARLError(f"{folder} holds no checkpoint (a folder with {CHECKPOINT_FILE} in it).")
    # Of one trial's the highest number is the newest, also where a clock was set back.
    newest = [max(_whole(trial), key=checkpoint_number) for trial in _by_trial(found)]
    return max(newest, key=lambda checkpoint: ((checkpoint / CHECKPOINT_FILE).stat().st_mtime, checkpoint))


def checkpoint_number(folder: Path) -> int:
    """7 for a folder named ``checkpoint_000007``; -1 where there is no number."""
    number = folder.name.rpartition("_")[2]
    return int(number) if number.isdigit() else -1


def _by_trial(checkpoints: list[Path]) -> list[list[Path]]:
    trials: dict[Path, list[Path]] = {}
    for checkpoint in checkpoints:
        trials.setdefault(checkpoint.parent, []).append(checkpoint)
    return list(trials.values())


def _whole(checkpoints: list[Path]) -> list[Path]:
    """Those of a trial's checkpoints whose lists of files fit; without any list, all that have no other."""
    from rllib_safemarl.data.file_lists import is_whole

    known = {checkpoint: is_whole(checkpoint) for checkpoint in checkpoints}
    for wanted in (True, None):
        if found := [checkpoint for checkpoint, whole in known.items() if whole is wanted]:
            return found
    return checkpoints
