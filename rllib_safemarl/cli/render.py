"""`safemarl render`: an episode of a checkpoint as a moving picture, or one moment of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import set_dotted
from rllib_safemarl.cli.paths import newest_checkpoint
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    from rllib_safemarl.rollout.trained_runner import TrainedEnvRunner


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("episode.gif"),
    show_default=True,
    help="A .gif of whole episodes, or a .png of one moment.",
)
@click.option("--episodes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="Moment of a .png, in steps.  [default: the tightest one]",
)
@click.option(
    "--plans/--no-plans",
    default=None,
    help="Draw what agents plan, coloured by the barrier.  [default: where policies plan]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of episodes and actions.")
@click.option("--frames-per-second", type=click.FloatRange(min=0.1), default=10.0, show_default=True)
@click.option("--explore/--no-explore", default=False, show_default=True, help="Sample actions.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a config key as rllib evaluate does, such as env_config.n_agents=8 or beta=0.99; repeatable.",
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
    still = out.suffix.lower() == ".png"
    if options["step"] is not None and not still:
        raise SafeMARLError(f"--step is for pictures of one moment: name a .png, not {out.name}.")
    from rllib_safemarl.cli.ray_session import import_ray

    import_ray(quiet=True)
    from rllib_safemarl.envs.animation import write_animation, write_picture
    from rllib_safemarl.evaluation.filming import Film

    film = Film(_runner(folder, options), options["seed"], options["explore"], options["plans"])
    try:
        if still:
            step = film.tightest_moment() if options["step"] is None else options["step"]
            write_picture(film.moment(step), out)
            say(f"step {step}: {out}")
            return
        frames = list(film.frames(options["episodes"]))
        write_animation(frames, out, options["frames_per_second"])
        say(f"{len(frames)} frames: {out}")
    finally:
        film.close()


def _runner(folder: Path, options: dict[str, Any]) -> TrainedEnvRunner:
    """One copy of the environment, in which a checkpoint's policies act."""
    from rllib_safemarl.algorithms.columnar_config import ColumnarConfig
    from rllib_safemarl.cli.checking import check_env
    from rllib_safemarl.evaluation.trained import TrainedTeam, read_config

    _, config = read_config(folder)
    if not isinstance(config, ColumnarConfig):
        raise SafeMARLError(
            f"{folder} was not written by an algorithm of this package; only those are drawn."
        )
    changes: dict[str, Any] = {"env_config": dict(config.env_config)}
    set_dotted(changes, options["assignments"])
    check_env(changes.get("env", config.env))
    fixed = {"explore": options["explore"], "seed": options["seed"], "num_envs_per_env_runner": 1}
    return TrainedTeam.read(folder).runner({**changes, **fixed}, options["episodes"])
