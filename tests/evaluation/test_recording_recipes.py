"""Bad recipes and targets: one line each, before anything is recorded."""

import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording import record
from rllib_safemarl.evaluation.recording_reader import read_recipe
from tests.evaluation.recordings import SHIPPED, TINY, TOY, recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"enviroment": 1}, "has no key 'enviroment'"),
        ({"episods": 1}, "has no key 'episods'. Did you mean 'episodes'?"),
        ({"env": None}, "env must name an environment"),
        ({"env": "safemarl/crosing"}, "Did you mean 'safemarl/crossing'?"),
        ({"env": "nowhere.py:make"}, "there is no file 'nowhere.py'"),
        ({"env": "tests.evaluation.recording_toy:mak"}, "has no function 'mak'"),
        ({"env": TOY, "env_config": {"height": 1}}, "failed: TypeError"),
        ({"env_config": {"n_agent": 4}}, "no env_config key 'n_agent'"),
        ({"env_config": [4]}, "env_config must be a mapping"),
        ({"episodes": 0}, "episodes must be a whole number of at least 1, not 0"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"behaviours": {}, "env": TOY}, "behaviours must say who acts"),
        ({"behaviours": {"a": {"share": 1}}}, "behaviour 'a' needs either scripted, a controller, or policy"),
        ({"behaviours": {"a": {"scripted": "x", "policy": "y"}}}, "needs either scripted"),
        ({"behaviours": {"a": {"scripted": "yieldin"}}}, "controller 'yieldin'. Did you mean 'yielding'?"),
        ({"behaviours": {"a": {"scripted": "yielding", "nois": 1}}}, "key 'nois'. Did you mean 'noise'?"),
        ({"behaviours": {"a": {"scripted": "yielding", "noise": -1}}}, "noise must be a number of at least"),
        ({"behaviours": {"a": {"scripted": "yielding", "noise": [1, 0]}}}, "or [lowest, highest]"),
        ({"behaviours": {"a": {"scripted": "yielding", "share": 0}}}, "share must be above 0"),
        ({"behaviours": {"a": {"scripted": "yielding", "explore": True}}}, "explore must be true or false"),
        ({"behaviours": {"a": {"scripted": "yielding", "settings": {"gian": 1}}}}, "Did you mean 'gain'?"),
        ({"behaviours": {"a": {"scripted": "random", "settings": {"gain": 1}}}}, "has no setting 'gain'"),
        ({"behaviours": {"a": {"scripted": {"yielding": 0.5, "straight": 0.4}}}}, "sum to 0.9, not to 1"),
        ({"behaviours": {"a": {"scripted": {"yielding": 0.5, "no": 0.5}}}}, "has no controller 'no'"),
        ({"behaviours": {"a": {"policy": "nowhere/*"}}}, "nothing fits policy 'nowhere/*'"),
        ({"behaviours": {"a": {"policy": "."}}}, "holds no policy"),
        ({"behaviours": {"a": {"policy": "policies/limit_2", "settings": {"gain": 1}}}}, "not of a policy"),
        (
            {"behaviours": {"a": {"policy": "policies/limit_2"}}, "env_config": {"n_agents": 3}},
            "behaviour 'a': its policy was trained with other agents",
        ),
        ({"behaviours": {"a": {"policy": "policies/limit_2"}}, "env": TOY, "env_config": {}}, "other agents"),
        ({"behaviours": {"a": {"scripted": "random", "noise": 2}}, "env": TOY, "env_config": {}}, "at most"),
        ({"behaviours": {"a 1": {"scripted": "random"}, "a": {"policy": "policies/*"}}}, "two behaviours"),
        ({"grid": {"cells": 3}}, "grid has no key 'cells'"),
        ({"grid": {"cost_cells": 0}}, "grid.cost_cells must be a whole number of at least 1"),
        ({"observation_bits": 23}, "observation_bits must be a whole number from 1 to 22, not 23"),
        ({"cost_limits": {"speed": 1}}, "has no cost 'speed'; it has: separation"),
        ({"cost_limits": ["low"]}, "cost_limits must be a number"),
    ],
)  # fmt: skip
def test_bad_recipes_are_one_line(change, message, tmp_path):
    document = {"env": "safemarl/crossing", "env_config": TINY, "behaviours": {"a": {"scripted": "random"}}}
    with pytest.raises(SafeMARLError) as error:
        record(read_recipe({**document, **change}, SHIPPED, "x.yaml"), tmp_path / "x.h5", "command")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_targets_are_checked_before_anything_is_recorded(tmp_path):
    made = recipe({"a": {"scripted": "random"}}, episodes=1)
    with pytest.raises(SafeMARLError, match="record into a file"):
        record(made, tmp_path / "x.txt", "command")
    (tmp_path / "mine.parts").mkdir()
    (tmp_path / "mine.parts" / "thesis.tex").write_text("x")
    with pytest.raises(SafeMARLError, match="holds no parts of a recording"):
        record(made, tmp_path / "mine", "command", overwrite=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("x")
    with pytest.raises(SafeMARLError, match="a folder without a dataset"):
        record(made, tmp_path / "folder", "command", any_safety=True, overwrite=True)
    assert (tmp_path / "folder" / "thesis.tex").exists()
