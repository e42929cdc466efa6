"""Small datasets with every kind of column, random but seeded."""

import numpy as np

from rllib_safemarl.data import ActionSchema, KindSchema, Provenance, Schema, make_dataset, single_kind

BOX = ActionSchema.box([-1.0, -2.0], [1.0, np.inf])


def one_agent(lengths=(3, 1, 4), seed=0, **columns):
    """One agent, one cost: what DSRL has."""
    rng = np.random.default_rng(seed)
    schema = single_kind(("robot",), 3, BOX, cost_names=("cost",), time_limit=4)
    return make_dataset(schema, {**_rows(rng, schema, lengths), **columns}, *_episodes(rng, schema, lengths))


def team(lengths=(3, 1, 4), agents=3, seed=0, action=BOX, **schema_fields):
    """Agents of one kind with two costs and every optional column; the last agent dies in the first "
    "episode."""
    rng = np.random.default_rng(seed)
    names = tuple(f"robot_{i}" for i in range(agents))
    schema = single_kind(names, 3, action, cost_names=("crash", "speed"), step_seconds=0.1, **schema_fields)
    rows, (offsets, episodes) = _rows(rng, schema, lengths), _episodes(rng, schema, lengths)
    r, e, a = sum(lengths), len(lengths), agents
    active = np.ones((r, a), bool)
    if lengths[0] > 1:
        active[1 : lengths[0], -1] = False
        rows["terminals"][0, -1] = True
    others = np.array([[j for j in range(a) if j != i][:2] + [-1] * max(0, 3 - a) for i in range(a)])
    optional = {
        "margins": (a,),
        "positions": (a, 2),
        "states": (a, 4),
        "team_state": (5,),
    }
    for name, tail in optional.items():
        rows[name] = rng.normal(size=(r, *tail)).astype(np.float32)
        if name != "margins":
            episodes[f"final/{name}"] = rng.normal(size=(e, *tail)).astype(np.float32)
    rows["neighbours"] = np.broadcast_to(others, (r, *others.shape))
    episodes["final/neighbours"] = np.broadcast_to(others, (e, *others.shape))
    rows["signals/log_prob"] = rng.normal(size=(r, a))
    episodes["behaviour"] = np.arange(e) % 2
    provenance = Provenance("safemarl/toy", {"n": a}, ("careful", "random"), {"crash": (2.0, 5.0)}, 7, "0")
    return make_dataset(schema, {**rows, "active": active}, offsets, episodes, provenance)


def mixed(lengths=(2, 3), seed=0):
    """Two kinds: a drone with two decisions, between two cars that steer."""
    rng = np.random.default_rng(seed)
    kinds = (
        KindSchema("car", (0, 2), 4, BOX),
        KindSchema("drone", (1,), 2, ActionSchema.multi_discrete([3, 2])),
    )
    schema = Schema(("car_0", "drone", "car_1"), kinds, ("cost",), hops=((0, 1, 2), (1, 0, 1), (2, 1, 0)))
    return make_dataset(schema, _rows(rng, schema, lengths), *_episodes(rng, schema, lengths))


def _rows(rng, schema, lengths):
    r, a = sum(lengths), schema.num_agents
    rows = {
        "rewards": rng.normal(size=(r, a)),
        "costs": rng.exponential(size=(r, a, len(schema.cost_names))) * rng.integers(0, 2, (r, 1, 1)),
        "terminals": np.zeros((r, a), bool),
        "timeouts": np.zeros(r, bool),
    }
    rows["timeouts"][np.cumsum(lengths) - 1] = True
    for kind in schema.kinds:
        shape = (r, len(kind.agents), *kind.action.tail)
        rows[f"observations/{kind.name}"] = rng.normal(size=(r, len(kind.agents), kind.observation_size))
        if kind.action.continuous:
            rows[f"actions/{kind.name}"] = rng.uniform(-1, 1, shape)
        else:
            top = kind.action.choices[0] if kind.action.single else np.array(kind.action.choices)
            rows[f"actions/{kind.name}"] = rng.integers(0, top, shape)
    return rows


def _episodes(rng, schema, lengths):
    final = {
        f"final/observations/{kind.name}": rng.normal(
            size=(len(lengths), len(kind.agents), kind.observation_size)
        )
        for kind in schema.kinds
    }
    return np.cumsum([0, *lengths]), final


def same(first, second):
    """Whether two datasets hold the same columns, bit for bit."""
    return first.schema == second.schema and first.content_hash == second.content_hash
