"""What all our algorithms do alike: checkpoints that name their version, policies as small files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NoReturn

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO
from ray.util.debug import log_once

from rllib_safemarl.algorithms.checkpoint_version import check_version, version_metadata
from rllib_safemarl.data.file_lists import LIST, list_files
from rllib_safemarl.envs.registry import ENVIRONMENTS
from rllib_safemarl.envs.team import Team, make_groups, make_views
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.files import FOLDER, save_policy
from rllib_safemarl.policies.team_policy import TeamPolicy
from rllib_safemarl.rollout.actor import portable_policies
from rllib_safemarl.rollout.multi_agent_env import register_environments

logger = logging.getLogger(__name__)


class TeamAlgorithm(Algorithm):
    """An algorithm that learns the policies of a fixed team."""

    @property
    def team(self) -> Team:
        """The team, as the local env runner knows it."""
        return self.env_runner.team

    def acting_module(self) -> MultiRLModule:
        """The present policies, as they act."""
        return self.env_runner.module

    @staticmethod
    def _get_env_id_and_creator(env_specifier: Any, config: Any) -> Any:
        """RLlib's, with ours known in every session of Ray: names are lost with the session that had them."""
        if env_specifier in ENVIRONMENTS:
            register_environments()
        return Algorithm._get_env_id_and_creator(env_specifier, config)

    def __repr__(self) -> str:
        """RLlib's, which fails before ``setup()`` and so kills the actor instead of reporting its error."""
        return type(self).__name__ if self.config is None else super().__repr__()

    def weights(self) -> dict[str, Any]:
        """The learners' present weights, as env runners take them over in ``set_state``."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER]
        return {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}

    # Checkpoints.

    def get_metadata(self) -> dict[str, Any]:
        """RLlib's, and our version."""
        return {**super().get_metadata(), **version_metadata()}

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """RLlib's, after a look at the version.

        Raises:
            SafeMARLError: another version wrote the checkpoint.
        """
        if kwargs.get("component") is None and not args:
            check_version(path, self.METADATA_FILE_NAME, kwargs.get("filesystem"))
        self.restore_checkpoint(path, *args, **kwargs)

    def restore_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """What RLlib does to restore."""
        super().restore_from_path(path, *args, **kwargs)

    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """RLlib's checkpoint, the policies as small files in ``policy/`` beside it, and a list of all files.

        The list is written last: a checkpoint that a full disk or a kill cut off has none, or one that does
        not fit, and is passed over where the newest is looked for.
        """
        if path is not None:
            Path(path, LIST).unlink(missing_ok=True)
        saved = super().save_to_path(path, **kwargs)
        if not Path(saved).is_dir():
            return saved
        try:
            save_policy(self.team_policy(), Path(saved) / FOLDER)
        except SafeMARLError as error:
            if log_once(f"no_policy_file_{id(self)}"):
                logger.warning("No policy file beside the checkpoint: %s", error)
        list_files(Path(saved))
        return saved

    def team_policy(self) -> TeamPolicy:
        """The present policies, ready to act without Ray.

        Raises:
            SafeMARLError: a policy is an RLModule of the user's own.
        """
        config, module = self.config, self.acting_module()
        groups = make_groups(
            self.team,
            make_views(self.team, config.policy_radius, config.max_neighbours),
            config.has_own_modules,
        )
        policies = portable_policies(groups, module)
        foreign = [group.policy for group in groups if group.policy not in policies]
        if foreign:
            name = type(module[foreign[0]]).__name__
            raise SafeMARLError(
                f"policy {foreign[0]!r} is a {name}; only MLPs of the default RLModule, those of use_lstm, "
                "and our own planners become policy files. It acts from the checkpoint, as in rllib evaluate."
            )
        return TeamPolicy(
            self.team,
            policies,
            PolicySettings(
                config.policy_radius,
                config.max_neighbours,
                config.normalize_actions,
                config.clip_actions,
            ),
        )

    # What RLlib offers and a team of fixed policies has no use for.

    def add_module(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not possible.

        Raises:
            SafeMARLError: always.
        """
        raise SafeMARLError(_FIXED.format("add_module()"))

    def remove_module(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not possible.

        Raises:
            SafeMARLError: always.
        """
        raise SafeMARLError(_FIXED.format("remove_module()"))


_FIXED = (
    "{} has no meaning here: the policies of a team are fixed once it is built; name them all in "
    ".multi_agent(policies=…) and leave some untrained by policies_to_train."
)
