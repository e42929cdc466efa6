"""Films of trained teams: where plans lead, which moments are drawn, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.filming import Film
from rllib_safemarl.evaluation.frames import planned_futures
from tests.policies.planners import trained_team


def runner_of(trained, **changes):
    return trained.runner({"explore": False, "seed": 0, "num_envs_per_env_runner": 1, **changes}, 1)


_PAIRS = ((0, 1), (0, 2), (1, 2))


@pytest.fixture(scope="module")
def planners():
    trained, _ = trained_team("DIFFUSION_CBF", n_plans=3)
    return trained


def test_plans_begin_where_agents_are_and_lead_where_their_features_do(planners):
    runner = runner_of(planners, num_envs_per_env_runner=2)
    env = runner.env
    now = env.reset(3)
    runner.act(now, env.active(), False)
    (actor,) = runner.actors
    decision, planner = actor.policy.decision, actor.policy.planner
    for copy in range(2):
        futures = planned_futures(env, runner.actors, now, copy)
        assert futures.positions.shape == (3, 3, 5, 2) and futures.barrier.shape == (3, 3, 5)
        for agent in range(3):
            row = copy * 3 + agent
            # Features 4 and 5 are the place relative to a fixed point, in metres.
            place = decision.plans[row, :, :, 4:6] * planner.deviation[4:6] + planner.mean[4:6]
            centre = env.positions[copy, agent] - now.values["robot"][copy, agent, 4:6]
            np.testing.assert_allclose(futures.positions[agent], place.numpy() + centre, atol=1e-5)
            np.testing.assert_allclose(
                futures.positions[agent, :, 0], [env.positions[copy, agent]] * 3, atol=1e-6
            )
            np.testing.assert_array_equal(futures.barrier[agent], decision.barrier[row])
            assert futures.chosen[agent] == decision.chosen[row]
    runner.stop()


def test_films_show_the_same_episodes_with_and_without_plans(planners):
    film = Film(runner_of(planners), seed=1)
    assert film.shows_plans
    first, again = list(film.frames()), list(film.frames())
    assert len(first) == 9 and all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    plain = list(Film(runner_of(planners), seed=1, plans=False).frames())
    assert len(plain) == 9 and not any(np.array_equal(a, b) for a, b in zip(first, plain, strict=True))
    still = film.moment(4)
    assert still.shape[0] == 2 * first[4].shape[0]
    # Apart from its size it is the same picture, recent paths included.
    blurred = still.astype(int).reshape(*first[4].shape[:1], 2, -1, 2, 3).mean((1, 3))
    assert np.abs(blurred - first[4]).mean() < 2.0 < np.abs(blurred - first[0]).mean()
    with pytest.raises(SafeMARLError, match="the episode has 9 steps, so that there is no step 9"):
        film.moment(9)
    film.close()


def test_the_tightest_moment_is_that_of_the_least_barrier_along_followed_plans(planners):
    runner = runner_of(planners)
    film = Film(runner, seed=1)
    (actor,) = runner.actors
    asked, decide = 0, actor.policy.decide

    def scripted(views):
        nonlocal asked
        decision = decide(views)
        decision.chosen[:] = 1
        decision.barrier[:] = 0.5
        # A plan that is not followed does not count.
        decision.barrier[:, 0] = -0.9
        if asked == 6:
            decision.barrier[2, 1, 3] = -0.1
        asked += 1
        return decision

    actor.policy.decide = scripted
    assert film.tightest_moment() == 6
    film.close()


def test_without_plans_the_tightest_moment_is_that_of_agents_closest_to_each_other(planners):
    film = Film(runner_of(planners), seed=1, plans=False)
    gaps = []
    for now in film._moments(1):
        gaps.append(min(np.linalg.norm(now.positions[0, i] - now.positions[0, j]) for i, j in _PAIRS))
    assert film.tightest_moment() == int(np.argmin(gaps))
    film.close()


def test_unseen_team_sizes_are_drawn(planners):
    film = Film(runner_of(planners, env_config={"n_agents": 5, "time_limit": 2, "layout": "ring"}), seed=0)
    assert len(list(film.frames())) == 2
    film.close()


def test_plans_that_cannot_be_shown_are_refused(planners, monkeypatch):
    runner = runner_of(planners)
    monkeypatch.setattr(type(runner.env), "position_features", lambda self, kind: ())
    with pytest.raises(SafeMARLError, match="there are no plans to draw"):
        Film(runner, seed=0, plans=True)
    assert not Film(runner, seed=0).shows_plans
    runner.stop()


def test_agents_that_do_not_plan_have_no_futures(planners):
    runner = runner_of(planners)
    now = runner.env.reset(0)
    runner.act(now, runner.env.active(), False)
    (actor,) = runner.actors
    part = replace(actor.groups[0], agents=np.array([0, 2]), rows=np.array([0, 2]))
    fewer = type(actor)(part, actor.policy, True, False)
    with torch.inference_mode():
        views = runner._views(now.values, runner.env.active(), now.positions, now.edges)
        fewer.act(views, False, torch.Generator())
    futures = planned_futures(runner.env, [fewer], now)
    assert np.isnan(futures.positions[1]).all() and futures.chosen.tolist()[1] == -1
    assert np.isfinite(futures.positions[[0, 2]]).all()
    runner.stop()
