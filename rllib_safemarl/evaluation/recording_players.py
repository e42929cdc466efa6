"""Behaviours at play: who chooses the actions of one recorded episode, and what noise is added."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import Kind, Observation, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.controllers import Controller, named_controller
from rllib_safemarl.evaluation.recording_recipe import Behaviour, Range
from rllib_safemarl.functional.actions import random_actions

Actions = dict[str, NDArray]
Bool = NDArray[np.bool_]


class Player(abc.ABC):
    """Acts in the episodes of one behaviour, in one copy of the environment.

    Args:
        behaviour: what it does.
        env: one copy.
    """

    def __init__(self, behaviour: Behaviour, env: VectorEnv) -> None:
        self.behaviour, self.env = behaviour, env
        self._random = np.random.default_rng()
        self._noise = 0.0
        for kind in env.kinds:
            if behaviour.noise[1] > 1.0 and not isinstance(kind.action_space, spaces.Box):
                raise SafeMARLError(
                    f"behaviour {behaviour.name!r}: noise is the probability of a random choice here, and so "
                    f"at most 1, not {behaviour.noise[1]:g}."
                )

    def begin(self, seed: int) -> None:
        """Begin an episode; all that is drawn in it follows from the seed."""
        self._random = np.random.default_rng(seed)
        self._noise = self._draw(self.behaviour.noise)
        self._begin(int(self._random.integers(2**31)))

    def act(self, observation: Observation, active: Bool) -> Actions:
        """Actions kind → ``[1, A_kind, ...]``, in their bounds and in the types that datasets hold."""
        chosen, disturbed = self._act(observation, active), {}
        for kind in self.env.kinds:
            disturbed[kind.name] = self._disturb(np.asarray(chosen[kind.name]), kind.action_space)
        return disturbed

    @abc.abstractmethod
    def _begin(self, seed: int) -> None: ...

    @abc.abstractmethod
    def _act(self, observation: Observation, active: Bool) -> Mapping[str, NDArray]: ...

    def _draw(self, values: Range) -> float:
        low, high = values
        return low if low == high else float(self._random.uniform(low, high))

    def _disturb(self, actions: NDArray, space: spaces.Space) -> NDArray:
        if isinstance(space, spaces.Box):
            if self._noise:
                actions = actions + self._random.normal(0.0, self._noise, actions.shape)
            # As stored: an episode can be replayed from the file, bit for bit.
            return np.clip(actions, space.low, space.high).astype(np.float32)
        if self._noise:
            others = random_actions(space, actions.shape[:2], self._random)
            replaced = self._random.random(actions.shape[:2]) < self._noise
            actions = np.where(replaced.reshape(*replaced.shape, *[1] * (actions.ndim - 2)), others, actions)
        return actions.astype(np.int64)


class ControllerPlayer(Player):
    """Scripted controllers; of several every agent plays one, drawn for each episode."""

    def __init__(self, behaviour: Behaviour, env: VectorEnv, env_name: str) -> None:
        super().__init__(behaviour, env)
        self._env_name = env_name
        self._names = list(behaviour.scripted)
        self._chances = np.array([behaviour.scripted[name] for name in self._names])
        self._controllers: dict[int, Controller] = {}
        # Once for every name, to find unknown ones before anything is recorded.
        self._played = np.arange(len(self._names))
        self._make(0, {name: low for name, (low, _) in behaviour.settings.items()})

    def _make(self, seed: int, settings: Mapping[str, float]) -> None:
        try:
            self._controllers = {
                k: named_controller(self._env_name, self._names[k], seed + k, settings)
                for k in np.unique(self._played).tolist()
            }
        except SafeMARLError as error:
            raise SafeMARLError(f"behaviour {self.behaviour.name!r}: {error}") from None

    def _begin(self, seed: int) -> None:
        self._played = self._random.choice(len(self._names), self.env.num_agents, p=self._chances)
        self._make(seed, {name: self._draw(ends) for name, ends in self.behaviour.settings.items()})

    def _act(self, observation: Observation, active: Bool) -> Mapping[str, NDArray]:
        first, *others = [(k, controller(self.env)) for k, controller in self._controllers.items()]
        joint = first[1]
        for k, actions in others:
            for kind in self.env.kinds:
                mine = self._played[list(kind.agents)] == k
                joint[kind.name][:, mine] = actions[kind.name][:, mine]
        return joint


class PolicyPlayer(Player):
    """A trained team from its folder."""

    def __init__(self, behaviour: Behaviour, env: VectorEnv) -> None:
        super().__init__(behaviour, env)
        from rllib_safemarl.policies import load_policy

        self._policy = load_policy(behaviour.policy)
        _check_team(self._policy.team, env, behaviour)

    def _begin(self, seed: int) -> None:
        self._policy.seed(seed)

    def _act(self, observation: Observation, active: Bool) -> Mapping[str, NDArray]:
        return self._policy.act_columns(
            observation.values, active, observation.positions, observation.edges, self.behaviour.explore
        )


def make_player(behaviour: Behaviour, env: VectorEnv, env_name: str) -> Player:
    """The player of a behaviour.

    Raises:
        SafeMARLError: the environment has no such controller, or the policy is of another team.
    """
    if behaviour.policy:
        return PolicyPlayer(behaviour, env)
    return ControllerPlayer(behaviour, env, env_name)


def _check_team(team: Team, env: VectorEnv, behaviour: Behaviour) -> None:
    here, there = env.graph(), team.graph
    edges_here = here.degree if here is not None and here.moving else 0
    edges_there = there.degree if there is not None and there.moving else 0
    fits = {
        "agents": [str(a) for a in team.agents] == [str(a) for a in env.possible_agents],
        "spaces": [_spaces_of(kind) for kind in team.kinds] == [_spaces_of(kind) for kind in env.kinds],
        "positions": team.position_size == env.position_size,
        "numbers of edges": edges_here == edges_there or not edges_there,
    }
    for what, same in fits.items():
        if not same:
            raise SafeMARLError(
                f"behaviour {behaviour.name!r}: its policy was trained with other {what} than this "
                "environment has; mend env_config, or choose another policy."
            )


def _spaces_of(kind: Kind) -> tuple[tuple[int, ...], int, spaces.Space]:
    return kind.agents, kind.observation_size, kind.action_space
