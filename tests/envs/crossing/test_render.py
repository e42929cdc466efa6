from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from rllib_safemarl.envs.animation import write_animation, write_picture
from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.crossing.render import _GROUND, _extent, draw_paths, draw_scene
from rllib_safemarl.envs.futures import Futures
from rllib_safemarl.errors import SafeMARLError

RED = (229, 38, 43)


def _pixel(env, picture, place):
    """Colour at a place, metres."""
    height, width, _ = picture.shape
    low, high = _extent(env)
    x, y = (np.asarray(place) - low) / (high - low)
    return picture[round((1 - y) * (height - 1)), round(x * (width - 1))].astype(int)


def _reddish(picture):
    r, g, b = picture.astype(int).reshape(-1, 3).T
    return np.sum((r > 225) & (g > 100) & (g < 190) & (np.abs(g - b) < 20))


def test_a_scene_shows_robots_where_they_are_and_danger_in_red():
    env = CrossingVectorEnv(2, n_agents=2)
    env.reset(0)
    env.positions[1] = [[-0.5, 0.5], [0.5, 0.5]]
    calm = draw_scene(env, 1)
    assert calm.dtype == np.uint8 and calm.ndim == 3 and calm.shape[2] == 3
    ground = np.array([int(_GROUND[k : k + 2], 16) for k in (1, 3, 5)])
    blue, orange = (_pixel(env, calm, place - np.array([0.07, 0.0])) for place in env.positions[1])
    assert blue[2] > 180 > blue[0] and orange[0] > 200 > orange[2]
    np.testing.assert_allclose(_pixel(env, calm, (0.0, -0.5)), ground, atol=2)
    assert _reddish(calm) == 0
    env.velocities[1] = [[1.0, 0.0], [-1.0, 0.0]]
    env.positions[1] = [[-0.3, 0.5], [0.3, 0.5]]
    assert _reddish(draw_scene(env, 1)) > 500


