"""What a suite draws beside the usual figures; read without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.suite_parts import mapping

_KEYS = ("outcomes", "curves", "signals")
_SIGNALS_KEYS = ("row", "behaviour", "signals", "actions")


@dataclass(frozen=True)
class SignalsFigure:
    """How signals of a dataset spread by the action that was taken.

    Attributes:
        row: of the suite, a dataset.
        signals: names of them, as the environment gives them.
        actions: names of the actions, in order; empty for their numbers.
        behaviour: of the dataset, whose episodes are taken; empty for all.
    """

    row: str
    signals: tuple[str, ...]
    actions: tuple[str, ...] = ()
    behaviour: str = ""


@dataclass(frozen=True)
class SuiteFigures:
    """Figures beside the usual ones.

    Attributes:
        outcomes: metrics of the environment of which exactly one is 1 in every episode, drawn as shares.
        curves: metric of the environment → its quantity with unit; drawn while training.
        signals: of a dataset, by action.
    """

    outcomes: tuple[str, ...] = ()
    curves: Mapping[str, str] = field(default_factory=dict)
    signals: SignalsFigure | None = None


def read_figures(value: Any, rows: Mapping[str, Any], where: str) -> SuiteFigures:
    """Read a suite's ``figures``.

    Args:
        value: a mapping with ``outcomes``, ``curves`` and ``signals``, or ``None``.
        rows: the suite's, those included that a budget leaves out.
        where: the suite, for errors.

    Raises:
        SafeMARLError: a key is unknown, or ``signals`` names no dataset among the rows.
    """
    if value is None:
        return SuiteFigures()
    named = f"figures of {where}"
    given = mapping(value, named, _KEYS)
    curves = mapping(given.get("curves") or {}, f"curves of {named}")
    return SuiteFigures(
        _names(given.get("outcomes"), f"outcomes of {named}"),
        {str(name): str(quantity) for name, quantity in curves.items()},
        _read_signals(given.get("signals"), rows, f"signals of {named}"),
    )


def _read_signals(value: Any, rows: Mapping[str, Any], where: str) -> SignalsFigure | None:
    if value is None:
        return None
    given = mapping(value, where, _SIGNALS_KEYS)
    datasets = [name for name, spec in rows.items() if isinstance(spec, Mapping) and "data" in spec]
    row = str(given.get("row"))
    if row not in datasets:
        raise SafeMARLError(f"{where}: row {row!r} is no dataset of this suite.{nearest_name(row, datasets)}")
    signals = _names(given.get("signals"), f"signals of {where}")
    if not signals:
        raise SafeMARLError(f"{where} names none: add signals: [collision_reward], for example.")
    actions = _names(given.get("actions"), f"actions of {where}")
    return SignalsFigure(row, signals, actions, str(given.get("behaviour") or ""))


def _names(value: Any, where: str) -> tuple[str, ...]:
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SafeMARLError(f"{where} must be a list of names, and is {value!r}.")
    return tuple(value)
