"""YAML as people write it: ``1e-3`` is a number, a key given twice is an error."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rllib_safemarl.errors import SafeMARLError

_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class _Loader(yaml.SafeLoader):
    """PyYAML reads ``1e-3`` as a string, YAML 1.2 as a number; of a key given twice it drops one silently."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if key != "<<" and keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        SafeMARLError: the file is missing, is a folder, or is malformed (with the line).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SafeMARLError(f"there is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SafeMARLError(f"{path} cannot be read: {error}.") from error
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SafeMARLError(f"{path} is not valid YAML: {_in_one_line(error)}.") from error


def parse_value(text: str, what: str) -> Any:
    """Read a value of the command line, YAML (and so JSON).

    Args:
        text: the value.
        what: where it stands, for the error.

    Raises:
        SafeMARLError: it is malformed.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SafeMARLError(f"{what} {text!r} is not valid YAML or JSON: {_in_one_line(error)}.") from error


def parse_mapping(text: str, what: str, example: str = "kappa") -> dict[str, Any]:
    """Read a mapping of the command line.

    Args:
        text: the mapping.
        what: where it stands, for the error.
        example: a key it could have, for the error.

    Raises:
        SafeMARLError: it is malformed, or no mapping.
    """
    value = parse_value(text, what)
    if not isinstance(value, Mapping):
        raise SafeMARLError(f"{what} {text!r} must be a mapping, such as '{{\"{example}\": 1}}'.")
    for key, below in value.items():
        if below is None and ":" in str(key):
            raise SafeMARLError(f"{what} {text!r} lacks a space after the colon of {key!r}.")
    return dict(value)


def set_dotted(config: dict[str, Any], assignments: tuple[str, ...]) -> None:
    """Apply ``key=value`` texts to a nested dict in place; dots lead into nested keys.

    Raises:
        SafeMARLError: a text has no ``=``, or leads through something that is no mapping.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise SafeMARLError(f"--set {assignment!r} must read key=value, such as --set lr=0.001.")
        value = parse_value(text, f"--set {key}:")
        *path, last = key.split(".")
        target = config
        for depth, part in enumerate(path):
            below = target.setdefault(part, {})
            if below is None:
                below = target[part] = {}
            if not isinstance(below, dict):
                raise SafeMARLError(
                    f"--set {assignment!r}: {'.'.join(path[: depth + 1])} is {below!r}, no mapping that "
                    "could hold a key."
                )
            target = below
        target[last] = value


def _in_one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return " ".join(f"{problem}{place}".split())
