"""What the agents of a recurrent policy remember."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.functional.sequences import map_leaves


class Memory:
    """States of G agents in each of N copies.

    Args:
        initial: an agent's at the start of an episode: tensors, nested as the network nests them.
        agents: G.

    Attributes:
        state: ``[N * G, ...]`` nested likewise; ``None`` before anything was seen.
    """

    def __init__(self, initial: Any, agents: int) -> None:
        self.initial = initial
        self.state: Any = None
        self._agents = agents

    def begin(self) -> None:
        """Remember nothing."""
        self.state = None

    def meet(self, rows: int) -> None:
        """Begin where nothing is remembered of N * G rows."""
        if self.state is None or len(leaves(self.state)[0]) != rows:
            self.state = map_leaves(lambda start: start.expand(rows, *start.shape).clone(), self.initial)

    def restart(self, copies: NDArray[np.intp]) -> None:
        """Some copies begin as if nothing had been before; call in inference mode."""
        if self.state is None:
            return

        def reset(leaf: Tensor, start: Tensor) -> None:
            leaf.unflatten(0, (-1, self._agents))[copies] = start

        map_leaves(reset, self.state, self.initial)

    def take(self, state: Any) -> None:
        """Go on with states that the network returned; a copy of them, as restarted copies are written."""
        self.state = map_leaves(lambda leaf: leaf.clone(memory_format=torch.contiguous_format), state)

    def arrays(self) -> Any:
        """The states as arrays; ``None`` is none."""
        return None if self.state is None else map_leaves(lambda leaf: leaf.cpu().numpy().copy(), self.state)

    def remember(self, arrays: Any) -> None:
        """Go on with what :meth:`arrays` gave."""
        self.state = None
        if arrays is not None:
            self.state = map_leaves(
                lambda leaf, start: torch.from_numpy(np.array(leaf)).to(start), arrays, self.initial
            )

    def move(self, device: torch.device) -> None:
        """Remember there from now on, and nothing of before."""
        self.initial = map_leaves(lambda leaf: leaf.to(device), self.initial)
        self.state = None


def leaves(tree: Any) -> list[Any]:
    """The leaves of nested dicts and tuples, in order."""
    found: list[Any] = []
    map_leaves(found.append, tree)
    return found
