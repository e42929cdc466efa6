"""The team: its agents, their graph, and which of them each policy plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.envs.graphs import graph_hops
from rllib_safemarl.envs.spaces import flat_space
from rllib_safemarl.envs.vector import AgentGraph, Kind, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.neighbourhoods import complete_hops
from rllib_safemarl.functional.views import ViewBuilder

AGENTS_WITH_OWN_POLICY = 16
"""Up to so many agents each has a policy of its own by default; above, each kind shares one."""

TEAM = "__team__"
"""Key under which an env runner's spaces, and a MultiRLModule's model config, carry the team."""


@dataclass(frozen=True)
class Team:
    """What env runners, learners and policies must know of an environment, without running it.

    Attributes:
        agents: names of the A agents.
        kinds: agents grouped by equal spaces.
        cost_names: names of the C costs.
        time_limit: steps per episode at most, or ``None``.
        graph: the agent graph, a user's own before the environment's, or ``None``.
        position_size: length of a position, 0 for none.
        policy_ids: ``[A]`` policy of each agent.
        slots: neighbour slots of the policies' views, where another team trained them; else ``None``, and
            views have as many as this team's graph calls for.
    """

    agents: tuple[Any, ...]
    kinds: tuple[Kind, ...]
    cost_names: tuple[str, ...]
    time_limit: int | None
    graph: AgentGraph | None
    position_size: int
    policy_ids: tuple[str, ...]
    slots: int | None = None

    @property
    def spaces(self) -> tuple[spaces.Dict, spaces.Dict]:
        """Observation and action spaces of all agents, as Dict spaces."""
        kind_of = {i: kind for kind in self.kinds for i in kind.agents}
        items = [(str(agent), kind_of[i]) for i, agent in enumerate(self.agents)]
        return (
            spaces.Dict({agent: kind.observation_space for agent, kind in items}),
            spaces.Dict({agent: kind.action_space for agent, kind in items}),
        )


def describe_team(env: VectorEnv, mapping: Callable[..., str] | None, agent_graph: Any = None) -> Team:
    """The team of an environment.

    Args:
        env: the environment.
        mapping: a user's ``policy_mapping_fn``, or ``None`` for the default.
        agent_graph: a user's graph, see :func:`graph_hops`.
    """
    return team_of(
        env.possible_agents,
        env.kinds,
        env.cost_names,
        env.time_limit,
        env.graph(),
        env.position_size,
        mapping,
        agent_graph,
    )


def team_of(
    agents: Sequence[Any],
    kinds: tuple[Kind, ...],
    cost_names: tuple[str, ...],
    time_limit: int | None,
    graph: AgentGraph | None,
    position_size: int,
    mapping: Callable[..., str] | None,
    agent_graph: Any = None,
) -> Team:
    """A team by its parts, see :class:`Team`; ``mapping`` and ``agent_graph`` as in :func:`describe_team`."""
    ids = default_policy_ids(agents, kinds) if mapping is None else mapped_policy_ids(agents, mapping)
    hops = graph_hops(agent_graph, agents)
    return Team(
        agents=tuple(agents),
        kinds=kinds,
        cost_names=cost_names,
        time_limit=time_limit,
        graph=graph if hops is None else AgentGraph(hops),
        position_size=position_size,
        policy_ids=tuple(ids[agent] for agent in agents),
    )


@dataclass(frozen=True)
class Group:
    """The agents of one policy.

    Attributes:
        policy: RLModule id.
        kind: their common kind.
        agents: indices into ``possible_agents``, rising.
        rows: the same agents as rows of their kind's columns.
        observation_space: what the policy's module sees.
        action_space: one agent's action space.
    """

    policy: str
    kind: str
    agents: NDArray[np.intp]
    rows: NDArray[np.intp]
    observation_space: spaces.Space
    action_space: spaces.Space

    def pick(self, columns: NDArray) -> NDArray:
        """The group's rows ``[..., G, D]`` of its kind's columns ``[..., A_kind, D]``."""
        if len(self.rows) == columns.shape[-2]:
            return columns
        if len(self.rows) == 1:
            row = self.rows[0]
            return columns[..., row : row + 1, :]
        return columns[..., self.rows, :]


def default_policy_ids(agents: Sequence[Any], kinds: Sequence[Kind]) -> dict[Any, str]:
    """Agent → policy id: one policy per agent up to 16 agents, above that one per kind."""
    if len(agents) > AGENTS_WITH_OWN_POLICY:
        return {agents[i]: kind.name for kind in kinds for i in kind.agents}
    return {agent: _module_id(agent, i) for i, agent in enumerate(agents)}


def _module_id(agent: Any, index: int) -> str:
    name = str(agent)
    return name if name.replace("_", "").replace("-", "").isalnum() else f"agent_{index}"


def mapped_policy_ids(agents: Sequence[Any], mapping: Callable[..., str]) -> dict[Any, str]:
    """Agent → policy id by a user's ``policy_mapping_fn``, called once per agent.

    Raises:
        SafeMARLError: the mapping needs the episode, which columns do not have.
    """
    ids: dict[Any, str] = {}
    for agent in agents:
        try:
            ids[agent] = _call_mapping(mapping, agent)
        except Exception as error:
            raise SafeMARLError(
                f"policy_mapping_fn failed for agent {agent!r} without an episode "
                f"({type(error).__name__}: {error}); it must depend on the agent alone."
            ) from error
    return ids


def _call_mapping(mapping: Callable[..., str], agent: Any) -> str:
    try:
        return str(mapping(agent, None))
    except TypeError:
        return str(mapping(agent, None, worker=None))


def make_groups(team: Team, views: ViewBuilder, own_spaces: bool) -> tuple[Group, ...]:
    """Group agents by policy, in order of each policy's first agent.

    Args:
        team: the team.
        views: the policies' views.
        own_spaces: hand a module the environment's own space where it sees nothing else, instead of
            a flat Box; for users' own modules.

    Raises:
        SafeMARLError: agents of different kinds share a policy.
    """
    members: dict[str, list[int]] = {}
    for i, policy in enumerate(team.policy_ids):
        members.setdefault(policy, []).append(i)
    kind_of = {i: kind for kind in team.kinds for i in kind.agents}
    groups = []
    for policy, agents in members.items():
        kinds = {kind_of[i].name: kind_of[i] for i in agents}
        if len(kinds) > 1:
            names = ", ".join(repr(team.agents[kind.agents[0]]) for kind in kinds.values())
            raise SafeMARLError(
                f"policy {policy!r} plays agents of different spaces (such as {names}); give each "
                "kind of agent a policy of its own."
            )
        (kind,) = kinds.values()
        groups.append(
            Group(
                policy,
                kind.name,
                np.array(agents),
                np.searchsorted(kind.agents, agents),
                _module_space(kind, views, own_spaces),
                kind.action_space,
            )
        )
    return tuple(groups)


def _module_space(kind: Kind, views: ViewBuilder, own_spaces: bool) -> spaces.Space:
    if views.slots == 0:
        space = kind.observation_space
        # RLlib's catalogs know vectors and pictures.
        in_catalog = isinstance(space, spaces.Box) and len(space.shape) in (1, 3)
        return space if own_spaces or in_catalog else flat_space(space)
    size = views.layouts[kind.name].size
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def make_views(team: Team, kappa: float, max_neighbours: int) -> ViewBuilder:
    """The views of a team's agents for one radius.

    Args:
        team: the team.
        kappa: radius in hops.
        max_neighbours: slots at most.

    Raises:
        SafeMARLError: a finite radius above 0 and no graph.
    """
    graph = team.graph
    if graph is None:
        if 0 < kappa < float("inf"):
            raise SafeMARLError(
                f"kappa={kappa:g} needs an agent graph and this environment has none; give one by "
                ".environment(agent_graph='complete' | 'chain' | [[i, j], …]) or use kappa=inf."
            )
        graph = AgentGraph(complete_hops(len(team.agents)))
    return ViewBuilder(
        {kind.name: (np.array(kind.agents), kind.observation_size) for kind in team.kinds},
        kappa,
        max_neighbours,
        graph.hops,
        graph.degree,
        team.position_size,
        team.slots,
    )
