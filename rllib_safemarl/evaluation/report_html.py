"""A page of results as one HTML file that needs nothing else: its pictures are inside it."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from rllib_safemarl.evaluation.report import ALERT, COMMAND, Block, Heading, Paragraph, Picture, Report, Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 0; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid #d8dee4; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .7rem 0; max-width: 46rem; color: #424a53; }
pre { background: #f3f5f7; padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; font-size: 13px; }
.alert { background: #fff4e5; border-left: 4px solid #d55e00; padding: .6rem 1rem; color: #6b2e00;
  font-weight: 600; }
.table { overflow-x: auto; margin: .6rem 0 1.2rem; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #57606a; padding: .2rem 0 .4rem; }
th { text-align: right; font-weight: 600; border-bottom: 2px solid #424a53; vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid #e7ebef; white-space: nowrap; }
th, td { padding: .32rem .7rem; }
th:first-child, td:first-child { text-align: left; padding-left: .2rem; }
tbody tr:hover { background: #f6f8fa; }
figure { margin: 1.4rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #57606a; font-size: 13.5px; }
@media print { main { max-width: none; } figure, .table { break-inside: avoid; } }
"""


def html(report: Report, folder: Path) -> str:
    """The page.

    Args:
        report: the page.
        folder: where its pictures lie as PNG.
    """
    body = "\n".join(_block(block, folder) for block in report.blocks)
    title = escape(report.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block, folder: Path) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Picture):
        return _picture(block, folder)
    if isinstance(block, Table):
        return _table(block)
    return _paragraph(block)


def _paragraph(paragraph: Paragraph) -> str:
    text = escape(paragraph.text)
    if paragraph.style == COMMAND:
        return f"<pre><code>{text}</code></pre>"
    return f'<p class="alert">{text}</p>' if paragraph.style == ALERT else f"<p>{text}</p>"


def _picture(picture: Picture, folder: Path) -> str:
    content = base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode("ascii")
    caption = escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{content}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in table.rows
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return (
        f'<div class="table"><table>{caption}\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )
