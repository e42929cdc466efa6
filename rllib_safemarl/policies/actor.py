"""The acting side of policies: from views to actions, one network call for as many as possible."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Group
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.functional.distributions import ActionDistribution
from rllib_safemarl.functional.sequences import SequenceStates
from rllib_safemarl.nn.mlp import PolicyMLP, PolicyStack


@dataclass(frozen=True)
class Acted:
    """What the P policies of an actor chose for their G agents each, in N copies.

    Attributes:
        actions: ``[P, N, G, ...]`` as the policies chose them.
        env_actions: the same, scaled for the environment.
        inputs: ``[P, N, G, …]`` distribution inputs, or ``None``.
        log_prob: ``[P, N, G]`` where a module gives it itself, else ``None``.
        flags: name → ``[P, N, G]``, see :attr:`Actor.flags`.
    """

    actions: NDArray
    env_actions: NDArray
    inputs: NDArray | None
    log_prob: NDArray | None
    flags: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


class Choice(NamedTuple):
    """What P policies chose for B views each; the attributes are those of :class:`Acted`, ``[P, B, …]``."""

    actions: torch.Tensor
    inputs: torch.Tensor | None = None
    log_prob: torch.Tensor | None = None
    flags: Mapping[str, torch.Tensor] = MappingProxyType({})


class Corrector(Protocol):
    """Changes what an actor chose.

    Attributes:
        flags: names of what it notes of every decision.
    """

    flags: tuple[str, ...]

    def meet(self, env: VectorEnv, kind: str) -> None:
        """Take from the environment acted in what it offers to a kind."""
        ...

    def move(self, device: torch.device) -> None:
        """Correct there from now on."""
        ...

    def __call__(self, views: torch.Tensor, choice: Choice) -> Choice:
        """The choice for views ``[P, B, V]``, corrected."""
        ...


class Actor(abc.ABC):
    """Acts for P policies whose groups are of one kind and one size.

    Attributes:
        groups: the P groups.
        rows: ``[P * G]`` their agents as rows of the kind's columns, policy by policy.
        device: where the policies' networks are; see :meth:`move`.
        flags: names of what is noted, as true or false, of every decision; its share of all decisions is
            reported as ``<name>_share``.
    """

    flags: tuple[str, ...] = ()
    device = torch.device("cpu")
    _shield: Corrector | None = None

    def __init__(self, groups: Sequence[Group], normalize_actions: bool, clip_actions: bool) -> None:
        self.groups = tuple(groups)
        self.kind = groups[0].kind
        self.rows = np.concatenate([group.rows for group in groups])
        self._shape = len(groups), len(groups[0].rows)
        self._transform = ActionTransform(groups[0].action_space, normalize_actions, clip_actions)

    @abc.abstractmethod
    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """What to do for views ``[P, B, V]``."""

    def put_behind(self, shield: Corrector) -> None:
        """Have a shield correct all choices from now on."""
        self._shield, self.flags = shield, (*self.flags, *shield.flags)

    def meet(self, env: VectorEnv) -> None:
        """Take from the environment acted in what it offers."""
        if self._shield is not None:
            self._shield.meet(env, self.kind)

    def begin(self) -> None:  # noqa: B027 - most actors remember nothing
        """New episodes begin in all copies: act as if nothing had been before."""

    def restart(self, copies: NDArray[np.intp]) -> None:  # noqa: B027 - most actors remember nothing
        """New episodes begin in some copies."""

    def open(self) -> None:  # noqa: B027 - most actors remember nothing
        """A block of columns begins."""

    def sequences(self) -> SequenceStates | None:
        """In what states the sequences of the open block began; ``None`` of actors without states."""
        return None

    def memory(self) -> Any:
        """What is remembered of the running episodes, as arrays; ``None`` is nothing."""
        return None

    def remember(self, memory: Any) -> None:  # noqa: B027 - most actors remember nothing
        """Go on with a memory of :meth:`memory`."""

    def refresh(self) -> None:  # noqa: B027 - modules called directly are always fresh
        """Take over the modules' present weights."""

    def move(self, device: torch.device) -> None:
        """Act there from now on; call after the modules were moved."""
        self.device = device
        if self._shield is not None:
            self._shield.move(device)
        self.refresh()

    def act(
        self, views: Mapping[str, NDArray[np.float32]], explore: bool, generator: torch.Generator
    ) -> Acted:
        """Choose actions for views kind → ``[N, A_kind, V]``; call without gradients."""
        mine = views[self.kind]
        policies, agents = self._shape
        copies = len(mine)
        if policies == 1:
            rows = self.groups[0].pick(mine)[None]
        else:
            rows = mine[:, self.rows].reshape(copies, policies, agents, -1).swapaxes(0, 1)
        flat = np.ascontiguousarray(rows).reshape(policies, copies * agents, -1)
        seen = torch.from_numpy(flat).to(self.device)
        choice = self.choose(seen, explore, generator)
        if self._shield is not None:
            choice = self._shield(seen, choice)
        actions, inputs, log_prob, flags = choice
        lead = (policies, copies, agents)
        chosen = actions.cpu().numpy().reshape(*lead, *actions.shape[2:])
        return Acted(
            chosen,
            self._transform(chosen),
            None if inputs is None else inputs.cpu().numpy().reshape(*lead, -1),
            None if log_prob is None else log_prob.cpu().numpy().reshape(lead),
            {name: flag.cpu().numpy().reshape(lead) for name, flag in flags.items()},
        )


class StackActor(Actor):
    """Policies that are equally shaped MLPs, by one batched call for all.

    Args:
        groups: their groups.
        networks: returns their present networks, in the order of the groups.
        distribution: of their actions.
        normalize_actions: as in RLlib, see :class:`ActionTransform`.
        clip_actions: as in RLlib.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        networks: Callable[[], Sequence[PolicyMLP]],
        distribution: ActionDistribution,
        normalize_actions: bool,
        clip_actions: bool,
    ) -> None:
        super().__init__(groups, normalize_actions, clip_actions)
        self.distribution = distribution
        self._networks = networks
        self.refresh()

    def refresh(self) -> None:
        """Stack the present networks."""
        self._stack = PolicyStack(self._networks())

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """One pass through the stack."""
        inputs = self._stack(views)
        draw = self.distribution
        return Choice(draw.sample(inputs, generator) if explore else draw.mode(inputs), inputs)


def stack_by_shape(groups: Sequence[Group], networks: Mapping[str, PolicyMLP]) -> list[list[Group]]:
    """Groups whose networks can act in one call: of one kind, one size and one shape."""
    stacks: dict[tuple, list[Group]] = {}
    for group in groups:
        shape = networks[group.policy].shape
        stacks.setdefault((group.kind, len(group.rows), shape), []).append(group)
    return list(stacks.values())


def joint_actions(
    sizes: Mapping[str, int], actors: Sequence[Actor], acted: Sequence[Acted]
) -> dict[str, NDArray]:
    """Actions for the environment, kind → ``[N, A_kind, ...]``, from actions per policy.

    Args:
        sizes: kind → A_kind.
        actors: all of them.
        acted: what each chose.
    """
    actions: dict[str, NDArray] = {}
    for actor, act in zip(actors, acted, strict=True):
        by_copy = act.env_actions.swapaxes(0, 1)
        chosen = by_copy.reshape(len(by_copy), -1, *by_copy.shape[3:])
        if actor.kind not in actions:
            shape = (len(chosen), sizes[actor.kind], *chosen.shape[2:])
            actions[actor.kind] = np.empty(shape, chosen.dtype)
        actions[actor.kind][:, actor.rows] = chosen
    return actions
