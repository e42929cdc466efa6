"""Recipes of recordings: which behaviours act in which environment, and how many episodes of each.

As a YAML file::

    env: safemarl/crossing           # one of ours, or file.py:function that makes a PettingZoo ParallelEnv
    env_config: {n_agents: 4}
    episodes: 600
    seed: 0
    cost_limits: [0.5, 2.0]          # on the undiscounted cost per episode and agent, to compare with
    observation_bits: 10             # rounds what is observed, for smaller files
    grid: {cost_cells: 12, return_cells: 12, most_per_cell: 40}
    behaviours:
      careful: {scripted: yielding, share: 3}
      varied: {scripted: yielding, settings: {gain: [0, 2]}, noise: [0, 0.3]}
      mixed: {scripted: {yielding: 0.7, straight: 0.3}}
      trained: {policy: results/run/*/checkpoint_*, explore: true, noise: 0.1}
      random: {scripted: random, share: 0.5}

A pair ``[low, high]`` is drawn from evenly for each episode. Of several scripted controllers every agent
plays one, drawn for each episode. A pattern of policies becomes a behaviour for each file, of equal shares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPISODES = 100
Range = tuple[float, float]
"""Lowest and highest value; equal where nothing is drawn."""


@dataclass(frozen=True)
class Behaviour:
    """Who acts in some of the episodes.

    Attributes:
        name: the label of these episodes.
        share: of the episodes, relative to the other behaviours'.
        scripted: controller → probability that an agent plays it; empty for a policy.
        settings: of the controller, each drawn from its range for every episode.
        policy: folder of a policy, or of a checkpoint that has one; empty for controllers.
        policy_hash: SHA-256 of the policy.
        explore: sample the policy's actions, or take their mode.
        noise: standard deviation of what is added to real actions, in their own units; probability that a
            choice is replaced by a random one.
    """

    name: str
    share: float = 1.0
    scripted: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Range] = field(default_factory=dict)
    policy: str = ""
    policy_hash: str = ""
    explore: bool = False
    noise: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Grid:
    """Cells of cost × return, and how many episodes of each are kept.

    Attributes:
        cost_cells: cells between the least and the greatest cost of an episode.
        return_cells: cells between the least and the greatest return.
        most_per_cell: episodes kept of each cell.
        least_per_cell: cells with fewer episodes are dropped as outliers.
    """

    cost_cells: int = 10
    return_cells: int = 10
    most_per_cell: int = 50
    least_per_cell: int = 1


@dataclass(frozen=True)
class Recipe:
    """What determines a recording.

    Attributes:
        env: name of the environment, or ``file.py:function``.
        env_config: its settings.
        behaviours: who acts.
        episodes: to record, before the grid filter.
        seed: of everything.
        cost_limits: cost → limits; the key ``""`` stands for every cost.
        grid: filter, or ``None``.
        time_limit: steps after which an episode is cut, where the environment itself does not.
        step_seconds: seconds per step, where the environment does not say.
        danger_cost: cost per step above which an agent is in danger, where there are no margins.
        observation_bits: of the fraction of observed numbers, to which they are rounded, so that files get
            smaller: 10 is half precision; ``None`` keeps all 23. Behaviours act on what is not rounded.
        about: for the card, what the recipe itself does not say.
        folder: to which ``env``, if it is a file, is relative, before the working directory.
    """

    env: str
    behaviours: tuple[Behaviour, ...]
    env_config: Mapping[str, Any] = field(default_factory=dict)
    episodes: int = EPISODES
    seed: int = 0
    cost_limits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    grid: Grid | None = None
    time_limit: int | None = None
    step_seconds: float | None = None
    danger_cost: float = 0.0
    observation_bits: int | None = None
    about: str = ""
    folder: Path = field(default_factory=Path.cwd)

    def plan(self) -> NDArray[np.int64]:
        """``[E]`` behaviour of each episode, dealt so that every stretch has about the shares."""
        shares = np.array([behaviour.share for behaviour in self.behaviours])
        dealt, plan = np.zeros(len(shares)), np.zeros(self.episodes, np.int64)
        for episode in range(self.episodes):
            plan[episode] = int(np.argmax(shares / shares.sum() * (episode + 1) - dealt))
            dealt[plan[episode]] += 1
        return plan

    def to_json(self, whole: bool = False) -> dict[str, Any]:
        """Everything that determines the recorded episodes; policies by their content, not their place.

        Args:
            whole: also what determines which of them the dataset keeps, and how it describes itself.
        """
        described = asdict(self)
        del described["folder"], described["about"]
        if self.observation_bits is None:  # as recipes had it that did not know of them
            del described["observation_bits"]
        for behaviour in described["behaviours"]:
            del behaviour["policy"]
        for later in () if whole else ("grid", "cost_limits"):
            del described[later]
        return described

    def fingerprint(self, whole: bool = False) -> str:
        """What tells recordings apart, or with ``whole`` the datasets made of them."""
        text = json.dumps(self.to_json(whole), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


DEFAULT_BEHAVIOURS: dict[str, dict[str, Any]] = {
    "safemarl/crossing": {
        "careful": {"scripted": "yielding", "share": 4},
        "disturbed": {"scripted": "yielding", "noise": [0.2, 1.0], "share": 3},
        "hasty": {"scripted": "yielding", "settings": {"gain": [0.3, 1.2]}, "share": 1},
        "mixed": {"scripted": {"yielding": 0.75, "straight": 0.25}, "share": 1},
        "reckless": {"scripted": "straight", "noise": [0.0, 0.5], "share": 0.5},
        "random": {"scripted": "random", "share": 0.5},
    },
}
"""Environment → behaviours where no recipe says."""
