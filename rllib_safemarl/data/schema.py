"""What a dataset is about: who acts, what they see and do, and where the rows come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError


@dataclass(frozen=True)
class ActionSchema:
    """The actions of one kind of agent: real vectors, one choice, or several choices at once.

    Attributes:
        low: ``[D]`` lower bounds of a real vector, ``-inf`` where unknown; empty for choices.
        high: ``[D]`` upper bounds.
        choices: number of choices of each decision; empty for real vectors.
        single: one decision, stored as ``[rows, A]`` integers; several are ``[rows, A, D]``.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    choices: tuple[int, ...] = ()
    single: bool = False

    @classmethod
    def box(cls, low: Any, high: Any) -> ActionSchema:
        """Real vectors between bounds ``[D]``."""
        return cls(tuple(map(float, np.ravel(low))), tuple(map(float, np.ravel(high))))

    @classmethod
    def discrete(cls, n: int) -> ActionSchema:
        """One of ``0 … n-1``."""
        return cls(choices=(int(n),), single=True)

    @classmethod
    def multi_discrete(cls, sizes: Any) -> ActionSchema:
        """A choice of ``0 … n-1`` for each n in ``sizes``."""
        return cls(choices=tuple(map(int, sizes)))

    @classmethod
    def of_space(cls, space: spaces.Space) -> ActionSchema:
        """The schema of a space whose choices, if any, start at 0.

        Raises:
            SafeMARLError: the space is no vector Box, Discrete or MultiDiscrete that starts at 0.
        """
        if isinstance(space, spaces.Box) and len(space.shape) == 1:
            return cls.box(space.low, space.high)
        if isinstance(space, spaces.Discrete) and space.start == 0:
            return cls.discrete(int(space.n))
        if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1 and not space.start.any():
            return cls.multi_discrete(space.nvec)
        raise SafeMARLError(
            f"actions of the space {space} cannot be stored; use a Box of one dimension, or Discrete or "
            "MultiDiscrete starting at 0."
        )

    @property
    def continuous(self) -> bool:
        """Whether actions are real vectors."""
        return not self.choices

    @property
    def tail(self) -> tuple[int, ...]:
        """Shape of one agent's action."""
        return () if self.single else (len(self.choices) or len(self.low),)

    @property
    def space(self) -> spaces.Space:
        """The action space."""
        if self.continuous:
            return spaces.Box(np.array(self.low, np.float32), np.array(self.high, np.float32))
        return spaces.Discrete(self.choices[0]) if self.single else spaces.MultiDiscrete(self.choices)


@dataclass(frozen=True)
class KindSchema:
    """Agents with equal observations and actions.

    Attributes:
        name: unique in the dataset, without ``/``.
        agents: indices into the dataset's agents, rising.
        observation_size: length of the flat observation.
        action: their actions.
    """

    name: str
    agents: tuple[int, ...]
    observation_size: int
    action: ActionSchema

    @property
    def observation_space(self) -> spaces.Box:
        """The flat observation's space, unbounded."""
        return spaces.Box(-np.inf, np.inf, (self.observation_size,), np.float32)


@dataclass(frozen=True)
class Schema:
    """Who acts, and how their rows are to be read.

    Attributes:
        agents: names of the A agents.
        kinds: agents grouped by equal observations and actions.
        cost_names: names of the C costs, possibly none.
        time_limit: steps per episode at most, or ``None``.
        step_seconds: seconds between rows (Δt of a barrier's derivative), or ``None``.
        hops: ``[A][A]`` hop distances of a static agent graph, or ``None``.
        danger_cost: c̄, the cost per step above which an agent is in danger where there are no margins.
    """

    agents: tuple[str, ...]
    kinds: tuple[KindSchema, ...]
    cost_names: tuple[str, ...] = ()
    time_limit: int | None = None
    step_seconds: float | None = None
    hops: tuple[tuple[int, ...], ...] | None = None
    danger_cost: float = 0.0

    def __post_init__(self) -> None:
        members = sorted(i for kind in self.kinds for i in kind.agents)
        if members != list(range(len(self.agents))) or not self.agents:
            raise SafeMARLError(
                f"kinds of a dataset must hold each of its {len(self.agents)} agents once; they hold "
                f"{members}."
            )
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names) or any(not name or "/" in name for name in names):
            raise SafeMARLError(f"kinds of a dataset need distinct names without '/'; they are {names}.")
        for what, given in (("agents", self.agents), ("costs", self.cost_names)):
            if len(set(given)) < len(given):
                raise SafeMARLError(f"{what} of a dataset need distinct names; they are {list(given)}.")
        if self.hops is not None and np.shape(self.hops) != (len(self.agents),) * 2:
            raise SafeMARLError(f"hops must be {len(self.agents)} x {len(self.agents)} distances.")

    @property
    def num_agents(self) -> int:
        """A."""
        return len(self.agents)

    @property
    def hop_distances(self) -> NDArray[np.int16] | None:
        """``[A, A]`` hop distances of a static graph."""
        return None if self.hops is None else np.array(self.hops, np.int16)


