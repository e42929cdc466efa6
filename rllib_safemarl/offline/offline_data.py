"""`MultiAgentOfflineData`: what RLlib's ``offline_data(input_=…)`` opens for several agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ray
from ray.rllib.offline.offline_data import OfflineData

from rllib_safemarl.offline.order import Position, WindowOrder
from rllib_safemarl.offline.source import Source, open_source


@dataclass(frozen=True)
class Portion:
    """What one learner learns from in one iteration: a description, not the data.

    Attributes:
        source: the dataset, or a reference to it in Ray's object store.
        order: of its windows.
        learner: which learner this is for.
        position: its first batch.
        count: batches.
    """

    source: Source | ray.ObjectRef
    order: WindowOrder
    learner: int
    position: Position
    count: int


class MultiAgentOfflineData(OfflineData):
    """A dataset of several agents in the place of RLlib's, which holds one agent only.

    Files of at most ``in_memory_bytes`` are read once into columns; with several learners these lie in Ray's
    object store and are shared. Folders of Parquet shards beyond that are streamed by Ray Data, each learner
    reading its own part. The driver only keeps the position, so that a checkpoint of it resumes exactly.

    Args:
        config: its ``input_``, ``data_split``, ``in_memory_bytes``, ``shuffle_windows``, ``horizon``,
            ``train_batch_size_per_learner``, ``num_learners`` and ``seed`` are read.
    """

    def __init__(self, config: Any) -> None:
        # Not RLlib's, which reads single-agent episodes at once. What Algorithm.setup() sets is here, too.
        self.config = config
        self.locality_hints: list[str] | None = None
        self.learner_handles: list[Any] | None = None
        self.module_spec: Any = None
        self.spaces: Any = None
        self.source = open_source(
            config.input_,
            config.data_split,
            config.in_memory_bytes,
            config.horizon,
            config.preparation(),
        )
        seed = (
            np.random.SeedSequence(config.seed).generate_state(1)[0] if config.seed is None else config.seed
        )
        self.order = WindowOrder(
            self.source.counts,
            int(seed),
            config.train_batch_size_per_learner,
            max(1, config.num_learners),
            self.source.pool_windows(config.shuffle_windows),
        )
        self.position = Position()
        self._shared = ray.put(self.source) if config.num_learners > 0 else self.source

    def sample(  # type: ignore[override]
        self, num_samples: int, return_iterator: bool = False, num_shards: int = 1
    ) -> list[Portion]:
        """The next ``num_samples`` batches of every learner, described; the position moves past them.

        Args:
            num_samples: batches for each learner.
            return_iterator: without meaning: learners iterate themselves.
            num_shards: learners.
        """
        portions = [
            Portion(self._shared, self.order, learner, self.position, num_samples)
            for learner in range(num_shards)
        ]
        self.position = self.position.advance(num_samples, self.order)
        return portions

    def get_state(self) -> dict[str, Any]:
        """Epoch, and batches of it that were learned from."""
        return {"position": asdict(self.position), "seed": self.order.seed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self.position = Position(**state["position"])
        self.order = WindowOrder(
            self.order.counts,
            int(state["seed"]),
            self.order.batch_size,
            self.order.num_learners,
            self.order.pool_windows,
        )
