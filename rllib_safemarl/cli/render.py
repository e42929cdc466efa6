"""`safemarl render`: an episode of a checkpoint as a moving picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import set_dotted
from rllib_safemarl.cli.paths import newest_checkpoint
from rllib_safemarl.errors import SafeMARLError


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("episode.gif"), show_default=True)
@click.option("--episodes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of episodes and actions.")
@click.option("--frames-per-second", type=click.FloatRange(min=0.1), default=10.0, show_default=True)
@click.option("--explore/--no-explore", default=False, show_default=True, help="Sample actions.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the environment, such as env_config.time_limit=200; repeatable.",
)
@one_line_errors
def render(checkpoint: str, out: Path, **options: Any) -> None:
    """Draw episodes of CHECKPOINT: a checkpoint's folder, or that of a trial or experiment (its newest)."""
    say_first(f"drawing {checkpoint}")
    folder = newest_checkpoint(checkpoint)
    if not isinstance(folder, Path):
        raise SafeMARLError(f"{checkpoint} lies elsewhere: copy it to this machine first.")
    if not out.parent.is_dir():
        raise SafeMARLError(f"there is no folder {out.parent} to write {out.name} into.")
    from rllib_safemarl.cli.ray_session import import_ray

    import_ray(quiet=True)
    from rllib_safemarl.envs.animation import write_animation
    from rllib_safemarl.evaluation.frames import episode_frames
    from rllib_safemarl.policies import load_policy

    env = _environment(folder, options["assignments"])
    policy = load_policy(folder, options["seed"])

    def act(observation: Any, active: Any) -> Any:
        return policy.act_columns(
            observation.values, active, observation.positions, observation.edges, options["explore"]
        )

    frames = list(episode_frames(env, act, options["seed"], options["episodes"]))
    write_animation(frames, out, options["frames_per_second"])
    say(f"{len(frames)} frames: {out}")


def _environment(folder: Path, assignments: tuple[str, ...]) -> Any:
    """One copy of the environment that a checkpoint was trained on."""
    from ray.rllib.env.env_context import EnvContext
    from ray.tune.registry import ENV_CREATOR, _global_registry

    from rllib_safemarl.cli.checking import check_env
    from rllib_safemarl.evaluation.trained import read_config
    from rllib_safemarl.rollout.make_env import make_vector_env

    _, config = read_config(folder)
    changes: dict[str, Any] = {"env_config": dict(config.env_config)}
    set_dotted(changes, assignments)
    name = changes.get("env", config.env)
    check_env(name)
    creator = _global_registry.get(ENV_CREATOR, name)
    return make_vector_env(creator, config, EnvContext(changes["env_config"], worker_index=0), 1)