def single_kind(
    agents: tuple[str, ...], observation_size: int, action: ActionSchema, name: str = "agent", **rest: Any
) -> Schema:
    """The schema of agents that are all alike; ``rest`` are further fields of :class:`Schema`."""
    kind = KindSchema(name, tuple(range(len(agents))), observation_size, action)
    return Schema(agents, (kind,), **rest)


@dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from.

    Attributes:
        environment: name of the environment.
        env_config: its settings.
        behaviours: names of the behaviours that acted; the episode column ``behaviour`` indexes them.
        cost_limits: cost → limit on the undiscounted cost per episode and agent that behaviours aimed at,
            or that users of this dataset compare with; several per cost.
        seed: of the recording.
        version: of this package.
        command: that made the dataset.
        source: what it was converted from.
        task: of a public benchmark, such as DSRL's ``CarCircle``.
        label: ``factored`` where one body was cut into agents; empty otherwise.
        notes: what converters changed, in sentences.
    """

    environment: str = ""
    env_config: Mapping[str, Any] = field(default_factory=dict)
    behaviours: tuple[str, ...] = ()
    cost_limits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    seed: int | None = None
    version: str = ""
    command: str = ""
    source: str = ""
    task: str = ""
    label: str = ""
    notes: tuple[str, ...] = ()


def schema_to_json(schema: Schema, provenance: Provenance) -> str:
    """Schema and provenance as JSON text; infinite bounds become ``null``."""
    described = asdict(schema)
    for kind in described["kinds"]:
        for end in ("low", "high"):
            kind["action"][end] = [x if np.isfinite(x) else None for x in kind["action"][end]]
    try:
        return json.dumps({"schema": described, "provenance": asdict(provenance)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SafeMARLError(
            f"the dataset's description cannot be written: {error}; env_config must hold plain numbers, "
            "strings, lists and dicts."
        ) from error


def schema_from_json(text: Any, where: str) -> tuple[Schema, Provenance]:
    """What :func:`schema_to_json` wrote.

    Raises:
        SafeMARLError: it is damaged.
    """
    try:
        described = json.loads(text)
        schema, provenance = described["schema"], described["provenance"]
        kinds = tuple(
            KindSchema(k["name"], tuple(k["agents"]), int(k["observation_size"]), _action(k["action"]))
            for k in schema["kinds"]
        )
        hops = schema["hops"]
        lists = {"agents": tuple(schema["agents"]), "cost_names": tuple(schema["cost_names"])}
        hops = None if hops is None else tuple(map(tuple, hops))
        limits = {name: tuple(values) for name, values in provenance["cost_limits"].items()}
        texts = {name: tuple(provenance[name]) for name in ("behaviours", "notes")}
        return (
            Schema(**{**schema, **lists, "kinds": kinds, "hops": hops}),
            Provenance(**{**provenance, **texts, "cost_limits": limits}),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, SafeMARLError):
            raise
        raise SafeMARLError(
            f"{where}: its description is damaged ({type(error).__name__}: {error}); restore the file or "
            "convert its source again."
        ) from error


def _action(described: Mapping[str, Any]) -> ActionSchema:
    low = tuple(-np.inf if x is None else float(x) for x in described["low"])
    high = tuple(np.inf if x is None else float(x) for x in described["high"])
    return ActionSchema(low, high, tuple(described["choices"]), bool(described["single"]))
