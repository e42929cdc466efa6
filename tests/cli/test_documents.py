"""YAML as people write it, and --set."""

import math

import pytest

from rllib_safemarl.cli.documents import load_yaml, parse_mapping, parse_value, set_dotted
from rllib_safemarl.errors import SafeMARLError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E4", 50000.0),
        ("-2.5e+2", -250.0),
        ("0.001", 0.001),
        ("3", 3),
        ("[64, 64]", [64, 64]),
        (".inf", math.inf),
        ("inf", "inf"),
        ("1e", "1e"),
        ("null", None),
        ("true", True),
        ('{"a": 1e2}', {"a": 100.0}),
        ("{grid_search: [1, 2]}", {"grid_search": [1, 2]}),
    ],
)
def test_values_read_as_yaml_1_2_reads_them(text, value):
    read = parse_value(text, "--set")
    assert read == value
    assert type(read) is type(value)


def test_set_leads_into_nested_mappings_and_leaves_the_rest_alone():
    config = {"lr": 1, "env_config": {"layout": "open"}, "model_config": None}
    set_dotted(config, ("lr=1e-3", "env_config.n_agents=8", "model_config.a.b=x", "tag=a=b"))
    assert config == {
        "lr": 0.001,
        "env_config": {"layout": "open", "n_agents": 8},
        "model_config": {"a": {"b": "x"}},
        "tag": "a=b",
    }


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lr", "must read key=value"),
        ("=3", "must read key=value"),
        ("lr.a=3", "lr is 1, no mapping"),
        ("lr=[1", "--set lr:.*not valid YAML"),
    ],
)
def test_bad_assignments_are_refused(assignment, message):
    with pytest.raises(SafeMARLError, match=message):
        set_dotted({"lr": 1}, (assignment,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2", r"not valid YAML: .*\(line \d, column \d\)"),
        ("a: 1\nb: {c: 1, c: 2}", "'c' is given twice .line 2"),
    ],
)
def test_malformed_files_are_named_with_the_line(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(SafeMARLError, match=message) as caught:
        load_yaml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(SafeMARLError, match=r"there is no file .*none\.yaml"):
        load_yaml(tmp_path / "none.yaml")


def test_merged_mappings_are_no_duplicates(tmp_path):
    file = tmp_path / "merged.yaml"
    file.write_text("base: &base {lr: 1}\nother: {<<: *base, lr: 2}\n")
    assert load_yaml(file)["other"] == {"lr": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "must be a mapping, such as '{\"lr\": 1}'"),
        ("{lr:3}", "lacks a space after the colon of 'lr:3'"),
    ],
)
def test_what_is_no_mapping_is_refused_with_the_mend(text, message):
    with pytest.raises(SafeMARLError, match=message):
        parse_mapping(text, "--stop", example="lr")
