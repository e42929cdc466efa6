"""Teams in environments that their policies were not trained in: more agents, fewer, or elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gymnasium import spaces

from rllib_safemarl.envs.spaces import flat_space
from rllib_safemarl.envs.team import Team, make_views
from rllib_safemarl.envs.vector import Kind
from rllib_safemarl.errors import SafeMARLError


def unseen_team(team: Team, trained: Team, kappa: float, max_neighbours: int) -> Team:
    """An environment's team as the policies of a trained one can play it; it may be the trained one.

    An agent for which no policy was trained plays that of its kind, if there is one: by default the number
    of agents decides whether they share policies.

    Args:
        team: of the environment.
        trained: the team that the policies learned as, whose views are theirs.
        kappa: radius of the policies' views, hops.
        max_neighbours: slots of a view at most.

    Raises:
        SafeMARLError: an agent has no trained policy, or one that sees or does something else.
    """
    kind_of = {i: kind for kind in team.kinds for i in kind.agents}
    known = tuple(dict.fromkeys(trained.policy_ids))
    ids = tuple(
        kind_of[i].name if policy not in known and kind_of[i].name in known else policy
        for i, policy in enumerate(team.policy_ids)
    )
    trained_views = make_views(trained, kappa, max_neighbours)
    team = replace(team, policy_ids=ids, slots=trained_views.slots)
    if kappa == float("inf") and len(team.agents) - 1 > trained_views.slots:
        raise SafeMARLError(
            f"policies of kappa=inf see every other agent, {trained_views.slots} where they were trained and "
            f"{len(team.agents) - 1} here: train with a finite kappa, whose views are padded."
        )
    trained_kinds = {trained.policy_ids[i]: kind for kind in trained.kinds for i in kind.agents}
    views = make_views(team, kappa, max_neighbours)
    for i, policy in enumerate(ids):
        agent = f"agent {str(team.agents[i])!r}"
        if policy not in known:
            raise SafeMARLError(
                f"{agent} would act by policy {policy!r}, and trained are only {_short(known)}: to evaluate "
                "with other agents, train with shared policies, such as policies: [shared]."
            )
        kind = trained_kinds[policy]
        _check_kind(agent, kind_of[i], kind)
        here, there = views.layouts[kind_of[i].name].size, trained_views.layouts[kind.name].size
        if here != there:
            raise SafeMARLError(
                f"{agent} sees {here} numbers here, its neighbours' included, and policy {policy!r} was "
                f"trained on {there}: kinds of agents or positions differ."
            )
    return team


def _check_kind(agent: str, kind: Kind, trained: Kind) -> None:
    if kind.observation_size != trained.observation_size:
        raise SafeMARLError(
            f"{agent} observes {kind.observation_size} numbers here, and its policy was trained on "
            f"{trained.observation_size}."
        )
    if action_signature(kind.action_space) != action_signature(trained.action_space):
        raise SafeMARLError(
            f"{agent} acts by {kind.action_space} here, and its policy was trained to act by "
            f"{trained.action_space}."
        )


def action_signature(space: spaces.Space) -> Any:
    """What must agree of two action spaces for one policy to act in both: type, size and bounds."""
    bounds = None
    if isinstance(space, spaces.Box):
        bounds = space.low.ravel().tolist(), space.high.ravel().tolist()
    return type(space).__name__, flat_space(space).shape, bounds


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")
