"""How signals of a dataset spread by the action that was taken."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rllib_safemarl.data.columns import SIGNALS
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.figures import colour_of, new_figure, tidy

BINS = 5
"""Parts of equal width that an action which is a number is cut into."""


def signals_figure(
    dataset: Dataset, signals: Sequence[str], actions: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draw a panel per signal: its distribution over (step, agent) for every action.

    Boxes hold the middle half with the median, whiskers reach from the 5th to the 95th percentile, diamonds
    are means.

    Args:
        dataset: with the signals as columns, each ``[R, A]``.
        signals: names, as the environment gives them.
        actions: names of the actions, in order; empty for their numbers.
        title: above the figure.

    Raises:
        SafeMARLError: the dataset lacks a signal, or its actions are no single choice or number of one kind.
    """
    numbers, names = _choices(dataset, actions)
    acted = dataset["active"].astype(bool)
    figure = new_figure(1.2 + 2.7 * len(signals), 3.8)
    grid = figure.subplots(1, len(signals), squeeze=False)[0]
    for k, (axes, signal) in enumerate(zip(grid, signals, strict=True)):
        values = _signal(dataset, signal)
        _draw(axes, [values[acted & (numbers == choice)] for choice in range(len(names))], colour_of(k))
        axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 4 else 0)
        tidy(axes, signal.replace("_", " "))
        axes.set_ylabel("per step" if k == 0 else "")
    grid[0].set_xlabel("action")
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def _draw(axes: Axes, spread: Sequence[NDArray[np.float64]], colour: str) -> None:
    """One box per action that was ever taken."""
    drawn = [choice for choice, of_action in enumerate(spread) if len(of_action)]
    boxes = axes.boxplot(
        [spread[choice] for choice in drawn],
        positions=drawn,
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        widths=0.6,
        meanprops={"marker": "D", "markerfacecolor": "black", "markeredgecolor": "black", "markersize": 4},
        medianprops={"color": "black"},
    )
    for box in boxes["boxes"]:
        box.set(facecolor=colour, alpha=0.75)


def of_behaviour(dataset: Dataset, name: str) -> Dataset:
    """The episodes of one behaviour.

    Raises:
        SafeMARLError: the dataset knows no such behaviour.
    """
    known = dataset.provenance.behaviours
    if name not in known or "behaviour" not in dataset.episodes:
        raise SafeMARLError(f"the dataset has no behaviour {name!r}.{nearest_name(name, known)}")
    return dataset.select(dataset["behaviour"] == known.index(name))


def _signal(dataset: Dataset, signal: str) -> NDArray[np.float64]:
    """``[R, A]``."""
    per_agent = {
        name.removeprefix(SIGNALS): column
        for name, column in dataset.rows.items()
        if name.startswith(SIGNALS) and column.ndim == 2
    }
    if signal not in per_agent:
        known = ", ".join(sorted(per_agent)) or "none"
        raise SafeMARLError(f"the dataset has no signal {signal!r}; one number per agent are: {known}.")
    return np.asarray(per_agent[signal], float)


def _choices(dataset: Dataset, actions: Sequence[str]) -> tuple[NDArray, list[str]]:
    """``[R, A]`` the number of every action, and the names of all."""
    (kind, *others) = dataset.schema.kinds
    taken = np.asarray(dataset[f"actions/{kind.name}"])
    if others:
        raise SafeMARLError("signals are drawn by action for agents of one kind alone.")
    if np.issubdtype(taken.dtype, np.integer) and taken.ndim == 2:
        count = int(taken.max()) + 1
        return taken, [*actions[:count], *(str(k) for k in range(len(actions), count))]
    if taken.ndim == 3 and taken.shape[2] == 1:
        low, high = float(taken.min()), float(taken.max())
        ends = np.linspace(low, high, BINS + 1)
        numbers = np.clip(np.searchsorted(ends, taken[..., 0], side="right") - 1, 0, BINS - 1)
        return numbers, [f"{a:.2g} to {b:.2g}" for a, b in pairwise(ends)]
    raise SafeMARLError("signals are drawn by an action that is one choice or one number.")
