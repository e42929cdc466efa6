"""RLlib's episode callbacks over columns: real MultiAgentEpisodes, built only where someone asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core.columns import Columns
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.utils import force_list

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.envs.team import Team
from rllib_safemarl.policies.actor import Actor
from rllib_safemarl.rollout.block import Block

EPISODE_HOOKS = (
    "on_episode_created",
    "on_episode_start",
    "on_episode_step",
    "on_episode_end",
    "on_sample_end",
)


class Callbacks:
    """The callbacks of a config, on an env runner."""

    def __init__(self, config: Any) -> None:
        self.objects = [make() for make in force_list(config.callbacks_class)]
        self._config = config

    def call(self, name: str, **kwargs: Any) -> None:
        """Call one hook of all callbacks with RLlib's keyword arguments."""
        functions = getattr(self._config, f"callbacks_{name}")
        make_callback(name, self.objects, functions, kwargs=kwargs)

    def used(self, name: str) -> bool:
        """Whether anybody overrode the hook."""
        plain = getattr(RLlibCallback, name)
        overridden = any(getattr(type(each), name) is not plain for each in self.objects)
        return overridden or bool(getattr(self._config, f"callbacks_{name}"))


class EpisodeHooks:
    """Builds every copy's episode from the columns and calls the hooks in the order of time.

    With ``on_episode_step`` in use, episodes grow as sampling goes; otherwise once per block.

    Args:
        callbacks: the config's.
        team: the team.
        context: what every hook gets beside the episode: env_runner, metrics_logger, env, rl_module.
    """

    def __init__(self, callbacks: Callbacks, team: Team, context: Mapping[str, Any]) -> None:
        self._callbacks = callbacks
        self._team = team
        self._context = dict(context)
        self._used = {name for name in EPISODE_HOOKS if callbacks.used(name)}
        self._ongoing: dict[int, MultiAgentEpisode] = {}
        self._finished: list[MultiAgentEpisode] = []
        observation_spaces, action_spaces = team.spaces
        self._spaces = observation_spaces, action_spaces
        self._rows = [
            (i, agent, kind.name, row)
            for kind in team.kinds
            for row, i in enumerate(kind.agents)
            for agent in [team.agents[i]]
        ]
        self._kind_space = {kind.name: kind.observation_space for kind in team.kinds}

    @property
    def needed(self) -> bool:
        """Whether any hook that sees episodes is in use."""
        return bool(self._used)

    @property
    def live(self) -> bool:
        """Whether episodes must grow step by step."""
        return "on_episode_step" in self._used

    def forget(self) -> None:
        """Drop episodes in progress, after a reset."""
        self._ongoing.clear()

    def watch(self, actors: Sequence[Actor], quota: NDArray[np.int64] | None) -> Callable[[Block, int], None]:
        """What the collector calls after each step: live, or the whole block after its last one."""

        def watch(block: Block, t: int) -> None:
            if self.live:
                self.advance(block, t, actors, quota)
            elif t == len(block.reward) - 1:
                for step in range(t + 1):
                    self.advance(block, step, actors, quota)

        return watch

    def advance(self, block: Block, t: int, actors: Sequence[Actor], quota: NDArray[np.int64] | None) -> None:
        """Take in step t of a block.

        Args:
            block: the columns under construction, written up to step t.
            t: the step.
            actors: who acted.
            quota: ``[N]`` episodes of each copy that still count, brought up to date here, or None.
        """
        ending = next((e for step, e in block.endings if step == t), None)
        place = {} if ending is None else {int(n): m for m, n in enumerate(ending.copies)}
        for n in range(block.reward.shape[1]):
            if quota is not None and quota[n] == 0:
                continue
            episode = self._ongoing.get(n) or self._begin(block, t, n)
            final = None
            if n in place and ending is not None:
                final = {k: v[place[n]] for k, v in ending.observation.values.items()}
            self._grow(episode, block, t, n, actors, final)
            if "on_episode_step" in self._used:
                self._call("on_episode_step", episode, n)
            if n in place:
                self._ongoing.pop(n)
                if quota is not None:
                    quota[n] -= 1
                self._finished.append(episode)
                if "on_episode_end" in self._used:
                    self._call("on_episode_end", episode, n, prev_episode_chunks=[])

    def end_sample(self) -> None:
        """Call ``on_sample_end`` with the episodes that ended and those that go on."""
        if "on_sample_end" in self._used:
            self._callbacks.call(
                "on_sample_end",
                env_runner=self._context["env_runner"],
                metrics_logger=self._context["metrics_logger"],
                samples=[*self._finished, *self._ongoing.values()],
            )
        self._finished = []

    def _call(self, name: str, episode: MultiAgentEpisode, copy: int, **kwargs: Any) -> None:
        self._callbacks.call(name, episode=episode, env_index=copy, **self._context, **kwargs)

    def _begin(self, block: Block, t: int, n: int) -> MultiAgentEpisode:
        policies = dict(zip(self._team.agents, self._team.policy_ids, strict=True))
        mapping: Callable[..., str] = lambda agent, episode, **_: policies[agent]  # noqa: E731
        spaces = [dict(space.spaces) for space in self._spaces]
        episode = MultiAgentEpisode(
            observation_space=spaces[0],
            action_space=spaces[1],
            agent_to_module_mapping_fn=mapping,
        )
        self._ongoing[n] = episode
        if "on_episode_created" in self._used:
            self._call("on_episode_created", episode, n)
        first = {k: v[t, n] for k, v in block.values.items()}
        alive = block.alive[t, n]
        episode.add_env_reset(
            observations=self._observations(first, alive),
            infos={agent: {} for i, agent, *_ in self._rows if alive[i]},
        )
        if "on_episode_start" in self._used:
            self._call("on_episode_start", episode, n)
        return episode

    def _grow(
        self,
        episode: MultiAgentEpisode,
        block: Block,
        t: int,
        n: int,
        actors: Sequence[Actor],
        final: Mapping[str, NDArray] | None,
    ) -> None:
        acted = block.alive[t, n]
        shown = {k: v[t + 1, n] for k, v in block.values.items()} if final is None else final
        truncated = bool(block.truncated[t, n])
        terminated = block.terminated[t, n]
        agents = [(i, agent) for i, agent, *_ in self._rows if acted[i]]
        terminateds: dict[Any, bool] = {agent: bool(terminated[i]) for i, agent in agents}
        still = acted & ~terminated if final is not None else block.alive[t + 1, n]
        truncateds: dict[Any, bool] = {
            agent: (truncated or not still[i]) and not terminated[i] for i, agent in agents
        }
        terminateds["__all__"] = final is not None and not truncated
        truncateds["__all__"] = truncated
        actions, outputs = self._actions(block, t, n, actors, acted)
        observations = self._observations(shown, acted | (still & (final is None)))
        episode.add_env_step(
            observations=observations,
            actions=actions,
            rewards={agent: float(block.reward[t, n, i]) for i, agent in agents},
            infos=self._infos(block, t, n, agents),
            terminateds=terminateds,
            truncateds=truncateds,
            extra_model_outputs=outputs,
        )

    def _observations(self, values: Mapping[str, NDArray], shown: NDArray[np.bool_]) -> dict[Any, Any]:
        """Each agent's own observation in its own space, from flat rows per kind."""
        observations = {}
        for i, agent, kind, row in self._rows:
            if shown[i]:
                value = unflatten_rows(self._kind_space[kind], values[kind][row : row + 1])
                observations[agent] = _first(value)
        return observations

    def _actions(
        self, block: Block, t: int, n: int, actors: Sequence[Actor], acted: NDArray[np.bool_]
    ) -> tuple[dict[Any, Any], dict[Any, dict[str, Any]]]:
        actions, outputs = {}, {}
        names = {"inputs": Columns.ACTION_DIST_INPUTS, "log_prob": Columns.ACTION_LOGP}
        for actor, columns in zip(actors, block.actors, strict=True):
            for p, group in enumerate(actor.groups):
                for g, i in enumerate(group.agents):
                    if acted[i]:
                        agent = self._team.agents[i]
                        actions[agent] = np.array(columns["actions"][p, t, n, g])
                        outputs[agent] = {
                            key: np.array(columns[name][p, t, n, g])
                            for name, key in names.items()
                            if name in columns
                        }
        return actions, outputs

    def _infos(
        self, block: Block, t: int, n: int, agents: Sequence[tuple[int, Any]]
    ) -> dict[Any, dict[str, Any]]:
        """The environment's own infos where it has them, else costs and signals."""
        infos = block.infos[t]
        if infos is not None:
            return {agent: dict(infos[n].get(agent, {})) for _, agent in agents}
        names, signals = self._team.cost_names, block.signals[t]
        made = {}
        for i, agent in agents:
            costs = block.cost[t, n, i]
            cost = float(costs[0]) if len(names) == 1 else dict(zip(names, costs.tolist(), strict=True))
            made[agent] = {"cost": cost, **{k: v[n, i] for k, v in signals.items()}}
        return made


def _first(value: Any) -> Any:
    """The only element of a batch of one, through dicts and tuples."""
    if isinstance(value, dict):
        return {key: _first(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_first(part) for part in value)
    return np.array(value[0])
