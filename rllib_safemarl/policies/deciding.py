"""Policies that make up several things to do, and choose."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.policies.acting_network import ActingNetwork
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.settings import Setting

PLANNING = "planning/"
"""What the names of their flags begin with."""


class Decided(Protocol):
    """What B agents decided."""

    @property
    def actions(self) -> Tensor:
        """``[B, D]`` in [-1, 1] per dimension, or choices ``[B, ...]``."""
        ...

    @property
    def flags(self) -> Mapping[str, Tensor]:
        """What is noted: name → ``[B]``."""
        ...


class DecidingPolicy(abc.ABC):
    """Acts by networks whose settings are read at every call.

    Args:
        network: the networks.

    Attributes:
        changeable: settings of acting, which can be changed after training.
        flags: names of what is noted of every decision.
    """

    changeable: Mapping[str, Setting] = {}
    flags: Sequence[str] = ()

    def __init__(self, network: ActingNetwork) -> None:
        self.network = network

    def fresh(self) -> DecidingPolicy:
        """One of the same networks that has not decided anything yet."""
        return type(self)(self.network)

    @abc.abstractmethod
    def forget(self) -> None:
        """Begin as if nothing had been decided, and the sequence of random numbers anew."""

    @abc.abstractmethod
    def decide(self, views: Tensor) -> Decided:
        """Choose for raw views ``[B, V]``."""

    def act(self, views: Tensor) -> Tensor:
        """Actions ``[B, D]`` in [-1, 1] per dimension, or choices, for raw views ``[B, V]``."""
        return self.decide(views).actions

    def change(self, settings: Mapping[str, Any]) -> None:
        """Act by other settings from now on.

        Args:
            settings: some of ``changeable``.

        Raises:
            SafeMARLError: there is no such setting, its value does not fit, or it is one of training.
        """
        for name, value in settings.items():
            if name not in self.changeable:
                raise SafeMARLError(
                    f"{name} cannot be changed of a planner that is trained."
                    if name in self.network.settings
                    else f"planners have no setting {name!r}.{nearest_name(name, self.changeable)}"
                )
            self.changeable[name].check(name, value)
        self.check_settings({**self.network.settings, **settings})
        self.network.settings.update(settings)
        self.forget()

    def check_settings(self, settings: Mapping[str, Any]) -> None:  # noqa: B027 - most refuse none
        """Refuse settings that do not go together, or with what was learnt.

        Args:
            settings: all of them, valid one by one.

        Raises:
            SafeMARLError: they do not.
        """


class DecidingActor(Actor):
    """The acting side of one policy that decides; exploring is acting.

    Args:
        group: its agents.
        policy: their policy.
        normalize_actions: as in RLlib, see :class:`ActionTransform`.
        clip_actions: as in RLlib.
    """

    def __init__(
        self, group: Group, policy: DecidingPolicy, normalize_actions: bool, clip_actions: bool
    ) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self.policy = policy
        self.flags = tuple(PLANNING + name for name in policy.flags)

    def begin(self) -> None:
        """Forget what was decided."""
        self.policy.forget()

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """Decide for every view."""
        decision = self.policy.decide(views[0])
        return Choice(
            decision.actions[None], flags={PLANNING + name: flag for name, flag in decision.flags.items()}
        )
