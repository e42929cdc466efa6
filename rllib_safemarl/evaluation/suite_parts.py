"""Parts of suites as people write them, each checked where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name

ELSEWHERE_KEYS = ("env", "env_config")
"""Of environments that are only evaluated in."""
ENVIRONMENT_KEYS = (*ELSEWHERE_KEYS, "config")
"""Of environments that are trained in."""
MOST_SEEDS = 10_000
"""That are taken: a number beyond is a mistake, and would fill the memory."""


def merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``config`` with ``over`` in it, nested mappings key by key."""
    both = dict(config)
    for key, value in over.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        both[key] = value
    return both


def chosen(entries: Any, names: Any, where: str) -> dict[str, Any]:
    """Entries by name, all of them or those that a budget names."""
    entries = {str(name): spec for name, spec in mapping(entries or {}, where).items()}
    if names is None:
        return entries
    names = _names(names, where)
    for name in names:
        if name not in entries:
            raise SafeMARLError(f"{where}: there is none called {name!r}.{nearest_name(name, entries)}")
    return {name: entries[name] for name in names}


def _names(given: Any, where: str) -> list[str]:
    """A list of names."""
    if not isinstance(given, list) or not all(isinstance(name, (str, int, float)) for name in given):
        raise SafeMARLError(
            f"{where} must be named in a list, such as [first, second], and not as {given!r}."
        )
    return [str(name) for name in given]


def some(entries: dict[str, Any], where: str) -> dict[str, Any]:
    """Entries, of which there must be one."""
    if not entries:
        raise SafeMARLError(f"{where}: there are none.")
    return entries


def _read_variants(*given: Any, where: str) -> dict[str, dict[str, Any]]:
    """Name → settings of evaluations; of equal names the later go before the earlier."""
    variants: dict[str, dict[str, Any]] = {}
    for several in given:
        for name, changes in mapping(several or {}, f"variants of {where}").items():
            named = f"variant {str(name)!r} of {where}"
            variants[str(name)] = dict(mapping(changes, named))
            for key in ("env", "env_config", "seed"):
                if key in variants[str(name)]:
                    raise SafeMARLError(
                        f"{named} sets {key}: variants are of the policies; other environments stand under "
                        "unseen, and seeds in the suite itself."
                    )
    return variants


def read_all_variants(
    everywhere: Any, rows: Mapping[str, Any], names: Any, where: str
) -> dict[str, dict[str, dict[str, Any]]]:
    """Row → variant → settings, all variants or those that a budget names."""
    found = {}
    for row, spec in rows.items():
        if isinstance(spec, Mapping) and "data" in spec:
            continue
        own = spec.get("variants") if isinstance(spec, Mapping) else None
        found[row] = _read_variants(everywhere, own, where=f"row {row!r} of {where}")
    if names is None:
        return found
    known = [name for variants in found.values() for name in variants]
    names = _names(names, f"variants of {where}")
    for name in names:
        if name not in known:
            raise SafeMARLError(
                f"variants of {where}: there is none called {name!r}.{nearest_name(name, known)}"
            )
    return {row: {n: v[n] for n in v if n in names} for row, v in found.items()}


def read_controllers(controllers: Any, rows: Iterable[str], where: str) -> list[str]:
    """Names of controllers, none of them a row's."""
    controllers = [] if controllers is None else controllers
    if not isinstance(controllers, list) or not all(isinstance(name, str) for name in controllers):
        raise SafeMARLError(f"controllers of {where} must be a list of names, such as [random, stand_still].")
    for name in controllers:
        if name in rows:
            raise SafeMARLError(f"{where} has a row and a controller that are both called {name!r}.")
    return list(dict.fromkeys(controllers))


def read_seeds(seeds: Any, where: str) -> tuple[int, ...]:
    """A list of seeds, or how many, which counts from 0."""
    if isinstance(seeds, list):
        if not seeds or not all(_is_whole(seed) for seed in seeds) or len(set(seeds)) < len(seeds):
            raise SafeMARLError(f"seeds of {where} must be different whole numbers, and are {seeds!r}.")
        return tuple(seeds)
    number = positive(seeds, f"seeds of {where}")
    if number > MOST_SEEDS:
        raise SafeMARLError(f"seeds of {where} are {number}, and at most {MOST_SEEDS} are taken.")
    return tuple(range(number))


def positive(value: Any, where: str) -> int:
    """A whole number of at least 1."""
    if not _is_whole(value) or value < 1:
        raise SafeMARLError(f"{where} must be a whole number of at least 1, and is {value!r}.")
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def mapping(value: Any, where: str, known: tuple[str, ...] | None = None) -> Mapping[str, Any]:
    """The value, if it is a mapping of known keys."""
    if not isinstance(value, Mapping):
        raise SafeMARLError(f"{where} must be a mapping, and is {value!r}.")
    for key in value:
        if known is not None and key not in known:
            raise SafeMARLError(
                f"{where} has no key {key!r}.{nearest_name(key, known)} It knows: {', '.join(known)}."
            )
    return value


def without(config: Mapping[str, Any], keys: Any, where: str) -> dict[str, Any]:
    """The config less some keys that it must have."""
    keys = _names(keys, f"{where}: without, keys of the base,")
    for key in keys:
        if key not in config:
            raise SafeMARLError(
                f"{where}: without names {key!r}, which the base does not set.{nearest_name(key, config)}"
            )
    return {key: value for key, value in config.items() if key not in keys}


def refuse_grid(config: Any, where: str, path: str = "config") -> None:
    """Refuse what Tune would search over."""
    if isinstance(config, Mapping):
        if "grid_search" in config:
            raise SafeMARLError(f"{where}: {path} is a grid_search; make a row of every value instead.")
        for key, value in config.items():
            refuse_grid(value, where, f"{path}.{key}")
