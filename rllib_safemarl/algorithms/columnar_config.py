"""What every config of ours adds to RLlib's: checked keys, default policies, the agent graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.policy import PolicySpec
from ray.rllib.utils.from_config import NotProvided
from ray.tune.result import STDERR_FILE, STDOUT_FILE, TRIAL_INFO

from rllib_safemarl.algorithms.limits import is_limit, limits_of
from rllib_safemarl.algorithms.refusals import refuse_meaningless
from rllib_safemarl.algorithms.settings import check, is_radius
from rllib_safemarl.envs.team import TEAM, Team
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.rollout.runner import ColumnarEnvRunner
from rllib_safemarl.settings import Setting, is_whole

HOPS_OR_NONE: dict[str, Any] = {
    "accepts": lambda value: value is None or is_radius(value),
    "expected": "a whole number of at least 0, inf, or None",
}

COLUMNAR_SETTINGS: dict[str, Setting] = {
    # Who is seen.
    "kappa": Setting(
        1,
        "hops",
        "radius of the views of policies and critics",
        is_radius,
        "a whole number of at least 0, or inf",
    ),
    "policy_hops": Setting(None, "hops", "radius of the policies' views; None takes kappa", **HOPS_OR_NONE),
    "agent_graph": Setting(
        None,
        "-",
        "agent graph that goes before the environment's own: complete, chain, pairs of agents, or a "
        "function from the list of agents to such pairs",
    ),
    "max_neighbours": Setting(
        8,
        "agents",
        "slots of a κ-hop view at most; a global view has no such bound",
        is_whole,
        "a whole number of at least 0",
    ),
    # What is reported.
    "cost_limit": Setting(
        None,
        "cost per episode and agent, undiscounted",
        "limit of every cost, or a dict from cost name to limit; inf leaves a cost out",
        is_limit,
        "a number of at least 0, or a dict from cost names to such numbers",
    ),
    "report_per_agent": Setting(
        False,
        "-",
        "report figures of every agent also above 16 agents",
        lambda value: isinstance(value, bool),
        "true or false",
    ),
}

_TUNE_KEYS = {TRIAL_INFO, STDOUT_FILE, STDERR_FILE}
"""What Tune adds to a trial's config."""
_SPECIAL_KEYS = frozenset(
    {*_TUNE_KEYS, "multiagent", "model_config", "class", "_is_frozen", "_enable_new_api_stack"}
)


