"""The picture of a measured decay: errors of κ-hop values, the noise, and the fitted line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rllib_safemarl.evaluation.decay import SignalDecay
from rllib_safemarl.evaluation.figures import COLOURS
from rllib_safemarl.functional.spatial_decay import SIGNIFICANT

_FAINT = "#777777"


def decay_figure(found: Sequence[SignalDecay], title: str = "") -> Figure:
    """Draw e_κ over κ on a logarithmic axis, a panel per signal.

    Args:
        found: the decay of every signal.
        title: above the figure.
    """
    figure = Figure(figsize=(0.6 + 4.9 * len(found), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, each, colour in zip(panels, found, COLOURS * len(found), strict=False):
        _draw(axes, each, colour)
    handles, labels = panels[0].get_legend_handles_labels()
    for axes in panels[1:]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(
        handles, labels, frameon=False, ncols=3 if len(found) == 1 else 5, loc="outside lower center"
    )
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw(axes: Axes, each: SignalDecay, colour: str) -> None:
    decay = each.decay
    kappa, floor = np.arange(len(decay.squared)), np.sqrt(decay.noise)
    low, error, high = (
        np.sqrt(np.maximum(decay.squared + step * decay.deviation, 0.0))
        for step in (-SIGNIFICANT, 0.0, SIGNIFICANT)
    )
    # What is not above 0 has no place on a logarithmic axis; it hangs at its lower edge.
    least = 0.2 * min([floor, *error[error > 0.0]])
    bars = [
        np.maximum(error, least) - np.maximum(low, least),
        np.maximum(high, least) - np.maximum(error, least),
    ]
    shown = np.maximum(error, least)
    axes.errorbar(kappa, shown, bars, fmt="none", ecolor=colour, elinewidth=1.2, capsize=3)
    rest = ~decay.used
    axes.plot(kappa[decay.used], shown[decay.used], "o", color=colour, label="above the noise")
    axes.plot(kappa[rest], shown[rest], "o", color=colour, markerfacecolor="white", label="not above")
    axes.axhspan(least, floor, color=_FAINT, alpha=0.15, linewidth=0.0, label="noise of the fits")
    if np.isfinite(decay.rate):
        ends = kappa[decay.used]
        axes.plot(ends, np.exp(decay.intercept - decay.rate * ends), color=colour, label="fitted line")
        alike = np.sqrt(each.unseen[decay.used] / each.unseen[0]) * error[0]
        axes.plot(ends, alike, "--", color=_FAINT, linewidth=1.2, label="if all agents mattered alike")
    axes.set_yscale("log")
    axes.set_ylim(bottom=least)
    axes.set_xticks(kappa)
    axes.set_xlabel("κ, hops")
    axes.set_ylabel("e_κ: error of a κ-hop value,\nunits of the value")
    axes.set_title(f"{each.signal}\n{_headline(each)}", loc="left", fontsize="medium")
    axes.grid(True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _headline(each: SignalDecay) -> str:
    decay = each.decay
    if np.isnan(decay.rate):
        return decay.verdict.value
    share = "" if np.isnan(decay.r_squared) else f", R² {decay.r_squared:.2f}"
    return f"{decay.verdict.value}: β̂ = {decay.rate:.2f} per hop{share}"
