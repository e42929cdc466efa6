"""Recipes of recordings as people write them, checked: :mod:`rllib_safemarl.evaluation.recording_recipe`."""

from __future__ import annotations

import glob
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rllib_safemarl.envs.registry import ENVIRONMENTS
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.recording_recipe import (
    DEFAULT_BEHAVIOURS,
    EPISODES,
    Behaviour,
    Grid,
    Range,
    Recipe,
)

KEYS = tuple(name for name in Recipe.__dataclass_fields__ if name != "folder")
BEHAVIOUR_KEYS = ("scripted", "policy", "share", "settings", "explore", "noise")
GRID_KEYS = tuple(Grid.__dataclass_fields__)


def read_recipe(document: Any, folder: Path, where: str) -> Recipe:
    """A recipe from what its YAML file says.

    Args:
        document: content of the file.
        folder: of the file; paths are relative to it, or else to the working directory.
        where: the file, for messages.

    Raises:
        SafeMARLError: one line that names the key and the mend.
    """
    given = _mapping(document, KEYS, where)
    if not isinstance(given.get("env"), str):
        raise SafeMARLError(f"{where}: env must name an environment, such as safemarl/crossing.")
    if ":" not in given["env"] and given["env"] not in ENVIRONMENTS:
        raise SafeMARLError(
            f"there is no environment {given['env']!r}.{nearest_name(given['env'], ENVIRONMENTS)} Ours are: "
            f"{', '.join(ENVIRONMENTS)}; your own are named file.py:function."
        )
    behaviours = given.get("behaviours") or DEFAULT_BEHAVIOURS.get(given["env"])
    if not isinstance(behaviours, Mapping) or not behaviours:
        raise SafeMARLError(
            f"{where}: behaviours must say who acts in {given['env']}, such as {{any: {{scripted: random}}}}."
        )
    config = given.get("env_config") or {}
    if not isinstance(config, Mapping):
        raise SafeMARLError(f"{where}: env_config must be a mapping, not {config!r}.")
    seconds, limit = given.get("step_seconds"), given.get("time_limit")
    grid, bits = given.get("grid"), given.get("observation_bits")
    return Recipe(
        env=given["env"],
        behaviours=_unique(
            [b for name, each in behaviours.items() for b in _behaviours(str(name), each, folder, where)],
            where,
        ),
        env_config=dict(config),
        episodes=_whole(given.get("episodes", EPISODES), "episodes", 1, where),
        seed=_whole(given.get("seed", 0), "seed", 0, where),
        cost_limits=_limits(given.get("cost_limits"), where),
        grid=None if grid is None else _grid(grid, where),
        time_limit=None if limit is None else _whole(limit, "time_limit", 1, where),
        step_seconds=None if seconds is None else _number(seconds, "step_seconds", where),
        danger_cost=_number(given.get("danger_cost", 0.0), "danger_cost", where),
        observation_bits=None if bits is None else _whole(bits, "observation_bits", 1, where, most=22),
        about=str(given.get("about") or "").strip(),
        folder=folder,
    )


def _behaviours(name: str, given: Any, folder: Path, where: str) -> list[Behaviour]:
    """One behaviour, or one for each of several policies."""
    what = f"{where}: behaviour {name!r}"
    given = _mapping(given, BEHAVIOUR_KEYS, what)
    if ("scripted" in given) == ("policy" in given):
        raise SafeMARLError(f"{what} needs either scripted, a controller, or policy, a path.")
    explore = given.get("explore", False)
    if not isinstance(explore, bool) or (explore and "policy" not in given):
        raise SafeMARLError(f"{what}: explore must be true or false, and needs policy.")
    behaviour = Behaviour(
        name,
        share=_number(given.get("share", 1.0), "share", what),
        explore=explore,
        noise=_range(given.get("noise", 0.0), "noise", what, least=0.0),
    )
    if not behaviour.share:
        raise SafeMARLError(f"{what}: share must be above 0.")
    if "scripted" in given:
        scripted = _mixture(given["scripted"], what)
        settings = _mapping(given.get("settings") or {}, None, f"{what}: settings")
        if settings and len(scripted) > 1:
            raise SafeMARLError(f"{what}: settings need a single controller.")
        ranges = {key: _range(value, key, what) for key, value in settings.items()}
        return [replace(behaviour, scripted=scripted, settings=ranges)]
    if given.get("settings"):
        raise SafeMARLError(f"{what}: settings are those of a scripted controller, not of a policy.")
    folders = _find(given["policy"], folder, what)
    share = behaviour.share / len(folders)
    names = [name] if len(folders) == 1 else [f"{name} {k}" for k in range(1, len(folders) + 1)]
    return [
        replace(behaviour, name=label, share=share, policy=str(found), policy_hash=_policy_hash(found, what))
        for label, found in zip(names, folders, strict=True)
    ]


