"""Generated datasets of the offline benchmarks: random columns of any size, one agent's rows for RLlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rllib_safemarl.data import ActionSchema, Dataset, KindSchema, Schema, make_dataset

AGENTS, OBSERVATIONS, ACTIONS, EPISODE_STEPS = 4, 12, 2, 500
_STEPS_A_FILE = 25_000


def random_dataset(
    episodes: int, seed: int = 0, agents: int = AGENTS, observations: int = OBSERVATIONS
) -> Dataset:
    """Normal observations, uniform actions, costs of 0 or 1; episodes of equal length.

    Args:
        episodes: E.
        seed: of the numbers.
        agents: A, all of one kind.
        observations: length of an agent's observation.
    """
    generator = np.random.default_rng(seed)
    rows = episodes * EPISODE_STEPS
    bounds = np.ones(ACTIONS)
    kind = KindSchema("robot", tuple(range(agents)), observations, ActionSchema.box(-bounds, bounds))
    schema = Schema(tuple(f"robot_{i}" for i in range(agents)), (kind,), ("danger",), EPISODE_STEPS)
    columns = {
        "observations": generator.standard_normal((rows, agents, observations), np.float32),
        "actions": generator.random((rows, agents, ACTIONS), np.float32) * 2.0 - 1.0,
        "rewards": generator.standard_normal((rows, agents), np.float32),
        "costs": (generator.random((rows, agents, 1)) < 0.05).astype(np.float32),
        "terminals": np.zeros((rows, agents), bool),
        "timeouts": np.arange(rows) % EPISODE_STEPS == EPISODE_STEPS - 1,
    }
    last = generator.standard_normal((episodes, agents, observations), np.float32)
    offsets = np.arange(episodes + 1) * EPISODE_STEPS
    return make_dataset(schema, columns, offsets, {"final/observations": last})


def one_agent(dataset: Dataset) -> Dataset:
    """The first agent's rows as a dataset of their own."""
    kind = dataset.schema.kinds[0]
    schema = Schema(
        dataset.schema.agents[:1],
        (KindSchema(kind.name, (0,), kind.observation_size, kind.action),),
        dataset.schema.cost_names,
        dataset.schema.time_limit,
    )
    whole = ("timeouts",)
    rows = {name: column if name in whole else column[:, :1] for name, column in dataset.rows.items()}
    episodes = {name: column[:, :1] for name, column in dataset.episodes.items()}
    return make_dataset(schema, rows, dataset.offsets, episodes)


def write_for_rllib(dataset: Dataset, folder: Path) -> Path:
    """A dataset of one agent in RLlib's own format, a Parquet row per transition."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    episode = np.repeat(np.arange(dataset.num_episodes), dataset.lengths)
    columns = {
        "obs": list(dataset["observations"][:, 0]),
        "new_obs": list(dataset.next("observations/robot")[:, 0]),
        "actions": list(dataset["actions"][:, 0]),
        "rewards": dataset["rewards"][:, 0],
        "terminateds": dataset["terminals"][:, 0],
        "truncateds": dataset["timeouts"],
        "eps_id": [str(e) for e in episode],
    }
    table = pa.table(columns)
    for k, start in enumerate(range(0, table.num_rows, _STEPS_A_FILE)):
        pq.write_table(table.slice(start, _STEPS_A_FILE), folder / f"rows-{k:03d}.parquet")
    return folder
