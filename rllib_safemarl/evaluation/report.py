"""A page of results as blocks, written alike as Markdown, HTML and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PLAIN, COMMAND, ALERT = "plain", "command", "alert"
"""Styles of paragraphs."""


@dataclass(frozen=True)
class Heading:
    """A heading below the title.

    Attributes:
        text: what it says.
        level: 2 for a part of the page, 3 for a part of that.
    """

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Some text without markup.

    Attributes:
        text: what it says.
        style: ``plain``, ``command`` (to be typed) or ``alert`` (not to be missed).
    """

    text: str
    style: str = PLAIN


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows.
        columns: headings, the first of them that of the rows' names.
        rows: cells, as many in each as there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure, which lies beside the page as PNG and PDF.

    Attributes:
        name: of its files, without ending.
        caption: what it shows.
    """

    name: str
    caption: str


Block = Heading | Paragraph | Table | Picture


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        title: above it.
        blocks: what it consists of, in order.
    """

    title: str
    blocks: Sequence[Block]
