"""Runs that were trained somewhere: Tune's folders and those of comparisons, told apart by their settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.curves import RESULT_FILE, read_curve, read_readings
from rllib_safemarl.evaluation.words import setting_text, short_names

CURVE_FILE, TRIALS_FOLDER, RESULTS_FILE = "curve.jsonl", "trials", "results.csv"
"""What a comparison keeps: a trial's readings, the folder of all trials, and the table."""
SETTINGS_FILE = "params.json"
"""Tune's file of a trial's settings."""
_COMPARED = re.compile(r"^(?P<name>.+)-seed(?P<seed>\d+)-(?P<digest>[0-9a-f]{10})$")
_SEED, _ENV = "seed", "env"


@dataclass(frozen=True)
class Run:
    """A trial that was trained.

    Attributes:
        folder: its folder.
        source: name of the experiment or the comparison.
        environment: where it trained; empty where that is not known.
        curve: its readings, see :func:`rllib_safemarl.evaluation.curves.read_curve`.
        row: its row in a comparison; empty for a trial of Tune's.
        settings: flattened config of a trial of Tune's without seed and environment, dots between keys.
        seed: its seed; None where none was set.
    """

    folder: Path
    source: str
    environment: str
    curve: pd.DataFrame
    row: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """All runs below some folders.

    Args:
        paths: folders of comparisons, of Tune's experiments, or of single trials.

    Raises:
        SafeMARLError: a folder is missing, or there is no run in it that reported anything.
    """
    runs = []
    for path in paths:
        if not path.is_dir():
            raise SafeMARLError(f"there is no folder {path}.")
        found = [run for run in _runs_of(path) if len(run.curve)]
        if not found:
            raise SafeMARLError(
                f"{path} holds no run that reported anything: name the folder of a Tune experiment or of "
                "safemarl compare."
            )
        runs += found
    return list({run.folder: run for run in runs}.values())


def _runs_of(path: Path) -> Iterator[Run]:
    if (path / TRIALS_FOLDER).is_dir():
        names = _rows_of(path / RESULTS_FILE)
        for folder in sorted((path / TRIALS_FOLDER).iterdir()):
            if (folder / CURVE_FILE).is_file():
                yield _compared(folder, path.resolve().name, names)
        return
    for pattern in ("", "*/", "*/*/"):
        files = sorted(path.glob(f"{pattern}{RESULT_FILE}"))
        if files:
            yield from (_tuned(file.parent) for file in files)
            return


def _rows_of(table: Path) -> dict[str, tuple[str, str]]:
    """Digest and seed of a trial → its environment and row."""
    if not table.is_file():
        return {}
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    lines = frame.drop_duplicates(["seed", "digest"]).itertuples()
    return {f"{line.seed}-{line.digest}": (str(line.environment), str(line.row)) for line in lines}


def _compared(folder: Path, source: str, names: Mapping[str, tuple[str, str]]) -> Run:
    found = _COMPARED.match(folder.name)
    curve = read_readings(folder / CURVE_FILE)
    if found is None:
        return Run(folder, source, "", curve, row=folder.name)
    key = f"{found['seed']}-{found['digest']}"
    environment, row = names.get(key, ("", found["name"]))
    return Run(folder, source, environment, curve, row=row, seed=int(found["seed"]))


def _tuned(folder: Path) -> Run:
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        settings = {}
    flat = dict(_flat(settings if isinstance(settings, Mapping) else {}))
    environment, seed = str(flat.pop(_ENV, "")), flat.pop(_SEED, None)
    return Run(
        folder,
        folder.resolve().parent.name,
        environment,
        read_curve(folder),
        settings=flat,
        seed=seed if isinstance(seed, int) else None,
    )


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, name)
        else:
            yield name, tuple(value) if isinstance(value, list) else value


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Names of the settings in which some runs differ, in the order in which they are first set."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if len({setting_text(run.settings.get(name)) for run in runs}) > 1]


def label_runs(runs: Sequence[Run]) -> list[str]:
    """What tells the rows of runs apart; runs that differ in nothing but their seed have the same label."""
    by_source: dict[str, list[Run]] = {}
    for run in runs:
        by_source.setdefault(run.source, []).append(run)
    # Runs of different experiments may differ in everything: their names tell enough.
    names = {source: short_names(differing_settings(those)) for source, those in by_source.items()}
    labels = []
    for run in runs:
        parts = [f"{short}={setting_text(run.settings.get(n))}" for n, short in names[run.source].items()]
        row = run.row or ", ".join(parts)
        named = [run.source] if len(names) > 1 or not row else []
        labels.append(": ".join([*named, *([row] if row else [])]))
    return labels


def curves_by_row(runs: Sequence[Run]) -> dict[str, dict[str, list[pd.DataFrame]]]:
    """Environment → label → learning curves, for figures."""
    curves: dict[str, dict[str, list[pd.DataFrame]]] = {}
    for run, label in zip(runs, label_runs(runs), strict=True):
        curves.setdefault(run.environment, {}).setdefault(label, []).append(run.curve)
    return curves
