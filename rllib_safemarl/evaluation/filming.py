"""Episodes of a trained team, drawn: as they go, with what is planned, or one moment of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import Observation
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.frames import drawn, episode_moments, planned_futures, planning_actors
from rllib_safemarl.rollout.trained_runner import TrainedEnvRunner

Picture = NDArray[np.uint8]
STILL_SCALE = 2.0
"""A picture of one moment has so many pixels per pixel of a moving one, along each side."""


class Film:
    """Draws the episodes that follow from a seed; all methods see the same ones.

    Args:
        runner: of one copy.
        seed: of the first episode and of sampled actions.
        explore: sample actions, or take the mode.
        plans: draw what agents plan; ``None`` does so where policies plan and the environment can show it.

    Raises:
        SafeMARLError: plans are asked for and cannot be drawn.
    """

    def __init__(
        self, runner: TrainedEnvRunner, seed: int, explore: bool = False, plans: bool | None = None
    ) -> None:
        self._runner, self._seed, self._explore = runner, seed, explore
        possible = bool(planning_actors(runner.env, runner.actors))
        if plans and not possible:
            raise SafeMARLError(
                "there are no plans to draw: the policies do not plan, or the environment does not tell "
                "which features of observations are positions (VectorEnv.position_features)."
            )
        self.shows_plans = possible if plans is None else plans

    def frames(self, num_episodes: int = 1) -> Iterator[Picture]:
        """Every moment of some episodes."""
        return (self._draw(moment, 1.0) for moment in self._moments(num_episodes))

    def moment(self, step: int) -> Picture:
        """The moment after so many steps of the first episode, larger where the environment can.

        Raises:
            SafeMARLError: the episode is shorter.
        """
        length = 0
        for moment in self._moments(1):
            if length == step:
                return self._draw(moment, STILL_SCALE)
            # Recent paths are only remembered of copies that somebody looks at.
            drawn(self._runner.env.render(0))
            length += 1
        raise SafeMARLError(f"the episode has {length} steps, so that there is no step {step} (from 0).")

    def tightest_moment(self) -> int:
        """The step of the first episode worth a look.

        Where plans are drawn, that at which a plan that is followed comes closest to danger, by its least h̃;
        else that at which two agents are closest to each other.
        """
        gaps = [self._tightness(moment) for moment in self._moments(1)]
        return int(np.argmin(gaps)) if np.isfinite(gaps).any() else len(gaps) // 2

    def _tightness(self, moment: Observation) -> float:
        if not self.shows_plans:
            return _closest(moment.positions)
        futures = planned_futures(self._runner.env, self._runner.actors, moment)
        planning = futures.chosen >= 0
        return float(np.nanmin(futures.barrier[planning, futures.chosen[planning]]))

    def close(self) -> None:
        """Release the environment."""
        self._runner.stop()

    def _moments(self, num_episodes: int) -> Iterator[Observation]:
        runner, explore = self._runner, self._explore
        runner.begin(self._seed)
        return episode_moments(
            runner.env,
            lambda now, active: runner.act(now, active, explore),
            self._seed,
            num_episodes,
            runner.restart,
        )

    def _draw(self, moment: Observation, scale: float) -> Picture:
        env = self._runner.env
        if not self.shows_plans:
            return drawn(env.render(0))
        picture = env.render_futures(planned_futures(env, self._runner.actors, moment), 0, scale)
        return drawn(env.render(0) if picture is None else picture)


def _closest(positions: NDArray[np.float32] | None) -> float:
    """Least distance of two agents; infinite without positions or others."""
    if positions is None or positions.shape[1] < 2:
        return np.inf
    gaps = np.linalg.norm(positions[0][:, None] - positions[0], axis=-1)
    return float(gaps[np.triu_indices(len(gaps), 1)].min())
