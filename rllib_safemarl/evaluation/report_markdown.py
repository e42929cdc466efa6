"""A page of results as Markdown."""

from __future__ import annotations

from rllib_safemarl.evaluation.report import ALERT, COMMAND, Block, Heading, Paragraph, Picture, Report, Table


def markdown(report: Report) -> str:
    """The page; its pictures are PNG files beside it."""
    return "\n\n".join([f"# {report.title}", *map(_block, report.blocks)]) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Picture):
        return f"![{block.caption}]({block.name}.png)"
    if isinstance(block, Table):
        return markdown_table(block)
    return _paragraph(block)


def _paragraph(paragraph: Paragraph) -> str:
    marks = {COMMAND: "`", ALERT: "**"}
    mark = marks.get(paragraph.style, "")
    return f"{mark}{paragraph.text}{mark}"


def markdown_table(table: Table) -> str:
    """Text left and numbers right; the title is left to headings."""
    alignment = [":---" if index == 0 else "---:" for index in range(len(table.columns))]
    cells = [table.columns, alignment, *table.rows]
    return "\n".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in cells)
