"""`safemarl decay`: how fast the influence of far agents on values falls with their distance, as measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import set_dotted
from rllib_safemarl.cli.formats import count, number
from rllib_safemarl.cli.trained import local_checkpoint, trained_runner
from rllib_safemarl.errors import SafeMARLError, nearest_name

if TYPE_CHECKING:
    from rllib_safemarl.evaluation.decay import DecaySettings, SignalDecay

COPIES = 16
"""Of the environment that a controller acts in, at most."""


@click.command()
@click.argument("source", metavar="CHECKPOINT|ENVIRONMENT")
@click.option("--controller", metavar="NAME", help="Acts in an ENVIRONMENT, such as yielding or random.")
@click.option("--episodes", type=click.IntRange(min=8), default=400, show_default=True)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("decay.png"),
    show_default=True,
    help="The picture; its numbers go beside it, as .csv.",
)
@click.option("--max-hops", type=click.IntRange(min=0), help="Largest κ.  [default: the graph's diameter]")
@click.option(
    "--gamma",
    type=click.FloatRange(min=0.0, max=1.0),
    help="Discount of values.  [default: that of training; 0.99 with a controller]",
)
@click.option(
    "--reward-scope",
    type=click.Choice(["team", "neighbourhood", "own"]),
    help="Reward that agents learn from.  [default: that of training; own with a controller]",
)
@click.option("--explore/--no-explore", default=True, show_default=True, help="Sample actions.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Steps of the optimiser that learns values.  [default: 1500]"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a config key, such as env_config.n_agents=8 or agent_graph=chain; repeatable.",
)
@one_line_errors
def decay(source: str, out: Path, **options: Any) -> None:
    """Measure how fast values of κ-hop views come near to those of the whole team.

    For every κ up to the diameter a value function of what is within κ hops is learnt from half of the
    episodes of CHECKPOINT, or of a controller in an ENVIRONMENT; the other half tells how far it is from
    that of everything. Of the errors above the noise the rate per hop is fitted.
    """
    say_first(f"measuring the decay of {source}")
    if out.suffix.lower() != ".png":
        raise SafeMARLError(f"the picture is a .png; --out {out} is none.")
    if not out.parent.is_dir():
        raise SafeMARLError(f"there is no folder {out.parent} to write {out.name} into.")
    folder = None if options["controller"] else local_checkpoint(source)
    from rllib_safemarl.cli.ray_session import import_ray

    import_ray(quiet=True)
    found = _of_controller(source, options) if folder is None else _of_checkpoint(folder, options)
    for each in found:
        for line in _lines(each):
            say(line)
    _write(found, out, source)
    say(f"{out.with_suffix('.csv')}, {out}")


def _of_checkpoint(folder: Path, options: dict[str, Any]) -> list[SignalDecay]:
    episodes = options["episodes"]
    fixed = {"explore": options["explore"], "seed": options["seed"]}
    runner = trained_runner(folder, options["assignments"], episodes, **fixed)
    try:
        say(f"running {count(episodes)} episodes")
        ended, batches = runner.run_episodes(episodes, options["explore"])
        config, team = runner.config, runner.team
        settings = _settings(
            options,
            config.gamma,
            getattr(config, "reward_scope", "own"),
            getattr(config, "critic_radius", config.policy_radius),
        )
        return _measure(ended, batches, team, settings)
    finally:
        runner.stop()


def _of_controller(name: str, options: dict[str, Any]) -> list[SignalDecay]:
    from rllib_safemarl.cli.checking import check_env
    from rllib_safemarl.evaluation.controllers import named_controller
    from rllib_safemarl.evaluation.rollouts import controller_episodes, controller_team
    from rllib_safemarl.rollout.make_env import named_vector_env

    check_env(name)
    given: dict[str, Any] = {"env_config": {}, "agent_graph": None}
    known = tuple(given)
    set_dotted(given, options["assignments"])
    for key in given:
        if key not in known:
            raise SafeMARLError(
                f"--set {key}: with a controller only env_config and agent_graph can be set."
                f"{nearest_name(key, known)}"
            )
    if options["reward_scope"] == "neighbourhood":
        raise SafeMARLError(
            "--reward-scope neighbourhood is as wide as critics see, and a controller has none."
        )
    controller = named_controller(name, options["controller"], options["seed"])
    episodes = options["episodes"]
    env = named_vector_env(name, given["env_config"], min(COPIES, episodes))
    try:
        team = controller_team(env, given["agent_graph"])
        say(f"running {count(episodes)} episodes")
        ended, batches = controller_episodes(env, controller, episodes, options["seed"])
        return _measure(ended, batches, team, _settings(options, 0.99, "own", 0.0))
    finally:
        env.close()


def _settings(options: dict[str, Any], gamma: float, scope: str, radius: float) -> DecaySettings:
    from rllib_safemarl.evaluation.decay import DecaySettings
    from rllib_safemarl.evaluation.decay_regression import RegressionSettings

    given = {} if options["steps"] is None else {"steps": options["steps"]}
    return DecaySettings(
        gamma=gamma if options["gamma"] is None else options["gamma"],
        reward_scope=options["reward_scope"] or scope,
        reward_radius=radius,
        max_hops=options["max_hops"],
        seed=options["seed"],
        regression=RegressionSettings(**given),
    )


def _measure(ended: Sequence[Any], batches: Sequence[Any], team: Any, settings: Any) -> list[SignalDecay]:
    from rllib_safemarl.evaluation.decay import team_decay

    say("learning values of κ-hop views")
    quota = np.bincount([episode.copy for episode in ended], minlength=batches[0].copies)
    return team_decay(batches, quota, team, settings)


def _lines(each: SignalDecay) -> list[str]:
    """A signal's table."""
    decay = each.decay
    rows = [("κ", "agents beyond", "error e_κ", "of V's deviation", "")]
    for kappa, squared in enumerate(decay.squared):
        error = float(np.sqrt(max(squared, 0.0)))
        share = f"{100 * error / each.spread:.1f} %" if each.spread > 0.0 else number(None)
        mark = "" if decay.used[kappa] else "not above the noise"
        rows.append((str(kappa), f"{each.unseen[kappa]:.1f}", number(error), share, mark))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.rjust(w) for cell, w in zip(row[:4], widths, strict=False)) for row in rows]
    lines = [f"  {line}  {row[4]}".rstrip() for line, row in zip(table, rows, strict=True)]
    return [each.signal, *lines, f"  {each.verdict()}"]


def _write(found: Sequence[SignalDecay], out: Path, source: str) -> None:
    from rllib_safemarl.data.atomic import atomic_path
    from rllib_safemarl.evaluation.decay import decay_table

    with atomic_path(out.with_suffix(".csv")) as draft:
        decay_table(found).to_csv(draft, index=False)
    try:
        from rllib_safemarl.evaluation.figures import save_figure
        from rllib_safemarl.evaluation.figures_decay import decay_figure
    except ImportError as error:
        raise SafeMARLError("pictures need matplotlib: pip install 'rllib_safemarl[plot]'.") from error
    save_figure(decay_figure(found, f"Decay of influence over hops: {Path(source).name}"), out)
