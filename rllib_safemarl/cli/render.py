"""`safemarl render`: an episode of a checkpoint as a moving picture, or one moment of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.trained import local_checkpoint, trained_runner
from rllib_safemarl.errors import SafeMARLError


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
    folder = local_checkpoint(checkpoint)
    if not out.parent.is_dir():
        raise SafeMARLError(f"there is no folder {out.parent} to write {out.name} into.")
    still = out.suffix.lower() == ".png"
    if options["step"] is not None and not still:
        raise SafeMARLError(f"--step is for pictures of one moment: name a .png, not {out.name}.")
    from rllib_safemarl.cli.ray_session import import_ray

    import_ray(quiet=True)
    from rllib_safemarl.envs.animation import write_animation, write_picture
    from rllib_safemarl.evaluation.filming import Film

    explore, seed = options["explore"], options["seed"]
    fixed = {"explore": explore, "seed": seed, "num_envs_per_env_runner": 1}
    runner = trained_runner(folder, options["assignments"], options["episodes"], **fixed)
    film = Film(runner, seed, explore, options["plans"])
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
