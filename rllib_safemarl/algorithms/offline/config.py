"""The config of learning from a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.utils.from_config import NotProvided

from rllib_safemarl.algorithms.columnar_config import COLUMNAR_SETTINGS, ColumnarConfig
from rllib_safemarl.data.columns import SPLITS
from rllib_safemarl.envs.team import TEAM, Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.offline_data import MultiAgentOfflineData
from rllib_safemarl.offline.source import ALL, Prepare, Source, open_source
from rllib_safemarl.settings import Setting, is_number, is_whole, one_of

OFFLINE_SETTINGS: dict[str, Setting] = {
    **COLUMNAR_SETTINGS,
    "data_split": Setting(
        "train",
        "-",
        "episodes to learn from; a dataset without splits is taken whole",
        **one_of(*SPLITS, ALL),
    ),
    "in_memory_bytes": Setting(
        1 << 30,
        "bytes of columns",
        "datasets up to this size are read once; larger ones are streamed by Ray Data",
        lambda value: is_number(value) and value >= 0,
        "a number of at least 0",
    ),
    "shuffle_windows": Setting(
        1 << 17,
        "windows",
        "so many are shuffled together, blocks of the dataset being in random order",
        lambda value: is_whole(value) and value > 0,
        "a whole number of at least 1",
    ),
}


class OfflineConfig(ColumnarConfig):
    """A config of learning from ``offline_data(input_=…)``; the environment only serves evaluation."""

    settings = OFFLINE_SETTINGS
    horizon: int = 1
    """H, steps of a window."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self._is_online = False
        self.lr = 1e-3
        self.train_batch_size_per_learner = 1024
        self.dataset_num_iters_per_learner = 100
        self.offline_data_class = MultiAgentOfflineData

    def training(
        self,
        *,
        kappa: float = NotProvided,
        policy_hops: float | None = NotProvided,
        max_neighbours: int = NotProvided,
        **rllib: Any,
    ) -> Any:
        """RLlib's ``training()``, and our settings as in this class's ``settings``."""
        self._set(kappa=kappa, policy_hops=policy_hops, max_neighbours=max_neighbours)
        return self._call(super().training, (), rllib, "training")

    def offline_data(
        self,
        *args: Any,
        data_split: str = NotProvided,
        in_memory_bytes: float = NotProvided,
        shuffle_windows: int = NotProvided,
        **rllib: Any,
    ) -> Any:
        """RLlib's ``offline_data()``, and our settings as in this class's ``settings``."""
        self._set(data_split=data_split, in_memory_bytes=in_memory_bytes, shuffle_windows=shuffle_windows)
        return self._call(super().offline_data, args, rllib, "offline_data")

    def safety(self, *, cost_limit: float | dict[str, float] | None = NotProvided, **unknown: Any) -> Any:
        """Set the limit of the undiscounted cost per episode and agent."""
        self._call(lambda **_: None, (), unknown, "safety")
        self._set(cost_limit=cost_limit)
        return self

    def preparation(self) -> Prepare | None:
        """What is made of the dataset before it is learned from; ``None`` where it is taken as it is."""
        return None

    def open_source(self) -> Source:
        """The dataset, as learners see it."""
        return open_source(
            self.input_, self.data_split, self.in_memory_bytes, self.horizon, self.preparation()
        )

    def get_multi_rl_module_spec(
        self, *, spaces: Any = None, policy_dict: Any = None, **kwargs: Any
    ) -> MultiRLModuleSpec:
        """A module for every policy; without an environment the dataset says what they see and do."""
        if spaces is None or TEAM not in spaces:
            from rllib_safemarl.algorithms.offline.dataset_team import dataset_team

            team = dataset_team(self.open_source(), self.policy_mapping, self.agent_graph)
            self.check_team(team)
            spaces = {**(spaces or {}), **team_spaces(team, self)}
        return super().get_multi_rl_module_spec(spaces=spaces, policy_dict=policy_dict, **kwargs)

    def validate(self) -> None:
        """RLlib's checks and ours."""
        if not self.is_offline:
            raise SafeMARLError(
                f"{type(self).__name__} learns from a dataset: name it by input_, such as data/crossing.h5."
            )
        if self.num_env_runners:
            raise SafeMARLError(
                f"num_env_runners={self.num_env_runners} has no meaning here: nothing is sampled in "
                "training; set evaluation_num_env_runners."
            )
        super().validate()

    def _validate_offline_settings(self) -> None:
        """Nothing: the dataset says what RLlib wants to be told without an environment."""


def team_spaces(team: Team, config: AlgorithmConfig) -> dict[str, Any]:
    """Spaces of every module of a team, and the team itself, as env runners tell them."""
    from rllib_safemarl.envs.team import make_groups, make_views

    views = make_views(team, config.policy_radius, config.max_neighbours)
    groups = make_groups(team, views, config.has_own_modules)
    return {TEAM: team, **{group.policy: (group.observation_space, group.action_space) for group in groups}}


def describe_networks(config: OfflineConfig, spec: MultiRLModuleSpec, key: str, names: Iterable[str]) -> None:
    """Tell modules that decide what their networks are made for.

    Args:
        config: of the algorithm.
        spec: of the modules; it carries the team.
        key: of the model config, under which the layout of states, settings and hidden layers are put.
        names: of the settings.
    """
    from rllib_safemarl.envs.team import make_views
    from rllib_safemarl.nn.set_encoder import SetLayout
    from rllib_safemarl.policies.layouts import StateLayout

    team: Team = spec.model_config[TEAM]
    views = make_views(team, config.policy_radius, config.max_neighbours)
    kind_of = {team.policy_ids[i]: kind.name for kind in team.kinds for i in kind.agents}
    hiddens = list(config.model_config.get("fcnet_hiddens", [128, 128]))
    settings = {name: getattr(config, name) for name in names}
    for policy, module in spec.rl_module_specs.items():
        layout = views.layouts[kind_of[policy]]
        sets = SetLayout(layout.own_size, layout.slot_size if layout.slots else 0)
        present = layout.observation_size + layout.position_size
        module.model_config = {key: (StateLayout(sets, present, layout.slots), settings, hiddens)}
