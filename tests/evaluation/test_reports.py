"""A page as Markdown, HTML and LaTeX."""

import base64
import re
from html.parser import HTMLParser

import pytest

from rllib_safemarl.evaluation.report import ALERT, COMMAND, Heading, Paragraph, Picture, Report, Table
from rllib_safemarl.evaluation.report_html import html
from rllib_safemarl.evaluation.report_latex import escape, latex
from rllib_safemarl.evaluation.report_markdown import markdown

REPORT = Report(
    "Rows & <rows>",
    [
        Paragraph("safemarl compare a|b.yaml", COMMAND),
        Paragraph("Failed: x < y", ALERT),
        Heading("β = 0.5"),
        Table("", ("", "return"), [["a|b", "-1.50 ± 0.10"], ["c_d", "50 %"]]),
        Picture("curves", "Return & cost"),
        Table("planning", ("", "warm"), [["a", "1"]]),
    ],
)


class Reader(HTMLParser):
    """Collects tags that are not closed, cells of tables, and what is fetched from elsewhere."""

    VOID = ("meta", "img", "link")

    def __init__(self):
        super().__init__()
        self.open, self.cells, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_markdown():
    text = markdown(REPORT)
    assert text.startswith(
        "# Rows & <rows>\n\n`safemarl compare a|b.yaml`\n\n**Failed: x < y**\n\n## β = 0.5\n"
    )
    assert "|  | return |\n| :--- | ---: |\n| a\\|b | -1.50 ± 0.10 |\n| c_d | 50 % |\n" in text
    assert "![Return & cost](curves.png)" in text


def test_html_is_one_file_with_its_pictures(tmp_path):
    (tmp_path / "curves.png").write_bytes(b"\x89PNG content")
    text = html(REPORT, tmp_path)
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert reader.cells == ["return", "a|b", "-1.50 ± 0.10", "c_d", "50 %", "warm", "a", "1"]
    (source,) = reader.sources
    kind, content = source.split(",")
    assert kind == "data:image/png;base64" and base64.b64decode(content) == b"\x89PNG content"
    assert "http" not in text and "@import" not in text and "<script" not in text
    assert "<h1>Rows &amp; &lt;rows&gt;</h1>" in text and '<p class="alert">Failed: x &lt; y</p>' in text


def test_latex_has_every_table_with_caption_and_label():
    text = latex(REPORT, "demo")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\end{tabular}") == 2
    assert r"\caption{Rows \& $<$rows$>$: $\beta$ = 0.5}" in text
    assert r"\caption{Rows \& $<$rows$>$: $\beta$ = 0.5: planning}" in text
    assert r"\label{tab:demo-1}" in text and r"\label{tab:demo-2}" in text
    assert r"a\textbar{}b & $-$1.50 $\pm$ 0.10 \\" in text and r"c\_d & 50 \% \\" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 1, "as many cells as columns"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b^c~{}#$&%\\", r"a\_b\textasciicircum{}c\textasciitilde{}\{\}\#\$\&\%\textbackslash{}"),
        ("peak → end, ≤ ∞", r"peak $\to$ end, $\le$ $\infty$"),
        ("-1.0 to -∞, half-width 1e-3", r"$-$1.0 to $-$$\infty$, half-width 1e-3"),
        ("–", "--"),
    ],
)
def test_what_latex_would_read_otherwise_is_escaped(text, expected):
    assert escape(text) == expected
