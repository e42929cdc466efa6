"""One body cut into agents: the joint velocity tasks of DSRL, by parts of the body.

DSRL is single-agent. A *factored* view gives each part of a body its own joints to see and to move, while
reward and cost stay those of the whole body. It is labelled ``factored`` wherever it goes, and results on it
are never results on multi-agent data.

Joints and actuators are numbered as in Gymnasium's environments, whose observations are all joint angles and
then all velocities, without the body's place on the way; partitions are those of multi-agent MuJoCo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.columns import FINAL
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.schema import ActionSchema, KindSchema, Schema
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.neighbourhoods import hop_distances

LABEL = "factored"


@dataclass(frozen=True)
class Body:
    """Joints of a body, and what of the joint observation and action is theirs.

    Attributes:
        size: length of the joint observation.
        joints: joint → (index of its angle, of its velocity, of its actuator).
        edges: pairs of joints that touch.
        trunk: indices of what every part sees: height, orientation, velocities of the trunk.
        partitions: name → parts, each a tuple of joints.
    """

    size: int
    joints: dict[str, tuple[int, int, int]]
    edges: tuple[tuple[str, str], ...]
    trunk: tuple[int, ...]
    partitions: dict[str, tuple[tuple[str, ...], ...]]


def _chain(names: Sequence[str], angle: int, velocity: int) -> dict[str, tuple[int, int, int]]:
    """Joints whose angles, velocities and actuators stand in the same order."""
    return {name: (angle + i, velocity + i, i) for i, name in enumerate(names)}


def _pairs(*chains: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for chain in chains for pair in pairwise(chain))


_CHEETAH = ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot")
_WALKER = ("thigh", "leg", "foot", "left_thigh", "left_leg", "left_foot")
_HOPPER = ("thigh", "leg", "foot")
_SWIMMER = ("first_rotor", "second_rotor")
_LEGS = ("1", "2", "3", "4")
# Ant's actuators begin with the fourth leg; its angles do not.
_ANT_ORDER = tuple(f"{part}{leg}" for leg in _LEGS for part in ("hip", "ankle"))
_ANT = {name: (5 + i, 19 + i, (i + 2) % 8) for i, name in enumerate(_ANT_ORDER)}
_ANT_EDGES = tuple((f"hip{leg}", f"ankle{leg}") for leg in _LEGS) + tuple(
    (f"hip{a}", f"hip{b}") for a in _LEGS for b in _LEGS if a < b
)


def _legs(*groups: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{part}{leg}" for leg in group for part in ("hip", "ankle")) for group in groups)


BODIES = {
    "HalfCheetah": Body(
        17,
        _chain(_CHEETAH, 2, 11),
        (*_pairs(_CHEETAH[:3], _CHEETAH[3:]), ("bthigh", "fthigh")),
        (0, 1, 8, 9, 10),
        {"2x3": (_CHEETAH[:3], _CHEETAH[3:]), "6x1": tuple((joint,) for joint in _CHEETAH)},
    ),
    "Walker2d": Body(
        17,
        _chain(_WALKER, 2, 11),
        (*_pairs(_WALKER[:3], _WALKER[3:]), ("thigh", "left_thigh")),
        (0, 1, 8, 9, 10),
        {"2x3": (_WALKER[:3], _WALKER[3:])},
    ),
    "Hopper": Body(
        11, _chain(_HOPPER, 2, 8), _pairs(_HOPPER), (0, 1, 5, 6, 7), {"3x1": tuple((j,) for j in _HOPPER)}
    ),
    "Swimmer": Body(
        8, _chain(_SWIMMER, 1, 6), _pairs(_SWIMMER), (0, 3, 4, 5), {"2x1": tuple((j,) for j in _SWIMMER)}
    ),
    "Ant": Body(
        27,
        _ANT,
        _ANT_EDGES,
        (*range(5), *range(13, 19)),
        {"2x4": _legs("12", "34"), "2x4d": _legs("14", "23"), "4x2": _legs(*_LEGS)},
    ),
}
"""Body → its joints; tasks are named ``<body>Velocity``."""


def factor(dataset: Dataset, body: str, partition: str, reach: int = 0) -> Dataset:
    """Cut the single agent of a velocity task into parts of its body.

    Every part sees angle and velocity of its own joints, of joints up to ``reach`` joints away, and the
    trunk; it moves its own joints. Reward and cost are the body's, the same for all parts. ``team_state`` is
    the joint observation; the graph joins parts whose joints touch.

    Args:
        dataset: of one agent, in Gymnasium's order of observations.
        body: ``HalfCheetah``, ``Walker2d``, ``Hopper``, ``Swimmer`` or ``Ant``.
        partition: such as ``2x3``.
        reach: joints of others that a part sees, by distance along the body.

    Raises:
        SafeMARLError: unknown body or partition, or sizes that do not fit it.
    """
    if body not in BODIES:
        raise SafeMARLError(
            f"there is no body {body!r}; bodies are {', '.join(BODIES)}.{nearest_name(body, BODIES)}"
        )
    parts = BODIES[body].partitions.get(partition)
    if parts is None:
        known = ", ".join(BODIES[body].partitions)
        raise SafeMARLError(f"{body} has no partition {partition!r}; it has {known}.")
    schema = dataset.schema
    fits = schema.num_agents == 1 and schema.kinds[0].observation_size == BODIES[body].size
    if not fits or schema.kinds[0].action.tail != (len(BODIES[body].joints),):
        raise SafeMARLError(
            f"a factored {body} needs one agent with {BODIES[body].size} observations and "
            f"{len(BODIES[body].joints)} real actions; the dataset has {schema.num_agents} agents with "
            f"{schema.kinds[0].observation_size} and {schema.kinds[0].action.tail}."
        )
    return _cut(dataset, BODIES[body], parts, f"{body} {partition}", reach)


def _cut(dataset: Dataset, body: Body, parts: tuple[tuple[str, ...], ...], name: str, reach: int) -> Dataset:
    sights = [_sight(body, part, reach) for part in parts]
    moves = [[body.joints[joint][2] for joint in part] for part in parts]
    schema = _schema(dataset.schema, parts, sights, moves, body)
    joint, actions, last = (
        dataset["observations"][:, 0],
        dataset["actions"][:, 0],
        dataset["final/observations"][:, 0],
    )
    rows = {
        key: np.repeat(dataset.rows[key], len(parts), 1)
        for key in ("rewards", "costs", "terminals", "active")
    }
    rows.update({"timeouts": dataset.rows["timeouts"], "team_state": joint})
    episodes = {k: v for k, v in dataset.episodes.items() if not k.startswith(FINAL)}
    episodes[f"{FINAL}team_state"] = last
    for kind in schema.kinds:
        rows[f"observations/{kind.name}"] = np.stack([joint[:, sights[i]] for i in kind.agents], 1)
        rows[f"actions/{kind.name}"] = np.stack([actions[:, moves[i]] for i in kind.agents], 1)
        episodes[f"{FINAL}observations/{kind.name}"] = np.stack([last[:, sights[i]] for i in kind.agents], 1)
    note = f"Factored view of a single-agent task: {name}; reward and cost are the whole body's."
    provenance = replace(
        dataset.provenance,
        label=LABEL,
        notes=(*dataset.provenance.notes, note),
        env_config={"partition": name},
    )
    return check_values(make_dataset(schema, rows, dataset.offsets, episodes, provenance), f"factored {name}")


def _sight(body: Body, part: tuple[str, ...], reach: int) -> list[int]:
    """Indices of the joint observation that a part sees: own joints, others by distance, trunk."""
    names = list(body.joints)
    between = hop_distances([(names.index(a), names.index(b)) for a, b in body.edges], len(names))
    away = between[[names.index(joint) for joint in part]].min(0)
    order = sorted((int(away[i]), i) for i in range(len(names)) if away[i] <= reach)
    seen = [names[i] for _, i in order]
    return [body.joints[j][0] for j in seen] + [body.joints[j][1] for j in seen] + list(body.trunk)


def _schema(
    joint: Schema,
    parts: tuple[tuple[str, ...], ...],
    sights: list[list[int]],
    moves: list[list[int]],
    body: Body,
) -> Schema:
    action = joint.kinds[0].action
    sizes: dict[tuple[int, int], list[int]] = {}
    for i, (sight, move) in enumerate(zip(sights, moves, strict=True)):
        sizes.setdefault((len(sight), len(move)), []).append(i)
    kinds = tuple(
        KindSchema(
            f"part_{k}" if len(sizes) > 1 else "part",
            tuple(members),
            size,
            # One kind has one space: the widest of its joints'.
            ActionSchema.box(
                [min(action.low[moves[i][d]] for i in members) for d in range(width)],
                [max(action.high[moves[i][d]] for i in members) for d in range(width)],
            ),
        )
        for k, ((size, width), members) in enumerate(sizes.items())
    )
    owner = {name: i for i, part in enumerate(parts) for name in part}
    hops = hop_distances([(owner[a], owner[b]) for a, b in body.edges if owner[a] != owner[b]], len(parts))
    names = tuple("+".join(part) for part in parts)
    return replace(joint, agents=names, kinds=kinds, hops=tuple(tuple(map(int, row)) for row in hops))
