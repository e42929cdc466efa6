"""The tables of a page for a paper, in LaTeX with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rllib_safemarl.evaluation.report import Heading, Report, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "–": "--",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "ω": r"$\omega$",
}
_NEGATIVE = re.compile(r"(?<![\w.])-(?=[\d∞])")
"""A hyphen that is a minus."""


def latex(report: Report, name: str) -> str:
    """All tables, each a float with caption and label.

    Args:
        report: the page.
        name: before the number in labels.
    """
    parts = [f"% {report.title}: the tables; needs \\usepackage{{booktabs}}"]
    heading, number = "", 0
    for block in report.blocks:
        if isinstance(block, Heading):
            heading = block.text
        elif isinstance(block, Table):
            number += 1
            caption = ": ".join(dict.fromkeys(filter(None, [report.title, heading, block.title])))
            parts.append(latex_table(block, caption, f"tab:{name}-{number}"))
    return "\n\n".join(parts) + "\n"


def latex_table(table: Table, caption: str, label: str) -> str:
    """One table as a float."""
    lines = [_line(table.columns), r"\midrule", *(_line(row) for row in table.rows)]
    body = "\n".join(lines)
    return (
        "\\begin{table}[t]\n\\centering\n"
        f"\\caption{{{escape(caption)}}}\n\\label{{{label}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n"
        f"\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}"
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    parts = _NEGATIVE.split(text)
    return "$-$".join("".join(_SPECIAL.get(letter, letter) for letter in part) for part in parts)
