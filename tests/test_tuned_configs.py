"""Every shipped file is what `rllib train file` accepts and fits two CPUs."""

from pathlib import Path

import pytest

from rllib_safemarl.cli.checking import check_experiment, grid_points, shortage
from rllib_safemarl.cli.experiments import read_experiments
from rllib_safemarl.cli.flags import TrainFlags

ROOT = Path(__file__).parents[1] / "tuned_configs"
FILES = [file for file in sorted(ROOT.rglob("*.yaml")) if not {"suites", "data"} & set(file.parts)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_shipped_configs_are_valid_and_fit_two_cpus(file):
    for experiment in read_experiments(file, TrainFlags()):
        for env, package in (("safemarl/mujoco", "mujoco"), ("safemarl/driving", "highway_env")):
            if experiment.config["env"] == env:
                pytest.importorskip(package)
        check_experiment(experiment, build_env=True)
        for point in grid_points(experiment.config):
            assert shortage(experiment.run, point, [{"CPU": 2.0}]) is None
        assert experiment.stop


def test_there_are_files_to_check():
    assert ROOT / "scal_mappo_l.yaml" in FILES
