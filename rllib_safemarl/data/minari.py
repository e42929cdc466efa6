"""Minari's datasets, where the package ``minari`` is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.columns import FINAL
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.schema import ActionSchema, KindSchema, Provenance, Schema
from rllib_safemarl.errors import SafeMARLError

COST = "cost"


def read_minari(source: Any, time_limit: int | None = None) -> Dataset:
    """Read a dataset by its id, or one that ``minari.load_dataset`` returned.

    Dict spaces whose keys are the same for observations and actions are read as agents, each key one; such
    recordings share reward and ends. Costs are read from ``infos["cost"]`` where they are there.

    Args:
        source: an id such as ``D4RL/door/human-v2``, or the dataset.
        time_limit: steps of an episode at most, if known.

    Raises:
        SafeMARLError: minari is missing, there is no such dataset, or its spaces cannot be stored.
    """
    name = (
        source
        if isinstance(source, str)
        else str(getattr(getattr(source, "spec", None), "dataset_id", "minari"))
    )
    found = _load(source) if isinstance(source, str) else source
    agents = _agents(found.observation_space, found.action_space)
    parts = _episode_parts(found.iterate_episodes(), found.observation_space, agents, name)
    schema = _schema(found, agents, "costs" in parts, time_limit)
    offsets = np.concatenate([[0], np.cumsum(parts.pop("lengths"))]).astype(np.int64)
    rows, final = _columns(schema, parts)
    provenance = Provenance(environment=name, source=f"minari {name}")
    return check_values(make_dataset(schema, rows, offsets, final, provenance, name), name)


def _load(name: str) -> Any:
    try:
        import minari
    except ImportError as error:
        raise SafeMARLError("Minari's datasets need its package: pip install minari.") from error
    try:
        return minari.load_dataset(name)
    except Exception as error:
        raise SafeMARLError(f"Minari cannot load {name!r}: {str(error).splitlines()[0]}.") from error


def _agents(observation_space: spaces.Space, action_space: spaces.Space) -> tuple[str, ...] | None:
    """Names of agents if spaces are Dicts by agent, ``None`` for a single agent."""
    if not isinstance(action_space, spaces.Dict):
        return None
    if not isinstance(observation_space, spaces.Dict) or set(observation_space) != set(action_space):
        raise SafeMARLError(
            "actions are a Dict whose keys are not those of the observations; agents cannot be told "
            "from them."
        )
    return tuple(action_space.spaces)


def _flat(space: spaces.Space, values: Any, moments: int) -> NDArray:
    if isinstance(space, spaces.Box):
        return np.asarray(values).reshape(moments, -1)
    if isinstance(space, spaces.Dict):
        return np.concatenate([_flat(part, values[key], moments) for key, part in space.spaces.items()], -1)
    if isinstance(space, spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[np.asarray(values) - space.start]
    raise SafeMARLError(
        f"observations of the space {space} cannot be read; use Box, Discrete or Dict of them."
    )


def _episode_parts(
    episodes: Iterable[Any], space: spaces.Space, agents: tuple[str, ...] | None, name: str
) -> dict[str, Any]:
    """What episodes hold, each a list."""
    parts: dict[str, Any] = {
        key: [] for key in ("observations", "actions", "rewards", "terminals", "lengths")
    }
    parts["timeouts"], costs = [], []
    for episode in episodes:
        steps = len(episode.rewards)
        parts["lengths"].append(steps)
        seen = episode.observations if agents else {"agent": episode.observations}
        parts["observations"].append(
            {a: _flat(space[a] if agents else space, values, steps + 1) for a, values in seen.items()}
        )
        parts["actions"].append(episode.actions if agents else {"agent": episode.actions})
        parts["rewards"].append(np.asarray(episode.rewards))
        over = np.asarray(episode.terminations, bool)
        cut = np.asarray(episode.truncations, bool).copy()
        # A recording that stopped before an end was cut by its collector.
        cut[-1] |= not over[-1]
        parts["terminals"].append(over)
        parts["timeouts"].append(cut)
        infos = getattr(episode, "infos", None) or {}
        if COST in infos:
            # Infos have one entry more than steps: that of the reset comes first.
            costs.append(np.asarray(infos[COST])[-steps:])
    if not parts["lengths"]:
        raise SafeMARLError(f"{name} holds no episode.")
    if costs and len(costs) < len(parts["lengths"]):
        raise SafeMARLError(f"{name}: only some episodes have infos['cost']; relabel the costs instead.")
    return {**parts, "costs": costs} if costs else parts


def _schema(found: Any, agents: tuple[str, ...] | None, costs: bool, time_limit: int | None) -> Schema:
    names = agents or ("agent",)
    pairs = [
        (found.observation_space[a], found.action_space[a])
        if agents
        else (found.observation_space, found.action_space)
        for a in names
    ]
    members: dict[int, list[int]] = {}
    for i, pair in enumerate(pairs):
        members.setdefault(next(j for j, other in enumerate(pairs) if other == pair), []).append(i)
    kinds = tuple(
        KindSchema(
            f"kind_{k}" if agents else "agent",
            tuple(group),
            int(spaces.flatdim(pairs[first][0])),
            ActionSchema.of_space(pairs[first][1]),
        )
        for k, (first, group) in enumerate(members.items())
    )
    return Schema(names, kinds, ("cost",) if costs else (), time_limit)


def _columns(schema: Schema, parts: dict[str, Any]) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    a, rows, final = schema.num_agents, {}, {}

    def shared(values: list[NDArray]) -> NDArray:
        return np.repeat(np.concatenate(values)[:, None], a, 1)

    for kind in schema.kinds:
        names = [schema.agents[i] for i in kind.agents]
        seen = [[e[name] for name in names] for e in parts["observations"]]
        rows[f"observations/{kind.name}"] = np.concatenate([np.stack(e, 1)[:-1] for e in seen])
        final[f"{FINAL}observations/{kind.name}"] = np.stack([np.stack(e, 1)[-1] for e in seen])
        rows[f"actions/{kind.name}"] = np.concatenate(
            [np.stack([np.asarray(e[n]) for n in names], 1) for e in parts["actions"]]
        )
    rows["rewards"], rows["terminals"] = shared(parts["rewards"]), shared(parts["terminals"])
    rows["timeouts"] = np.concatenate(parts["timeouts"])
    if "costs" in parts:
        rows["costs"] = shared(parts["costs"])[..., None]
    return rows, final
