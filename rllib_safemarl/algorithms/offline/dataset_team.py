"""The team of a dataset, and whether it is that of an environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rllib_safemarl.data.schema import Schema
from rllib_safemarl.envs.team import Team, team_of
from rllib_safemarl.envs.unseen import action_signature
from rllib_safemarl.envs.vector import AgentGraph, Kind
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.source import Source


def dataset_team(source: Source, mapping: Callable[..., str] | None, agent_graph: Any = None) -> Team:
    """The team that a dataset was recorded from, as far as the dataset tells.

    Args:
        source: the dataset.
        mapping: a user's ``policy_mapping_fn``, or ``None`` for the default.
        agent_graph: a user's graph, which goes before the dataset's.
    """
    schema = source.schema
    kinds = tuple(
        Kind(kind.name, kind.agents, kind.observation_space, kind.action.space) for kind in schema.kinds
    )
    graph = None
    if schema.hop_distances is not None:
        graph = AgentGraph(schema.hop_distances)
    elif source.width("neighbours"):
        graph = AgentGraph(None, source.width("neighbours"))
    return team_of(
        schema.agents,
        kinds,
        schema.cost_names,
        schema.time_limit,
        graph,
        source.width("positions"),
        mapping,
        agent_graph,
    )


def check_same_team(team: Team, source: Source) -> None:
    """Refuse an environment whose agents are not those of the dataset.

    Raises:
        SafeMARLError: agents, observations or actions differ; one line names which.
    """
    schema = source.schema
    ours, theirs = tuple(map(str, team.agents)), schema.agents
    # Files of one agent do not say its name.
    if ours != theirs and not len(ours) == len(theirs) == 1:
        raise SafeMARLError(
            f"the environment's agents are {_short(ours)} and the dataset's are {_short(theirs)}; "
            "evaluate in the environment that was recorded."
        )
    if tuple(kind.agents for kind in team.kinds) != tuple(kind.agents for kind in schema.kinds):
        raise SafeMARLError("the environment groups its agents by other spaces than the dataset does.")
    for kind, recorded in zip(team.kinds, schema.kinds, strict=True):
        if kind.observation_size != recorded.observation_size:
            raise SafeMARLError(
                f"agent {ours[kind.agents[0]]!r} observes {kind.observation_size} numbers in the environment "
                f"and {recorded.observation_size} in the dataset."
            )
        if action_signature(kind.action_space) != action_signature(recorded.action.space):
            raise SafeMARLError(
                f"agent {ours[kind.agents[0]]!r} acts by {kind.action_space} in the environment and by "
                f"{recorded.action.space} in the dataset."
            )


def needed_columns(team: Team, schema: Schema, has_slots: bool, moving: bool) -> list[str]:
    """Columns from which views and actions are built.

    Args:
        team: the team that learns.
        schema: of the dataset.
        has_slots: whether views show others than the agent itself.
        moving: whether these are found by edges that change.
    """
    names = [f"{part}/{kind.name}" for kind in schema.kinds for part in ("observations", "actions")]
    names.append("active")
    if has_slots and team.position_size:
        names.append("positions")
    if has_slots and moving:
        names.append("neighbours")
    return names


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")