class ColumnarConfig(AlgorithmConfig):
    """RLlib's AlgorithmConfig for algorithms that sample in columns.

    It refuses unknown keys, which RLlib sets silently, and settings that columns give no meaning to. It
    needs neither ``policies`` nor ``policy_mapping_fn``: by default every agent has a policy of its own up
    to 16 agents, and above that every kind of agent shares one.
    """

    settings: dict[str, Setting] = COLUMNAR_SETTINGS
    """Our own hyper-parameters of this config class."""
    learnt_with: frozenset[str] = frozenset()
    """Those that what is learnt depends on, and that no evaluation can change."""

    learns_sequences: bool = False
    """Whether the learner unrolls recurrent modules."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.exploration_config: dict[str, Any] = {}
        for name, setting in self.settings.items():
            setattr(self, name, setting.default)
        self.env_runner_cls = ColumnarEnvRunner
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 8
        # RLlib would ask every env runner twice more per iteration: for states of connectors, which columns
        # lack, and to tell it how much was sampled, which comes with the weights here.
        self.merge_env_runner_states = False
        self.broadcast_env_runner_states = False

    def _set(self, **values: Any) -> None:
        """Set our own settings, each checked; ``NotProvided`` leaves one alone."""
        for name, value in values.items():
            if value is not NotProvided:
                check(self.settings[name], name, value)
                setattr(self, name, value)

    # RLlib's grammar, with ours beside it.

    def environment(self, *args: Any, agent_graph: Any = NotProvided, **kwargs: Any) -> Any:
        """RLlib's ``environment()``; ``agent_graph`` as in this class's settings."""
        self._set(agent_graph=agent_graph)
        return self._call(super().environment, args, kwargs, "environment")

    def reporting(self, *args: Any, report_per_agent: bool = NotProvided, **kwargs: Any) -> Any:
        """RLlib's ``reporting()``; ``report_per_agent`` as in this class's settings."""
        self._set(report_per_agent=report_per_agent)
        return self._call(super().reporting, args, kwargs, "reporting")

    def _call(self, method: Callable[..., Any], args: tuple, kwargs: dict[str, Any], name: str) -> Any:
        """Call RLlib's method, refusing unknown names in our own words."""
        known = {p for cls in type(self).__mro__ for p in _parameters(cls.__dict__.get(name))}
        for key in kwargs:
            if key not in known:
                raise SafeMARLError(
                    f"{type(self).__name__}.{name}() has no setting {key!r}."
                    f"{nearest_name(key, known | set(self.settings))}"
                )
        return method(*args, **kwargs)

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> Any:
        """As RLlib's, but unknown keys are refused and ``model_config`` is understood."""
        self.refuse_unknown_keys(config_dict)
        values = dict(config_dict)
        self._call(lambda **_: None, (), values.get("multiagent", {}), "multi_agent")
        if "model_config" in values:
            self.rl_module(model_config=values.pop("model_config"))
        if "policies" in values:
            self.multi_agent(policies=values.pop("policies"))
        for name in self.settings.keys() & values.keys():
            self._set(**{name: values.pop(name)})
        return super().update_from_dict(values)

    def refuse_unknown_keys(self, keys: Iterable[str]) -> None:
        """Raise an error that names the first unknown key and the nearest known one."""
        for key in keys:
            name = self._translate_special_keys(key, warn_deprecated=False)
            is_property = isinstance(getattr(type(self), name, None), property)
            if name in vars(self) or is_property or name in _SPECIAL_KEYS:
                continue
            known = {k for k in vars(self) if not k.startswith("_")}
            raise SafeMARLError(f"{type(self).__name__} has no setting {key!r}.{nearest_name(key, known)}")

    # Policies.

    @property
    def is_multi_agent(self) -> bool:
        """Always: one agent is a team of one."""
        return True

    @property
    def has_default_policies(self) -> bool:
        """Whether the user named no policies."""
        return set(self.policies) == {DEFAULT_MODULE_ID}

    @property
    def policy_mapping(self) -> Callable[..., str] | None:
        """A user's mapping from agents to policies, or ``None`` for ours.

        Of policies without a mapping a single one is every agent's; several are those of the agents of the
        same names.
        """
        default = AlgorithmConfig.DEFAULT_POLICY_MAPPING_FN
        if self.policy_mapping_fn not in (None, default):
            return self.policy_mapping_fn
        if self.has_default_policies:
            return None
        (only, *others) = self.policies
        return lambda agent, *_, **__: str(agent) if others else str(only)

    @property
    def has_own_modules(self) -> bool:
        """Whether the user brought RLModules, which then see the environment's own spaces."""
        return self._rl_module_spec is not None

    def check_team(self, team: Team) -> None:
        """Refuse a team that these settings do not fit; called before anything is built on it."""
        self.limits(team)
        if self.has_default_policies:
            return
        for agent, policy in zip(team.agents, team.policy_ids, strict=True):
            if policy not in self.policies:
                raise SafeMARLError(
                    f"agent {agent!r} is mapped to policy {policy!r}, which is not among the policies "
                    f"{sorted(self.policies)}.{nearest_name(policy, self.policies)}"
                )

    def get_multi_rl_module_spec(
        self, *, spaces: Any = None, policy_dict: Any = None, **kwargs: Any
    ) -> MultiRLModuleSpec:
        """RLlib's spec, with a module for every policy of the team and the team in its config."""
        if spaces is None or TEAM not in spaces:
            return super().get_multi_rl_module_spec(spaces=spaces, policy_dict=policy_dict, **kwargs)
        team: Team = spaces[TEAM]
        if policy_dict is None:
            policy_dict = {
                policy: PolicySpec(None, *spaces[policy], {}) for policy in dict.fromkeys(team.policy_ids)
            }
        spec = super().get_multi_rl_module_spec(spaces=spaces, policy_dict=policy_dict, **kwargs)
        spec.model_config = {**(spec.model_config or {}), TEAM: team}
        return spec

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """An actor built by RLlib's PPO catalog; critics are ours and live in the learner."""
        from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog

        from rllib_safemarl.rollout.rl_module import ActorRLModule

        return RLModuleSpec(module_class=ActorRLModule, catalog_class=PPOCatalog)

    @property
    def policy_radius(self) -> float:
        """Radius of the policies' views, hops."""
        return float(self.kappa if self.policy_hops is None else self.policy_hops)

    # Constraints.

    def limits(self, team: Team) -> NDArray[np.float64]:
        """Limits ``[C]`` of the team's costs, see :func:`limits_of`."""
        return limits_of(team.cost_names, self.cost_limit)

    # Sizes.

    @property
    def steps_per_iteration(self) -> int:
        """T: time steps of every copy in one training batch.

        The batch size over all copies of all runners, rounded up to whole steps, and to whole
        fragments where ``rollout_fragment_length`` is a number.
        """
        copies = max(1, self.num_env_runners) * self.num_envs_per_env_runner
        steps = -(-self.total_train_batch_size // copies)
        if isinstance(self.rollout_fragment_length, int):
            steps = -(-steps // self.rollout_fragment_length) * self.rollout_fragment_length
        return steps

    # Validation.

    def validate(self) -> None:
        """RLlib's checks and ours."""
        for name in self.settings:
            check(self.settings[name], name, getattr(self, name))
        refuse_meaningless(self)
        if isinstance(self.evaluation_config, Mapping):
            self.refuse_unknown_keys(self.evaluation_config)
        super().validate()

    def _validate_multi_agent_settings(self) -> None:
        """Default policies get their names from the environment, so that only others are checked."""
        if not self.has_default_policies:
            super()._validate_multi_agent_settings()


def _parameters(function: Any) -> list[str]:
    if function is None:
        return []
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _checked(name: str) -> Callable[..., Any]:
    """RLlib's fluent method ``name``, with unknown names refused in our own words."""

    @functools.wraps(getattr(AlgorithmConfig, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._call(getattr(super(ColumnarConfig, self), name), args, kwargs, name)

    return method


for _name in (
    "api_stack",
    "callbacks",
    "checkpointing",
    "debugging",
    "env_runners",
    "evaluation",
    "experimental",
    "fault_tolerance",
    "framework",
    "learners",
    "multi_agent",
    "offline_data",
    "python_environment",
    "resources",
    "rl_module",
):
    setattr(ColumnarConfig, _name, _checked(_name))
