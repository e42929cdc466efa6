"""What acts for a team from its agents' observations, whatever runs the networks: NumPy alone."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.spaces import flatten_value
from rllib_safemarl.envs.team import Group, Team, make_groups, make_views
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.neighbourhoods import EMPTY


@dataclass(frozen=True)
class PolicySettings:
    """What acting depends on beside the networks.

    Attributes:
        kappa: radius of the policies' views, hops.
        max_neighbours: slots of a view at most.
        normalize_actions: stretch actions of about [-1, 1] to the bounds of their space, as RLlib does.
        clip_actions: clip actions to their bounds where they are not stretched.
    """

    kappa: float
    max_neighbours: int
    normalize_actions: bool
    clip_actions: bool


class ActingTeam(abc.ABC):
    """Acts for a team.

    Args:
        team: the agents, their spaces, graph and policies.
        settings: what else acting depends on.

    Attributes:
        groups: the agents of every policy.
    """

    def __init__(self, team: Team, settings: PolicySettings) -> None:
        self.team = team
        self.settings = settings
        self._views = make_views(team, settings.kappa, settings.max_neighbours)
        self.groups: Sequence[Group] = make_groups(team, self._views, own_spaces=False)
        self._sizes = {kind.name: len(kind.agents) for kind in team.kinds}
        self._place = {
            agent: (i, kind, row)
            for kind in team.kinds
            for row, i in enumerate(kind.agents)
            for agent in [team.agents[i]]
        }

    def restart(self, copies: NDArray[np.intp] | None = None) -> None:  # noqa: B027 - networks may forget all
        """New episodes begin: forget what was seen, decided and planned in the old ones.

        Args:
            copies: of :meth:`act_columns`, in which they begin; all where not given.
        """

    def act(
        self,
        observations: Mapping[Any, Any],
        *,
        positions: Mapping[Any, Any] | None = None,
        neighbours: Mapping[Any, Sequence[Any]] | None = None,
        explore: bool = False,
    ) -> dict[Any, Any]:
        """Actions of the agents that observe something; the others take no part and are not seen.

        Args:
            observations: agent → its own observation, in its own space.
            positions: agent → its position, where the environment has positions and views look further
                than the agent itself.
            neighbours: agent → agents joined to it by an edge, where the graph moves.
            explore: sample actions; otherwise take the mode, as an evaluation does.

        Returns:
            agent → action for the environment, in the agent's action space.

        Raises:
            SafeMARLError: an unknown agent, an observation that does not fit, or missing neighbours.
        """
        values, alive = self._columns(observations)
        actions = self.act_columns(
            values,
            alive,
            self._position_columns(positions, alive),
            self._edge_columns(neighbours),
            explore,
        )
        chosen = {}
        for agent in observations:
            _, kind, row = self._place[agent]
            action = actions[kind.name][0, row]
            chosen[agent] = int(action) if isinstance(kind.action_space, spaces.Discrete) else action
        return chosen

    def act_columns(
        self,
        values: Mapping[str, NDArray[np.float32]],
        alive: NDArray[np.bool_],
        positions: NDArray[np.float32] | None = None,
        edges: NDArray[np.int32] | None = None,
        explore: bool = False,
    ) -> dict[str, NDArray]:
        """Actions of N teams at once.

        Args:
            values: kind → ``[N, A_kind, D_kind]`` flat observations.
            alive: ``[N, A]`` agents that take part.
            positions: ``[N, A, P]``, where the environment has positions.
            edges: ``[N, A, E]`` 1-hop neighbours of a moving graph, ``-1`` for none.
            explore: sample actions, or take the mode.

        Returns:
            kind → ``[N, A_kind, ...]`` for the environment.

        Raises:
            SafeMARLError: ``explore``, of policies that are run by ONNX Runtime.
        """
        return self._act(self._views(values, alive, positions, edges), explore)

    @abc.abstractmethod
    def _act(self, views: Mapping[str, NDArray[np.float32]], explore: bool) -> dict[str, NDArray]:
        """Actions ``kind → [N, A_kind, ...]`` for views ``kind → [N, A_kind, V]``."""

    def try_out(self) -> None:
        """Act once on zeros, so that parts that do not fit each other are found before anything runs."""
        team, graph = self.team, self.team.graph
        agents = len(team.agents)
        values = {
            kind.name: np.zeros((1, len(kind.agents), kind.observation_size), np.float32)
            for kind in team.kinds
        }
        moving = graph is not None and graph.moving
        self.act_columns(
            values,
            np.ones((1, agents), bool),
            np.zeros((1, agents, team.position_size), np.float32) if team.position_size else None,
            np.full((1, agents, graph.degree), EMPTY, np.int32) if moving and graph is not None else None,
        )
        self.restart()

    def _columns(self, observations: Mapping[Any, Any]) -> tuple[dict[str, NDArray], NDArray]:
        values = {
            kind.name: np.zeros((1, len(kind.agents), kind.observation_size), np.float32)
            for kind in self.team.kinds
        }
        alive = np.zeros((1, len(self.team.agents)), bool)
        for agent, observation in observations.items():
            i, kind, row = self._known(agent)
            try:
                values[kind.name][0, row] = flatten_value(kind.observation_space, observation)
            except (TypeError, ValueError) as error:
                raise SafeMARLError(
                    f"the observation of agent {agent!r} does not fit its space "
                    f"{kind.observation_space}: {error}."
                ) from error
            alive[0, i] = True
        return values, alive

    def _known(self, agent: Any) -> tuple:
        if agent not in self._place:
            raise SafeMARLError(
                f"there is no agent {agent!r} in this policy.{nearest_name(agent, self._place)} It has: "
                f"{', '.join(map(str, self.team.agents))}."
            )
        return self._place[agent]

    def _position_columns(
        self, positions: Mapping[Any, Any] | None, alive: NDArray[np.bool_]
    ) -> NDArray[np.float32] | None:
        size = self.team.position_size
        if self._views.slots == 0 or size == 0:
            return None
        if positions is None:
            raise SafeMARLError("these policies see neighbours' positions: act(…, positions={agent: …}).")
        columns = np.zeros((1, len(self.team.agents), size), np.float32)
        for i in np.flatnonzero(alive[0]):
            agent = self.team.agents[i]
            if agent not in positions:
                raise SafeMARLError(f"positions has no entry for agent {agent!r}.")
            columns[0, i] = positions[agent]
        return columns

    def _edge_columns(self, neighbours: Mapping[Any, Sequence[Any]] | None) -> NDArray[np.int32] | None:
        graph = self.team.graph
        if self._views.slots == 0 or graph is None or not graph.moving or np.isinf(self.settings.kappa):
            return None
        if neighbours is None:
            raise SafeMARLError("these policies see a moving graph: act(…, neighbours={agent: [agents]}).")
        edges = np.full((1, len(self.team.agents), graph.degree), EMPTY, np.int32)
        for agent, others in neighbours.items():
            places = sorted(self._known(other)[0] for other in others)[: graph.degree]
            edges[0, self._known(agent)[0], : len(places)] = places
        return edges
