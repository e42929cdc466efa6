"""What all figures share: colours, axes, legends, files; matplotlib is the extra ``plot``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter

COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A00", "#444444"),
    *("#882255", "#44AA99", "#332288", "#C4B25A"),
)
"""Told apart by people with any colour vision (Okabe and Ito; Tol), darkened where they fade on white."""
LIMIT_COLOUR = "#B00020"
GREY = "#777777"
SUFFIXES = (".png", ".pdf")
"""Endings of files that figures are written to."""
LEAST_FOR_BAND = 3
"""Seeds from which on an interval is drawn: that of two is nine times as wide as they lie apart."""
_HANDLE, _LETTER = 0.75, 0.085
"""Width of a legend's entry without its text, and of a letter, inches."""
_DWARFED = 8.0
"""From so many times the limit on, costs are drawn logarithmically."""
_NEAR, _FAR = (5, 10, 20, 50, 100, 200, 500, 1000), (20, 200, 2000)
"""Multiples of the limit that have a tick there, beside 1 and 2."""


@dataclass(frozen=True)
class Panel:
    """A quantity that is drawn.

    Attributes:
        column: of the readings, or of the rows.
        title: above it.
        quantity: beside its axis, with its unit.
    """

    column: str
    title: str
    quantity: str


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colour_of(index: int) -> str:
    """The colour of the i-th row."""
    return COLOURS[index % len(COLOURS)]


def tidy(axes: Axes, title: str = "") -> None:
    """A light grid behind, no box around, the title on the left."""
    axes.set_title(title, loc="left")
    axes.grid(True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_steps(axes: Axes, what: str = "environment steps") -> None:
    """Steps below."""
    axes.set_xlabel(what)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02)


def scale_costs(axes: Axes, limit: float, largest: float, along: str = "y") -> None:
    """From 0; beyond twice the limit logarithmically where costs dwarf it, so that both can be read.

    Args:
        axes: with costs along one of its directions.
        limit: the largest one; 0 for none.
        largest: cost drawn.
        along: ``x`` or ``y``.
    """
    axis = axes.yaxis if along == "y" else axes.xaxis
    set_scale = axes.set_yscale if along == "y" else axes.set_xscale
    set_limits = axes.set_ylim if along == "y" else axes.set_xlim
    if not (limit > 0.0 and largest > _DWARFED * limit):
        axes.set(**{f"{along}lim": (0.0, None)})
        return
    set_scale("symlog", linthresh=2.0 * limit, linscale=1.0)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    # Numbers side by side need more room than numbers one above the other.
    steps = _FAR if along == "x" and largest > _FAR[0] * limit else _NEAR
    ticks = [0.0, limit, 2.0 * limit, *(limit * step for step in steps)]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= largest]))
    axes.minorticks_off()
    set_limits(0.0, 1.15 * largest)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int = 4) -> None:
    """One legend for all panels, in fewer columns where it would not fit."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = min(columns, max(1, int(figure.get_figwidth() // (_HANDLE + _LETTER * longest))))
    if handles:
        figure.legend(
            handles=list(handles),
            frameon=False,
            ncols=min(columns, len(handles)),
            loc="outside lower center",
        )


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG or, after the path's ending, a PDF, atomically, and return its path."""
    kind = path.suffix.lower().removeprefix(".") or "png"
    # Without a date, equal figures are equal files.
    metadata = {"CreationDate": None} if kind == "pdf" else None
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
    os.replace(temporary, path)
    # Laid out once, it is so in further files.
    figure.set_layout_engine("none")
    return path
