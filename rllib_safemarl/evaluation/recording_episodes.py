"""Recorded episodes: what an environment shows, one episode after another, in the columns of datasets.

One copy of the environment plays one episode at a time, and all of episode e follows from (seed, e): so a
recording is the same whoever records which of its episodes, and when. ``env.reset(seed)`` with the seed in
the episode column ``seed`` and then the recorded actions give an episode again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.columns import FINAL, SIGNALS
from rllib_safemarl.data.dataset import Dataset, concatenate, make_dataset
from rllib_safemarl.data.schema import Provenance
from rllib_safemarl.envs.vector import MARGIN, Observation, Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_envs import make_env, schema_of
from rllib_safemarl.evaluation.recording_players import Player, make_player
from rllib_safemarl.evaluation.recording_recipe import Recipe
from rllib_safemarl.rollout.checks import check_step

Columns = dict[str, NDArray]


class EpisodeRecorder:
    """Records any episodes of a recipe.

    Args:
        recipe: what to record.

    Attributes:
        schema: of the episodes.

    Raises:
        SafeMARLError: environment, controllers or policies do not fit.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._env = make_env(recipe)
        self.schema = schema_of(self._env, recipe)
        self._plan = recipe.plan()
        self._players: list[Player] = [
            make_player(behaviour, self._env, recipe.env) for behaviour in recipe.behaviours
        ]

    def record(self, episodes: Iterable[int], watch: Callable[[int], None] | None = None) -> Dataset:
        """Record some episodes, by their numbers.

        Args:
            episodes: numbers below the recipe's ``episodes``.
            watch: called with the number of steps after every episode.

        Raises:
            SafeMARLError: the environment failed, or gave values that no dataset may hold.
        """
        recorded = []
        with _one_thread(any(behaviour.policy for behaviour in self.recipe.behaviours)):
            for episode in episodes:
                recorded.append(self._record(episode))
                if watch is not None:
                    watch(recorded[-1].num_rows)
        return concatenate(recorded)

    def _record(self, episode: int) -> Dataset:
        seeds = np.random.SeedSequence((self.recipe.seed, episode)).generate_state(2) >> 1
        env_seed, player_seed = (int(seed) for seed in seeds)
        where = f"{self.recipe.env}, episode {episode} (seed {env_seed})"
        player = self._players[self._plan[episode]]
        try:
            trace = self._play(env_seed, player_seed, player)
        except SafeMARLError as error:
            raise SafeMARLError(f"{where}: {error}") from error
        except Exception as error:
            raise SafeMARLError(f"{where} failed: {type(error).__name__}: {error}") from error
        rows, final = trace.columns()
        if self.recipe.observation_bits is not None:
            for columns in (rows, final):
                _round_observations(columns, self.recipe.observation_bits)
        labels = {"behaviour": [self._plan[episode]], "seed": [env_seed], "number": [episode]}
        dataset = make_dataset(self.schema, rows, [0, trace.length], {**final, **labels}, where=where)
        return check_values(dataset, where)

    def _play(self, env_seed: int, player_seed: int, player: Player) -> _Trace:
        env, trace = self._env, _Trace(self._env)
        observation, active = env.reset(env_seed), env.active()
        player.begin(player_seed)
        trace.see(observation, active)
        while True:
            actions = player.act(observation, active)
            step = env.step(actions)
            if not trace.length:
                check_step(step, env)
            reached = step.ending is None and trace.length + 1 == self.recipe.time_limit
            trace.write(actions, step, cut=reached or bool(step.truncated[0]))
            if reached or step.ending is not None:
                last = step.observation if step.ending is None else step.ending.observation
                trace.see(last, np.zeros_like(active))
                return trace
            observation, active = step.observation, step.active
            trace.see(observation, active)


def _round_observations(columns: Columns, bits: int) -> None:
    for name, column in columns.items():
        if name.removeprefix(FINAL).partition("/")[0] == "observations" and column.dtype == np.float32:
            columns[name] = round_fraction(column, bits)


