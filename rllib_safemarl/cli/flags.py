"""Flags of `rllib train`: Ray 2.40's, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from rllib_safemarl.cli.documents import parse_mapping
from rllib_safemarl.errors import SafeMARLError


@dataclass(frozen=True)
class TrainFlags:
    """What the command line says; None or empty where it says nothing.

    Attributes are the flags' names with underscores; ``assignments`` are those of ``--set``.
    """

    stop: str | None = None
    env: str | None = None
    assignments: tuple[str, ...] = ()
    storage_path: str | None = None
    restore: str | None = None
    resume: bool = False
    checkpoint_freq: int | None = None
    checkpoint_at_end: bool | None = None
    keep_checkpoints_num: int | None = None
    checkpoint_score_attr: str | None = None
    framework: str | None = None
    local_mode: bool = False
    trace: bool = False
    log_info: bool = False
    log_debug: bool = False
    scheduler: str = "FIFO"
    scheduler_config: str = "{}"
    wandb_key: str | None = None
    wandb_project: str | None = None
    wandb_run_name: str | None = None
    ray_address: str | None = None
    ray_ui: bool = False
    ray_num_cpus: int | None = None
    ray_num_gpus: int | None = None
    ray_num_nodes: int | None = None
    ray_object_store_memory: int | None = None
    ray_runtime_env: str | None = None

    def __post_init__(self) -> None:
        if self.trace:
            raise SafeMARLError(
                "--trace traced TensorFlow graphs, and only torch is supported: leave it out."
            )
        if self.framework not in (None, "torch"):
            raise SafeMARLError(f"--framework {self.framework} is not supported: only torch is.")
        if self.wandb_key and not self.wandb_project:
            raise SafeMARLError("--wandb-key needs --wandb-project.")
        parse_mapping(self.scheduler_config, "--scheduler-config")
        parse_mapping(self.ray_runtime_env or "{}", "--ray-runtime-env", "py_modules")

    @property
    def quiet(self) -> bool:
        """Whether Ray's own output is kept down."""
        return not (self.log_info or self.log_debug)


def _option(*names: str, **settings: Any) -> Callable[..., Any]:
    return click.option(*names, **settings)


_OPTIONS = (
    _option("--stop", "-s", metavar="JSON", help="When to stop, such as '{\"training_iteration\": 3}'."),
    _option("--env", "-e", metavar="NAME", help="Environment; goes before the file's."),
    _option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a config key, such as lr=0.001 or env_config.n_agents=8; repeatable.",
    ),
    _option("--storage-path", metavar="DIR", help="Where results go.  [default: ~/ray_results]"),
    _option("--restore", metavar="CHECKPOINT", help="Start from a checkpoint (or a trial's newest)."),
    _option("--resume", is_flag=True, help="Go on with what the same command started before."),
    _option(
        "--checkpoint-freq",
        type=click.IntRange(min=0),
        help="Iterations between checkpoints.  [default: one a minute, of which 3 are kept]",
    ),
    _option(
        "--checkpoint-at-end/--no-checkpoint-at-end",
        default=None,
        help="Checkpoint when a trial ends.  [default: yes]",
    ),
    _option("--keep-checkpoints-num", type=click.IntRange(min=1), help="Checkpoints to keep."),
    _option(
        "--checkpoint-score-attr",
        metavar="METRIC",
        help="Keep the checkpoints with the highest value (lowest: min-METRIC).  [default: the newest]",
    ),
    _option("--framework", metavar="torch", help="Only torch is supported."),
    _option("--local-mode", is_flag=True, help="num_env_runners=0 and num_learners=0, to debug."),
    _option("--trace/--no-trace", default=False, help="Not supported: it was for TensorFlow."),
    _option("--log-info", "-v", is_flag=True, help="Ray's own output, and tracebacks."),
    _option("--log-debug", "-vv", is_flag=True, help="The same, in detail."),
    _option("--scheduler", default="FIFO", show_default=True, help="Tune's trial scheduler."),
    _option("--scheduler-config", default="{}", metavar="JSON", help="Its arguments."),
    _option("--wandb-key", help="API key of Weights & Biases."),
    _option("--wandb-project", help="Log to this project."),
    _option("--wandb-run-name", help="Name of the run there."),
    _option("--ray-address", help="Join this cluster instead of starting Ray here."),
    _option("--ray-ui", is_flag=True, help="Start Ray's dashboard."),
    _option("--ray-num-cpus", type=click.IntRange(min=1), help="CPUs that Ray may use."),
    _option("--ray-num-gpus", type=click.IntRange(min=0), help="GPUs that Ray may use."),
    _option("--ray-num-nodes", type=click.IntRange(min=1), help="Emulate so many nodes, to debug."),
    _option("--ray-object-store-memory", type=click.IntRange(min=1), help="Bytes of Ray's object store."),
    _option(
        "--ray-runtime-env",
        metavar="JSON",
        help='What Ray takes along to the nodes, such as \'{"py_modules": ["my_package"]}\'.',
    ),
)


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every flag of :class:`TrainFlags`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
