"""The acting side of recurrent RLModules: what every agent of every copy remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule
from torch import Tensor

from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.sequences import SequenceStates, map_leaves
from rllib_safemarl.policies.actor import Acted
from rllib_safemarl.policies.memory import Memory, leaves
from rllib_safemarl.rollout.module_actor import ModuleActor

MAX_SEQ_LEN = "max_seq_len"
"""Key of a module's ``model_config``: steps over which it is unrolled when it learns."""
DEFAULT_MAX_SEQ_LEN = 20
"""RLlib's, for modules whose ``model_config`` does not say."""


class RecurrentActor(ModuleActor):
    """One policy whose RLModule has states, by RLlib's state API.

    The module gets ``STATE_IN [B, ...]`` beside observations ``[B, 1, ...]`` and returns ``STATE_OUT``.
    States belong to an agent of a copy and begin as ``get_initial_state()`` at the start of every episode. An
    agent that takes no part is stepped along with the others, on whatever its columns hold, when acting and
    when learning alike.

    Raises:
        SafeMARLError: the module does not fit its spaces, or the API; one line.
    """

    def __init__(self, group: Group, module: RLModule, normalize_actions: bool, clip_actions: bool) -> None:
        self._memory = Memory(initial_state(module), len(group.rows))
        self._length = max_seq_len(module, group.policy)
        self._since = np.zeros(0, np.intp)
        self._begun: list[tuple[NDArray[np.intp], Any]] | None = None
        super().__init__(group, module, normalize_actions, clip_actions)
        self.begin()

    def begin(self) -> None:
        """Remember nothing."""
        self._memory.begin()
        self._since = np.zeros(0, np.intp)

    @torch.inference_mode()
    def restart(self, copies: NDArray[np.intp]) -> None:
        """Some copies begin as if nothing had been before, and with a sequence of their own."""
        if self._memory.state is not None:
            self._since[copies] = 0
            self._memory.restart(copies)

    def open(self) -> None:
        """Sequences begin in all copies."""
        self._begun = []
        self._since[:] = 0

    def sequences(self) -> SequenceStates | None:
        """The states in which every sequence since :meth:`open` began."""
        begun, self._begun = self._begun, None
        if begun is None:
            return None
        by_copy = np.argsort(np.concatenate([copies for copies, _ in begun]), kind="stable")

        def joined(*leaves: NDArray) -> NDArray:
            return np.concatenate(leaves)[by_copy]

        return SequenceStates(self._length, map_leaves(joined, *(states for _, states in begun)))

    def move(self, device: torch.device) -> None:
        """Act, and remember, there from now on."""
        super().move(device)
        self._memory.move(device)

    def memory(self) -> Any:
        """The states of all agents, ``[N * G, ...]``."""
        return self._memory.arrays()

    def remember(self, memory: Any) -> None:
        """Go on with a memory; ``None`` is none."""
        self.begin()
        self._memory.remember(memory)

    def act(
        self, views: Mapping[str, NDArray[np.float32]], explore: bool, generator: torch.Generator
    ) -> Acted:
        """As of any actor, after noting the states of sequences that begin."""
        copies = len(views[self.kind])
        self._memory.meet(copies * self._shape[1])
        if len(self._since) != copies:
            self._since = np.zeros(copies, np.intp)
        if self._begun is not None:
            starting = np.flatnonzero(self._since == 0)
            if len(starting):
                state = map_leaves(lambda leaf: self._of(leaf, starting), self._memory.state)
                self._begun.append((starting, state))
        acted = super().act(views, explore, generator)
        self._since = (self._since + 1) % self._length
        return acted

    def _of(self, leaf: Tensor, copies: NDArray[np.intp]) -> NDArray:
        return leaf.unflatten(0, (len(self._since), -1))[copies].cpu().numpy()

    def forward(self, batch: dict[str, Any], explore: bool) -> Mapping[str, Any]:
        """One step ``[B, 1, ...]`` from the present states to the next; without the axis of time again."""
        rows = len(leaves(batch[Columns.OBS])[0])
        self._memory.meet(rows)
        observed = map_leaves(lambda leaf: leaf[:, None], batch[Columns.OBS])
        out = super().forward({Columns.OBS: observed, Columns.STATE_IN: self._memory.state}, explore)
        if Columns.STATE_OUT not in out:
            raise SafeMARLError(
                f"{self.name} has an initial state and returned {sorted(out)}; a recurrent module must "
                "also return 'state_out'."
            )
        now = {}
        for name in (Columns.ACTION_DIST_INPUTS, Columns.ACTIONS, Columns.ACTION_LOGP):
            if name not in out:
                continue
            if tuple(out[name].shape[:2]) != (rows, 1):
                raise SafeMARLError(
                    f"{self.name} returned {name!r} of shape {tuple(out[name].shape)} for {rows} rows of "
                    "one step; a recurrent module must keep the axis of time, as in [B, T, ...]."
                )
            now[name] = out[name][:, 0]
        self._memory.take(map_leaves(self._taken, self._memory.initial, out[Columns.STATE_OUT]))
        return now or {name: out[name] for name in out if name != Columns.STATE_OUT}

    def _taken(self, start: Tensor, leaf: Any) -> Tensor:
        """A state that the module returned."""
        leaf = torch.as_tensor(leaf)
        if leaf.shape[1:] != start.shape:
            raise SafeMARLError(
                f"{self.name} returned a state of shape {tuple(leaf.shape[1:])} per row where its initial "
                f"state has {tuple(start.shape)}."
            )
        return leaf


def initial_state(module: RLModule) -> Any:
    """A module's initial state as tensors, nested as it gives it, without an axis of rows."""
    return map_leaves(lambda leaf: torch.as_tensor(leaf).detach().clone(), module.get_initial_state())


def max_seq_len(module: RLModule, policy: str) -> int:
    """Steps over which a recurrent module is unrolled when it learns.

    Raises:
        SafeMARLError: its ``max_seq_len`` is no whole number of at least 1.
    """
    given = module.model_config
    length = given.get(MAX_SEQ_LEN) if isinstance(given, Mapping) else getattr(given, MAX_SEQ_LEN, None)
    length = DEFAULT_MAX_SEQ_LEN if length is None else length
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise SafeMARLError(
            f"model_config max_seq_len={length!r} of policy {policy!r} must be a whole number of at least 1."
        )
    return length
