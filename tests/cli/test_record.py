"""safemarl record: what a person sees, and what stays on disk."""

import subprocess

import pytest

pytest.importorskip("h5py")

from rllib_safemarl.data import read_dataset
from tests.cli.runs import command, environment, run_here

RECIPE = """
env: safemarl/crossing
env_config: {n_agents: 2, time_limit: 20}
episodes: 20
seed: 3
behaviours:
  careful: {scripted: yielding, share: 3}
  random: {scripted: random}
"""


def run(*arguments, status=0):
    done = run_here("record", *arguments, name="safemarl")
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_becomes_a_dataset_with_card_and_picture(recipe):
    lines = run(recipe, "--any-safety").splitlines()
    assert lines[0].endswith(f"recording {recipe}")
    assert lines[1] == "recording 20 episodes"
    assert lines[2].startswith("20 episodes, 400 steps in ")
    assert [line.split()[:2] for line in lines[4:8]] == [
        ["behaviour", "episodes"],
        ["careful", "15"],
        ["random", "5"],
        ["all", "20"],
    ]
    assert lines[-1] == f"{recipe.with_suffix('.h5')}: 20 episodes, 400 rows"
    assert sorted(path.suffix for path in recipe.parent.iterdir()) == [".h5", ".md", ".png", ".yaml"]
    data = read_dataset(recipe.with_suffix(".h5"), verify_hash=True)
    assert data.provenance.command == f"safemarl record {recipe} --any-safety"
    assert data.provenance.behaviours == ("careful", "random")
    assert "is recorded already, by this very recipe" in run(recipe)


def test_flags_go_before_the_recipe(recipe, tmp_path):
    out = tmp_path / "other.parquet"
    run(recipe, "--any-safety", "--out", out, "--episodes", 7, "--seed", 4, "--set", "env_config.n_agents=3")
    data = read_dataset(out)
    assert (data.num_episodes, data.schema.num_agents, data.provenance.seed) == (7, 3, 4)
    flags = "--episodes=7 --seed=4 --set env_config.n_agents=3"
    assert data.provenance.command == f"safemarl record {recipe} {flags} --out {out} --any-safety"


def test_an_environment_has_its_usual_behaviours(tmp_path):
    said = run("safemarl/crossing", "--out", tmp_path / "x.h5", "--episodes", 60, "--seed", 0)
    assert [
        name for name in ("careful", "disturbed", "mixed", "reckless", "random") if name not in said
    ] == []
    data = read_dataset(tmp_path / "x.h5")
    assert (data.num_episodes, data.schema.num_agents, data.schema.time_limit) == (60, 4, 50)


def test_too_safe_a_dataset_is_refused_and_written_on_demand(recipe):
    safe = RECIPE.replace("  random: {scripted: random}\n", "")
    recipe.write_text(safe)
    said = run(recipe, status=1)
    error = said.splitlines()[-1]
    assert error.startswith("error: 0.0 % of the episodes are unsafe, not 5 to 40 %: ")
    assert not recipe.with_suffix(".h5").exists()
    said = run(recipe, "--any-safety")
    assert "20 of 20 episodes are there already" in said
    assert "recording 20 episodes" not in said
    assert "note: For learning safety: 0.0 % of the episodes are unsafe" in said
    assert "0.0 % of the episodes are unsafe" in recipe.with_suffix(".md").read_text(encoding="utf-8")


def test_another_recipe_needs_leave_to_overwrite(recipe):
    run(recipe, "--any-safety")
    assert "is there already, of another recipe" in run(recipe, "--seed", 9, status=1)
    run(recipe, "--seed", 9, "--any-safety", "--overwrite")
    assert read_dataset(recipe.with_suffix(".h5")).provenance.seed == 9
    assert run(recipe, "--seed", 9, "--any-safety", "--overwrite").count("recording 20 episodes") == 1


def test_ctrl_c_says_that_the_same_command_goes_on(recipe, monkeypatch):
    from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder

    original = EpisodeRecorder._record

    def stop(self, episode):
        if episode == 8:
            raise KeyboardInterrupt
        return original(self, episode)

    monkeypatch.setattr(EpisodeRecorder, "_record", stop)
    assert "stopped; the same command goes on from here" in run(recipe, "--any-safety", status=130)
    monkeypatch.undo()
    said = run(recipe, "--any-safety")
    assert "8 of 20 episodes are there already" in said
    assert "recording 12 episodes" in said
    interrupted = read_dataset(recipe.with_suffix(".h5")).content_hash
    run(recipe, "--any-safety", "--overwrite")
    assert read_dataset(recipe.with_suffix(".h5")).content_hash == interrupted


def test_parts_of_another_recipe_are_not_mixed_in(recipe, monkeypatch):
    run(recipe, status=1)
    assert recipe.with_suffix(".h5.parts").is_dir()
    said = run(recipe, "--seed", 8, "--any-safety", status=1)
    assert "holds parts of another recipe; --overwrite throws them away" in said
    run(recipe, "--seed", 8, "--any-safety", "--overwrite")
    assert not recipe.with_suffix(".h5.parts").exists()


def test_misuse_is_one_line(recipe, tmp_path):
    text = tmp_path / "text.yaml"
    text.write_text("- 1")
    for arguments, message in (
        ([tmp_path / "none.yaml"], "there is no file"),
        ([text], "must hold a mapping with env"),
        (["safemarl/crosing"], "Did you mean 'safemarl/crossing'?"),
        ([recipe, "--set", "episods=3"], "Did you mean 'episodes'?"),
        ([recipe, "--out", tmp_path / "x.csv"], "record into a file .h5, .hdf5 or .parquet"),
    ):
        error = run(*arguments, status=1).splitlines()[1:]
        assert len(error) == 1
        assert error[0].startswith("error: ")
        assert message in error[0]


def test_processes_on_ray_and_none_without(recipe, tmp_path):
    """Two commands in processes of their own: with Ray, and without even importing it."""
    here, there = tmp_path / "here.h5", tmp_path / "there.h5"
    flags = ["record", recipe, "--any-safety", "--out"]
    plain = command(*flags, here, name="safemarl")
    plain[2] = f"import sys; sys.modules['ray'] = None; {plain[2]}"
    subprocess.run(plain, check=True, env=environment(), capture_output=True, timeout=120)
    done = subprocess.run(
        command(*flags, there, "--num-env-runners", 2, name="safemarl"),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Ray started" in done.stdout
    assert read_dataset(here).content_hash == read_dataset(there).content_hash
