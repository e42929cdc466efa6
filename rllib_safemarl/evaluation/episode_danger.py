"""Safety of whole episodes from the columns they ran in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.functional.safety_metrics import (
    EpisodeSafety,
    danger_of_cost,
    danger_of_margin,
    depth_of_cost,
    depth_of_margin,
    episode_safety,
)


class Columns(Protocol):
    """What is read of a ``ColumnBatch``."""

    @property
    def cost(self) -> NDArray[np.float32]:
        """``[T, N, A, C]``."""

    @property
    def margin(self) -> NDArray[np.float32] | None:
        """``[T, N, A]``, or ``None`` where there are none."""

    @property
    def acted(self) -> NDArray[np.bool_]:
        """``[T, N, A]``."""

    @property
    def ended(self) -> NDArray[np.bool_]:
        """``[T, N]``."""

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """``[T, N]``."""


def safety_of_columns(
    batches: Sequence[Columns], quota: NDArray[np.int64], time_limit: int | None, clearance: float = 1.0
) -> list[EpisodeSafety]:
    """Safety of every copy's first episodes.

    An agent is in danger after a step if its margin is negative or, without margins, if the step had a cost.

    Args:
        batches: consecutive blocks, the first of which begins with new episodes.
        quota: ``[N]`` episodes of each copy to count.
        time_limit: steps after which an episode ends; those that a terminal state in danger took away
            count as dangerous. None counts none.
        clearance: κ_s, in the unit of the margins.

    Returns:
        One entry per episode, in order of their end; none where there are neither margins nor costs.
    """
    margins = [batch.margin for batch in batches if batch.margin is not None]
    if len(margins) == len(batches):
        margin = np.concatenate(margins)
        danger, depth = danger_of_margin(margin), depth_of_margin(margin, clearance)
    elif batches[0].cost.shape[-1]:
        cost = np.concatenate([batch.cost.sum(-1) for batch in batches])
        danger, depth = danger_of_cost(cost), depth_of_cost(cost)
    else:
        return []
    acted, ended, truncated = (
        np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("acted", "ended", "truncated")
    )
    found: list[tuple[int, int, EpisodeSafety]] = []
    for copy, count in enumerate(quota):
        start = 0
        for last in np.flatnonzero(ended[:, copy])[:count]:
            part = np.s_[start : last + 1, copy]
            crashed = not truncated[last, copy] and bool((danger & acted)[last, copy].any())
            lost = max(0, time_limit - int(last + 1 - start)) if crashed and time_limit else 0
            found.append((last, copy, episode_safety(danger[part], depth[part], acted[part], lost)))
            start = last + 1
    return [safety for _, _, safety in sorted(found, key=lambda entry: entry[:2])]
