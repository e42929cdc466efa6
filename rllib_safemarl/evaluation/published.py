"""Tables that others printed, as they stand there: never measured here, and always labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.report import Block, Heading, Paragraph, Table
from rllib_safemarl.evaluation.suite_parts import mapping

_KEYS = ("title", "source", "columns", "rows")


@dataclass(frozen=True)
class PublishedTable:
    """A table of a publication.

    Attributes:
        title: what it shows.
        source: where it was printed, in full.
        columns: headings, the first of them that of the rows' names.
        rows: names and values as printed, as many in each as there are columns.
    """

    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_published(value: Any, where: str) -> tuple[PublishedTable, ...]:
    """Read a suite's list of published tables.

    Args:
        value: a list of mappings with ``title``, ``source``, ``columns`` and ``rows`` (name → values).
        where: the suite, for errors.

    Raises:
        SafeMARLError: a key is missing or unknown, or a row has another number of values than of columns.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SafeMARLError(f"published of {where} must be a list of tables, and is {value!r}.")
    return tuple(_read_table(table, f"table {k} of published of {where}") for k, table in enumerate(value, 1))


def _read_table(value: Any, where: str) -> PublishedTable:
    table = mapping(value, where, _KEYS)
    for key in _KEYS:
        if not table.get(key):
            raise SafeMARLError(f"{where} has no {key}; it needs {', '.join(_KEYS)}.")
    columns = tuple(map(str, table["columns"]))
    rows = []
    for name, values in mapping(table["rows"], f"rows of {where}").items():
        if not isinstance(values, list) or len(values) != len(columns) - 1:
            raise SafeMARLError(
                f"row {name!r} of {where} must be a list of {len(columns) - 1} values, one for each column "
                f"after the first, and is {values!r}."
            )
        rows.append((str(name), *map(str, values)))
    return PublishedTable(str(table["title"]), str(table["source"]), columns, tuple(rows))


def published_blocks(tables: Sequence[PublishedTable]) -> Iterator[Block]:
    """A part of a page, with the source above every table."""
    if not tables:
        return
    yield Heading("As published")
    yield Paragraph(
        "Values as others printed them. They were not measured here, and not necessarily in the same "
        "environments or units: only their order can be compared with ours."
    )
    for table in tables:
        yield Heading(table.title, 3)
        yield Paragraph(f"Printed in {table.source}.")
        yield Table(f"{table.title} ({table.source})", table.columns, table.rows)
