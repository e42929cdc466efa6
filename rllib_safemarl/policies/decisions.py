"""What planners decide, and what is noted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

FLAGS = ("accepted", "infeasible", "projected", "unsatisfied", "warm")
"""What is noted of every decision, as true or false.

``accepted``: h̃ ≥ 0 in the state where it was taken. ``infeasible``: no plan kept the barrier's condition.
``projected``: the projection changed the action. ``unsatisfied``: no action it found keeps the condition.
``warm``: the last plan was gone on with.
"""


@dataclass(frozen=True)
class Decision:
    """What B agents decided, and from which plans.

    Attributes:
        actions: ``[B, D]`` in [-1, 1] per dimension, or choices ``[B, ...]``.
        plans: ``[B, M, H + 1, V]`` normalised states; their first moment is the present.
        barrier: ``[B, M, H + 1]`` h̃ along them, calibrated.
        chosen: ``[B]`` the plan that was followed, before any projection.
        flags: name of :data:`FLAGS` → ``[B]``.
    """

    actions: Tensor
    plans: Tensor
    barrier: Tensor
    chosen: Tensor
    flags: Mapping[str, Tensor]