def test_walls_stand_with_a_door():
    env = CrossingVectorEnv(1, n_agents=2, layout="doorway")
    env.reset(0)
    picture = draw_scene(env)
    middle = picture[:, picture.shape[1] // 2].astype(int).sum(1)
    assert (middle[:50] < 300).all() and (middle[-50:] < 300).all()
    assert (middle[len(middle) // 2 - 10 : len(middle) // 2 + 10] > 700).all()


@pytest.mark.parametrize(("layout", "agents"), [("open", 30), ("doorway", 9), ("ring", 12)])
def test_pictures_of_one_episode_have_one_size(layout, agents):
    env = CrossingVectorEnv(1, n_agents=agents, layout=layout, time_limit=4)
    env.reset(0)
    pictures = []
    for _ in range(6):
        pictures.append(env.render())
        env.step({"robot": env.goals - env.positions})
    assert len({picture.shape for picture in pictures}) == 1 and max(pictures[0].shape) >= 500
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(pictures))


def test_paths_fade_behind_robots_and_end_with_the_episode():
    env = CrossingVectorEnv(2, n_agents=2, time_limit=10)
    env.reset(0)
    assert not env._trails
    env.render(1)
    for _ in range(9):
        env.step({"robot": env.goals - env.positions})
    assert len(env._trails[1]) == 9 and 0 not in env._trails
    with_trail, without = env.render(1), draw_scene(env, 1)
    assert not np.array_equal(with_trail, without)
    env.step({"robot": env.goals - env.positions})
    assert len(env._trails[1]) == 0


def test_paths_of_an_episode_mark_danger():
    env = CrossingVectorEnv(1, n_agents=2)
    env.reset(0)
    positions = np.linspace([[-1.0, 0.0], [1.0, 0.2]], [[1.0, 0.0], [-1.0, 0.2]], 30)
    margin = np.ones((30, 2))
    clean = draw_paths(env, positions, env.goals[0], margin)
    margin[12:18] = -0.1
    marked = draw_paths(env, positions, env.goals[0], margin)
    is_red = [(np.abs(p.astype(int) - RED).sum(-1) < 30).sum() for p in (clean, marked)]
    assert is_red[0] == 0 < is_red[1]


def test_an_animation_is_written_whole_and_only_where_asked(tmp_path):
    frames = [np.full((20, 30, 3), 20 * k, np.uint8) for k in range(4)]
    frames[2][5:9, 5:9] = (255, 0, 0)
    write_animation(frames, tmp_path / "episode.gif", frames_per_second=20)
    assert [path.name for path in tmp_path.iterdir()] == ["episode.gif"]
    with Image.open(tmp_path / "episode.gif") as gif:
        assert gif.n_frames == 4 and gif.size == (30, 20) and gif.info["duration"] == 50
        gif.seek(2)
        seen = np.asarray(gif.convert("RGB")).astype(int)
    np.testing.assert_allclose(seen[6, 6], [255, 0, 0], atol=8)
    np.testing.assert_allclose(seen[0, 0], [40, 40, 40], atol=8)
    with pytest.raises(SafeMARLError, match="no frames"):
        write_animation([], tmp_path / "nothing.gif")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    env = CrossingVectorEnv(1)
    env.reset(0)
    with pytest.raises(SafeMARLError, match=r"pip install 'rllib_safemarl\[plot\]'"):
        env.render()


def test_plans_are_coloured_by_the_barrier_and_those_followed_are_thicker():
    env = CrossingVectorEnv(1, n_agents=2)
    env.reset(0)
    env.positions[0] = [[-0.5, 0.5], [-0.5, -0.5]]
    # Straight ahead by 0.9 m; the second plan of each runs beside the first.
    x = np.linspace(-0.5, 0.4, 7)
    positions = np.stack([np.stack([np.stack([x, 0 * x + y], -1)] * 2) for y in (0.5, -0.5)])
    positions[:, 1, :, 1] += 0.2
    barrier = np.stack([np.full((2, 7), 0.6), np.full((2, 7), -0.6)])
    futures = Futures(positions, barrier, np.array([0, 0]))
    picture = env.render_futures(futures, 0)
    safe, unsafe = _pixel(env, picture, (0.2, 0.5)), _pixel(env, picture, (0.2, -0.5))
    np.testing.assert_allclose(safe, (8, 69, 138), atol=3)
    np.testing.assert_allclose(unsafe, (165, 0, 38), atol=3)
    assert picture.shape == env.render(0).shape
    column = np.abs(picture.astype(int) - safe).max(-1) < 40
    height, width, _ = picture.shape
    low, high = _extent(env)
    at = round((0.2 - low[0]) / (high - low)[0] * (width - 1))
    middle = round((1.0 - (0.6 - low[1]) / (high - low)[1]) * (height - 1))
    beside, followed = column[:middle, at].sum(), column[middle : height // 2, at].sum()
    assert 0 < beside < 0.7 * followed


def test_plans_change_colour_where_they_stop_being_accepted_and_may_be_missing():
    env = CrossingVectorEnv(1, n_agents=2)
    env.reset(0)
    env.positions[0] = [[-0.5, 0.5], [-0.5, -0.5]]
    x = np.linspace(-0.5, 0.5, 11)
    positions = np.full((2, 1, 11, 2), np.nan)
    positions[0, 0] = np.stack([x, 0 * x + 0.5], -1)
    barrier = np.full((2, 1, 11), np.nan)
    barrier[0, 0] = np.where(x < 0.01, 0.01, -0.01)
    picture = env.render_futures(Futures(positions, barrier, np.array([0, -1])), 0)
    before, after = _pixel(env, picture, (-0.15, 0.5)), _pixel(env, picture, (0.25, 0.5))
    assert before[2] > before[0] + 50 and after[0] > after[2] + 50
    larger = env.render_futures(Futures(positions, barrier, np.array([0, -1])), 0, scale=2.0)
    assert larger.shape[:2] == tuple(2 * side for side in picture.shape[:2])


def test_a_single_picture_appears_as_it_is(tmp_path):
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    write_picture(picture, tmp_path / "one.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "one.png")), picture)
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]
