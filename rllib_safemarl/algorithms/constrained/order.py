"""In which order policies are updated, and which of them together."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ray.util.debug import log_once

from rllib_safemarl.algorithms.constrained.reach import shares_in_reach
from rllib_safemarl.envs.team import Group
from rllib_safemarl.functional.colouring import colour_classes
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch

logger = logging.getLogger(__name__)


class UpdateOrder:
    """Rounds of an iteration, in an order drawn anew; each holds the numbers of groups that move together.

    Args:
        groups: all of them.
        sequential: whether there are rounds at all; otherwise all groups move together.
        coloured: rounds are classes of agents that are out of each other's range; otherwise single groups.
        reach: ``[A, A]`` who is in whose range, or ``None`` where that changes.

    Attributes:
        fixed: whether the rounds are those of every iteration.
    """

    def __init__(
        self, groups: Sequence[Group], sequential: bool, coloured: bool, reach: NDArray[np.bool_] | None
    ) -> None:
        self._agents = np.array([group.agents[0] for group in groups])
        everyone = np.arange(len(groups))
        self._rounds: tuple[NDArray[np.intp], ...] = tuple(everyone[:, None]) if sequential else (everyone,)
        self.fixed = not coloured or reach is not None
        if coloured and reach is not None:
            self._rounds = self._coloured(reach)
        elif coloured and log_once("coloured_on_a_moving_graph"):
            logger.warning(
                "coloured=True on a graph that moves: agents are updated together only if they are out of "
                "range in every row of a batch, which few are; it pays on static graphs."
            )

    def _coloured(self, reach: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
        classes = colour_classes(reach[np.ix_(self._agents, self._agents)])
        if len(classes) > len(self._agents) / 2 and log_once("too_many_colours"):
            logger.warning(
                "coloured=True updates %d agents in %d rounds, hardly fewer than one by one: too many "
                "of them are within critic_hops of each other.",
                len(self._agents),
                len(classes),
            )
        return classes

    def rounds(
        self, generator: np.random.Generator, batch: ColumnBatch, views: ViewBuilder
    ) -> list[NDArray[np.intp]]:
        """The rounds of this iteration.

        Args:
            generator: draws their order.
            batch: the columns; a moving graph is that of all of its rows together.
            views: the critics'.
        """
        rounds = self._rounds
        if not self.fixed:
            rounds = self._coloured(shares_in_reach(batch, views, None) > 0.0)
        return [rounds[k] for k in generator.permutation(len(rounds))]