def _mixture(given: Any, what: str) -> dict[str, float]:
    if isinstance(given, str):
        return {given: 1.0}
    if not isinstance(given, Mapping) or not given:
        raise SafeMARLError(f"{what}: scripted must be a controller, or controller: probability for several.")
    shares = {str(name): _number(value, f"scripted.{name}", what) for name, value in given.items()}
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise SafeMARLError(f"{what}: probabilities of scripted sum to {sum(shares.values()):g}, not to 1.")
    return shares


def _find(pattern: Any, folder: Path, what: str) -> list[Path]:
    if not isinstance(pattern, str) or not pattern:
        raise SafeMARLError(f"{what}: policy must be a path or a pattern, not {pattern!r}.")
    for base in (folder, Path.cwd()):
        found = sorted(glob.glob(str(base / Path(pattern).expanduser()), recursive=True))
        if found:
            return [Path(each).resolve() for each in found]
    raise SafeMARLError(f"{what}: nothing fits policy {pattern!r} in {folder} nor in {Path.cwd()}.")


def _policy_hash(folder: Path, what: str) -> str:
    # A policy's description holds the hash of its arrays.
    for file in (folder / "policy.json", folder / "policy" / "policy.json"):
        if file.is_file():
            return hashlib.sha256(file.read_bytes()).hexdigest()
    raise SafeMARLError(f"{what}: {folder} holds no policy (policy.json, or a folder policy/ with it).")


def _unique(behaviours: list[Behaviour], where: str) -> tuple[Behaviour, ...]:
    names = [behaviour.name for behaviour in behaviours]
    for name in names:
        if names.count(name) > 1:
            raise SafeMARLError(f"{where}: two behaviours are called {name!r}; rename one.")
    return tuple(behaviours)


def _limits(given: Any, where: str) -> dict[str, tuple[float, ...]]:
    if given is None:
        return {}
    per_cost = given if isinstance(given, Mapping) else {"": given}
    return {
        str(name): tuple(_number(x, "cost_limits", where) for x in (v if isinstance(v, list) else [v]))
        for name, v in per_cost.items()
    }


def _grid(given: Any, where: str) -> Grid:
    given = _mapping(given, GRID_KEYS, f"{where}: grid")
    return Grid(**{key: _whole(value, f"grid.{key}", 1, where) for key, value in given.items()})


def _mapping(given: Any, known: Iterable[str] | None, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise SafeMARLError(f"{what} must be a mapping, not {given!r}.")
    for key in given if known is not None else ():
        names = list(known or ())
        if key not in names:
            raise SafeMARLError(
                f"{what} has no key {key!r}.{nearest_name(key, names)} It knows: {', '.join(names)}."
            )
    return {str(key): value for key, value in given.items()}


def _whole(value: Any, key: str, least: int, where: str, most: float = math.inf) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most:g}"
        raise SafeMARLError(f"{where}: {key} must be a whole number {bounds}, not {value!r}.")
    return value


def _number(value: Any, key: str, where: str, least: float = 0.0) -> float:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < least:
        bound = f" of at least {least:g}" if math.isfinite(least) else ""
        raise SafeMARLError(f"{where}: {key} must be a number{bound}, not {value!r}.")
    return float(value)


def _range(value: Any, key: str, where: str, least: float = -math.inf) -> Range:
    ends = value if isinstance(value, list) and len(value) == 2 else [value, value]
    low, high = (_number(end, key, where, least) for end in ends)
    if low > high:
        raise SafeMARLError(f"{where}: {key} {value!r} must be a number, or [lowest, highest].")
    return low, high