def round_fraction(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """The nearest numbers with so many bits of the 23 of their fraction; 10 are half precision."""
    dropped = 23 - bits
    whole = np.ascontiguousarray(values).view(np.uint32) + np.uint32(1 << (dropped - 1))
    return (whole >> np.uint32(dropped) << np.uint32(dropped)).view(np.float32)


@contextlib.contextmanager
def _one_thread(with_policies: bool) -> Iterator[None]:
    """Sums of one order, however many threads torch has elsewhere."""
    if not with_policies:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Trace:
    """Steps and moments of one episode of one copy."""

    def __init__(self, env: VectorEnv) -> None:
        self._env = env
        self._moments: list[Columns] = []
        self._steps: list[Columns] = []

    @property
    def length(self) -> int:
        """Steps so far."""
        return len(self._steps)

    def see(self, observation: Observation, active: NDArray[np.bool_]) -> None:
        """Enter what is seen at a moment, and who acts then."""
        moment = {f"observations/{name}": value[0].copy() for name, value in observation.values.items()}
        if observation.positions is not None:
            moment["positions"] = observation.positions[0].copy()
        if observation.edges is not None:
            moment["neighbours"] = observation.edges[0].astype(np.int64)
        self._moments.append({**moment, "active": active[0].copy()})

    def write(self, actions: Mapping[str, NDArray], step: Step, cut: bool) -> None:
        """Enter a step."""
        row = {f"actions/{name}": value[0].copy() for name, value in actions.items()}
        row |= {"rewards": step.reward[0].copy(), "costs": step.cost[0].copy()}
        row |= {"terminals": step.terminated[0].copy(), "timeouts": np.asarray(cut)}
        self._steps.append(row | self._signals(step))

    def _signals(self, step: Step) -> Columns:
        signals = {name: np.array(value[0]) for name, value in step.info.items()}
        if step.infos is not None and MARGIN not in signals:
            signals |= self._margin_of_infos(step.infos[0])
        margin = {"margins": signals.pop(MARGIN)} if MARGIN in signals else {}
        return margin | {SIGNALS + name: value for name, value in signals.items()}

    def _margin_of_infos(self, infos: Mapping[Any, Mapping[str, Any]]) -> Columns:
        """Margins of wrapped environments, if all agents that act bring one."""
        acting = np.flatnonzero(self._moments[-1]["active"])
        given = [infos.get(self._env.possible_agents[i], {}).get(MARGIN) for i in acting]
        if any(value is None for value in given):
            return {}
        margins = np.zeros(self._env.num_agents, np.float32)
        margins[acting] = given
        return {MARGIN: margins}

    def columns(self) -> tuple[Columns, Columns]:
        """Row columns, and the last of what is seen, ``final/<name>``."""
        moments, steps = _stack(self._moments), _stack(self._steps)
        active = moments.pop("active")[:-1]
        # An agent's last observation stands in the moment after its last action, as bootstrapping needs it.
        seen = np.concatenate([active, active[-1:]])
        seen[1:-1] |= active[:-1]
        rows, final = {"active": active, "timeouts": steps.pop("timeouts")}, {}
        for name, column in moments.items():
            masked = self._mask(name, column, seen)
            rows[name], final[FINAL + name] = masked[:-1], masked[-1:]
        for name, column in steps.items():
            rows[name] = self._mask(name, column, active)
        return rows, final

    def _mask(self, name: str, column: NDArray, shown: NDArray[np.bool_]) -> NDArray:
        """Zeros, or no neighbours, where agents take no part."""
        _, _, kind_name = name.partition("/")
        for kind in self._env.kinds:
            if name in (f"observations/{kind_name}", f"actions/{kind_name}") and kind.name == kind_name:
                shown = shown[:, list(kind.agents)]
        fits = shown.reshape(*shown.shape, *[1] * (column.ndim - 2))
        return np.where(fits, column, np.asarray(-1 if name == "neighbours" else 0, column.dtype))


def _stack(parts: Sequence[Columns]) -> Columns:
    missing = {name for part in parts for name in part.keys() ^ parts[0].keys()}
    if missing:
        raise SafeMARLError(f"only some steps bring {sorted(missing)[0]!r}; all must, or none.")
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def provenance_of(recipe: Recipe, recorder: EpisodeRecorder, command: str) -> Provenance:
    """Where the recorded episodes come from.

    Raises:
        SafeMARLError: a cost limit is of a cost that the environment does not have.
    """
    from rllib_safemarl import __version__

    costs = recorder.schema.cost_names
    for name in recipe.cost_limits:
        if name and name not in costs:
            raise SafeMARLError(
                f"cost_limits: {recipe.env} has no cost {name!r}; it has: {', '.join(costs) or 'none'}."
            )
    limits = {name: recipe.cost_limits.get(name, recipe.cost_limits.get("", ())) for name in costs}
    return Provenance(
        environment=recipe.env,
        env_config=dict(recipe.env_config),
        behaviours=tuple(behaviour.name for behaviour in recipe.behaviours),
        cost_limits={name: values for name, values in limits.items() if values},
        seed=recipe.seed,
        version=__version__,
        command=command,
    )
