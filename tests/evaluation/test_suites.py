"""Suites: what they expand to, what changes a trial, and what is refused."""

import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.suite_parts import merged
from rllib_safemarl.evaluation.suite_trials import EVALUATION_SEED, trial_names
from rllib_safemarl.evaluation.suites import EPISODES, read_suite

BASE = {
    "run": "SCAL_MAPPO_L",
    "env": "safemarl/crossing",
    "stop": {"training_iteration": 9},
    "config": {"seed": 7, "kappa": 1, "cost_limit": 1.0, "env_config": {"n_agents": 4, "time_limit": 50}},
}


def suite(budget=None, choices=None, **changes):
    document = {"base": BASE, "rows": {"ours": None}, **changes}
    return read_suite("demo", {key: v for key, v in document.items() if v is not ...}, None, budget, choices)


def test_every_row_on_every_environment_under_every_seed_is_a_trial():
    read = suite(
        rows={"ours": {}, "theirs": {"run": "MAPPO_L"}},
        controllers=["random"],
        environments={"open": {}, "ring": {"env_config": {"layout": "ring"}}},
        seeds=[3, 5],
    )
    assert read.rows == ("ours", "theirs", "random")
    assert [(t.row, t.environment, t.seed) for t in read.trials] == [
        (row, environment, seed) for row in read.rows for environment in ("open", "ring") for seed in (3, 5)
    ]
    ring = next(t for t in read.trials if (t.row, t.environment, t.seed) == ("theirs", "ring", 5))
    assert (ring.run, ring.env, ring.stop) == ("MAPPO_L", "safemarl/crossing", {"training_iteration": 9})
    assert ring.config == {
        "kappa": 1,
        "cost_limit": 1.0,
        "seed": 5,
        "env_config": {"n_agents": 4, "time_limit": 50, "layout": "ring"},
    }
    seeds = {e.seed for e in read.evaluations if e.trial is ring}
    assert seeds == {EVALUATION_SEED + 5}
    controller = read.trials[-1]
    assert (controller.controller, controller.run, controller.limit) == ("random", None, 1.0)
    assert controller.config["env_config"]["layout"] == "ring"
    assert len({t.folder for t in read.trials}) == len(read.trials)


def test_defaults():
    read = suite()
    assert (read.title, read.seeds, read.episodes, read.environments, read.budget) == (
        "demo",
        (0,),
        EPISODES,
        ("safemarl/crossing",),
        "",
    )
    assert trial_names(read.evaluations) == {read.trials[0].folder: "ours, seed 0"}


def test_rows_override_key_by_key_and_leave_out():
    read = suite(rows={"x": {"without": ["kappa"], "config": {"env_config": {"n_agents": 8}, "lr": 1e-3}}})
    config = read.trials[0].config
    assert config["env_config"] == {"n_agents": 8, "time_limit": 50}
    assert "kappa" not in config and config["lr"] == 1e-3
    assert BASE["config"]["env_config"]["n_agents"] == 4, "the base stays itself"


def test_an_environment_has_settings_of_its_own():
    read = suite(environments={"a": {"config": {"cost_limit": 0.25}}, "b": {}})
    limits = {trial.environment: trial.limit for trial in read.trials}
    assert limits["a"] == 0.25 and limits["b"] == suite().trials[0].limit != 0.25


def test_a_budget_goes_before_rows():
    changes = dict(
        rows={"a": {"stop": {"training_iteration": 99}, "config": {"lr": 1}}, "b": {}},
        seeds=3,
        evaluation_episodes=200,
        budgets={
            "quick": {
                "rows": ["a"],
                "stop": {"training_iteration": 2},
                "seeds": 1,
                "config": {"lr": 2},
                "evaluation_episodes": 5,
            }
        },
    )
    quick, full = suite("quick", **changes), suite(**changes)
    assert (quick.rows, quick.seeds, quick.episodes) == (("a",), (0,), 5)
    assert (quick.trials[0].stop, quick.trials[0].config["lr"]) == ({"training_iteration": 2}, 2)
    assert (len(full.trials), full.episodes, full.trials[0].config["lr"]) == (6, 200, 1)
    assert quick.trials[0].digest != full.trials[0].digest


def test_a_budget_does_not_set_what_a_row_does_without():
    changes = dict(
        rows={"a": {}, "b": {"without": ["kappa"]}, "c": {"without": ["kappa"], "config": {"kappa": 3}}},
        budgets={"quick": {"config": {"kappa": 2}}},
    )
    a, b, c = (trial.config for trial in suite("quick", **changes).trials)
    assert a["kappa"] == c["kappa"] == 2 and "kappa" not in b


def test_the_digest_follows_what_the_result_depends_on():
    def digest(base=BASE, **row):
        return suite(base=base, rows={"x": row}).trials[0].digest

    same = digest()
    assert digest(config={"cost_limit": 1}) == same, "1 and 1.0 are one limit"
    reordered = {**BASE, "config": dict(reversed(BASE["config"].items()))}
    assert digest(reordered) == same
    others = [
        digest(config={"cost_limit": 2.0}),
        digest(config={"env_config": {"n_agents": 5}}),
        digest(run="MAPPO_L"),
        digest(stop={"training_iteration": 8}),
        digest({**BASE, "env": "other"}),
        suite(seeds=[1]).trials[0].digest,
    ]
    assert len({same, *others}) == 7


def test_a_trial_is_evaluated_in_variants_and_unseen_environments():
    read = suite(
        rows={"ours": {"variants": {"calm": {"beta": 0.95}}}, "theirs": {}, "data": {"data": "x.h5"}},
        variants={"bold": {"explore": True}},
        controllers=["random"],
        unseen={"eight": {"env_config": {"n_agents": 8}}, "merge": {"env": "other", "env_config": {"a": 1}}},
        seeds=2,
    )
    assert read.unseen == ("eight", "merge")
    assert [(t.row, t.seed) for t in read.trials] == [
        *((row, seed) for row in ("ours", "theirs") for seed in (0, 1)),
        ("data", 0),
        *(("random", seed) for seed in (0, 1)),
    ]
    of_seed_0 = [(e.trial.row, e.variant, e.environment) for e in read.evaluations if e.trial.seed == 0]
    places = ("safemarl/crossing", "eight", "merge")
    assert of_seed_0 == [
        *(("ours", variant, place) for place in places for variant in ("", "bold", "calm")),
        *(("theirs", variant, place) for place in places for variant in ("", "bold")),
        ("data", "", "safemarl/crossing"),
        *(("random", "", place) for place in places),
    ]
    own, _, calm, eight, *_ = read.evaluations
    assert (own.file, own.is_own, own.changes, own.row) == ("evaluation.npz", True, {}, "ours")
    assert (calm.changes, calm.row, calm.env_config) == ({"beta": 0.95}, "ours, calm", own.env_config)
    assert (eight.env, eight.env_config) == ("safemarl/crossing", {"n_agents": 8, "time_limit": 50})
    merge = next(e for e in read.evaluations if e.environment == "merge")
    assert (merge.env, merge.env_config) == ("other", {"a": 1}), "settings mean nothing elsewhere"
    assert len({(e.trial.folder, e.file) for e in read.evaluations}) == len(read.evaluations)
    data = next(t for t in read.trials if t.data)
    assert (data.data, data.split, data.run, data.limit) == ("x.h5", "all", None, 1.0)


def test_of_several_environments_the_unseen_ones_tell_where_was_trained():
    read = suite(environments={"a": {}, "b": {}}, unseen={"c": {}}, controllers=["random"])
    of_row = [[e.environment for e in read.evaluations if e.trial.row == row] for row in read.rows]
    assert of_row == [["a", "c, trained in a", "b", "c, trained in b"]] * 2


def test_a_budget_may_leave_out_variants_and_unseen_environments():
    changes = dict(
        variants={"x": {}, "y": {}},
        unseen={"c": {}, "d": {}},
        budgets={"quick": {"variants": ["y"], "unseen": []}, "wrong": {"variants": ["z"]}},
    )
    assert [e.variant for e in suite("quick", **changes).evaluations] == ["", "y"]
    with pytest.raises(SafeMARLError, match=r"variants of suite 'demo': there is none called 'z'"):
        suite("wrong", **changes)


def test_a_shield_is_the_trial_of_its_row_with_the_same_environment_and_seed():
    read = suite(
        rows={"ours": {"variants": {"shielded": {"shield": "theirs", "beta": 0.8}}}, "theirs": {"run": "X"}},
        environments={"a": {}, "b": {"env_config": {"n_agents": 8}}},
        seeds=2,
    )
    shielded = [e for e in read.evaluations if e.shield is not None]
    assert [(e.row, e.environment, e.trial.seed) for e in shielded] == [
        ("ours, shielded", place, seed) for place in ("a", "b") for seed in (0, 1)
    ]
    for e in shielded:
        assert (e.shield.row, e.shield.environment, e.shield.seed) == ("theirs", e.environment, e.trial.seed)
        assert e.changes == {"beta": 0.8} and e.trials == (e.trial, e.shield)
    again = suite(rows={"ours": {"variants": {"shielded": {"beta": 0.8}}}}).evaluations[1]
    assert again.file != shielded[0].file, "another shield is another result"


def test_a_tuned_config_is_a_base():
    read = read_suite(
        "demo",
        {"base": "../tuned.yaml", "rows": {"x": {}}},
        {"../tuned.yaml": {"tuned": {**BASE, "num_samples": 3, "checkpoint_freq": 5}}}.__getitem__,
    )
    assert read.trials[0].config["seed"] == 0, "the suite's, not the file's"


def test_merging_copies():
    low = {"a": {"b": 1}, "c": [1]}
    assert merged(low, {"a": {"d": 2}, "c": [2]}) == {"a": {"b": 1, "d": 2}, "c": [2]}
    assert low == {"a": {"b": 1}, "c": [1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row": {}}, "suite 'demo' has no key 'row'. Did you mean 'rows'?"),
        ({"base": ...}, "suite 'demo' has no base"),
        ({"base": 3}, "base of suite 'demo' must be a mapping, and is 3"),
        ({"base": {**BASE, "stopp": 1}}, "base of suite 'demo' has no key 'stopp'. Did you mean 'stop'?"),
        ({"base": {**BASE, "restore": "x"}}, "has no key 'restore'"),
        ({"base": {**BASE, "run": None}}, "row 'ours' of suite 'demo' names no algorithm"),
        ({"base": {**BASE, "stop": {}}}, "row 'ours' of suite 'demo' has no stop"),
        ({"base": {**BASE, "env": None}}, "names none: add env: safemarl/crossing"),
        ({"rows": {}}, "rows of suite 'demo': there are none"),
        (
            {"rows": {"x": {"cofnig": {}}}},
            "row 'x' of suite 'demo' has no key 'cofnig'. Did you mean 'config'?",
        ),
        ({"rows": {"x": {"algorithm": "PPO"}}}, "it is called run"),
        ({"rows": {"x": {"config": {"seed": 1}}}}, "row 'x' of suite 'demo' sets seed"),
        (
            {"rows": {"x": {"without": ["kapa"]}}},
            "'kapa', which the base does not set. Did you mean 'kappa'?",
        ),
        (
            {"rows": {"x": {"config": {"model_config": {"a": {"grid_search": [1]}}}}}},
            "config.model_config.a is a grid_search; make a row of every value",
        ),
        (
            {"environments": {"e": {"cofnig": {}}}},
            "environment 'e' of suite 'demo' has no key 'cofnig'. Did you mean 'config'?",
        ),
        ({"environments": {"e": {"config": {"seed": 1}}}}, "environment 'e' of suite 'demo' sets seed"),
        ({"unseen": {"e": {"config": {}}}}, "unseen environment 'e' has no key 'config'"),
        (
            {"figures": {"outcome": []}},
            "figures of suite 'demo' has no key 'outcome'. Did you mean 'outcomes'?",
        ),
        ({"figures": {"outcomes": "crash"}}, "outcomes of figures of suite 'demo' must be a list of names"),
        (
            {"rows": {"ours": {}, "log": {"data": "d.h5"}}, "figures": {"signals": {"row": "lok"}}},
            "signals of figures of suite 'demo': row 'lok' is no dataset of this suite. Did you mean 'log'?",
        ),
        ({"published": {}}, "published of suite 'demo' must be a list of tables, and is {}"),
        ({"published": [{"title": "T"}]}, "table 1 of published of suite 'demo' has no source; it needs"),
        (
            {"published": [{"title": "T", "source": "s", "columns": ["", "a"], "rows": {"x": [1, 2]}}]},
            "row 'x' of table 1 of published of suite 'demo' must be a list of 1 values",
        ),
        ({"unseen": {"e": {"layout": "ring"}}}, "unseen environment 'e' has no key 'layout'"),
        ({"unseen": {"e": {}}, "environments": {"e": {}}}, "'e' both among its environments and as unseen"),
        (
            {"variants": {"v": {"env_config": {}}}},
            "variant 'v' of row 'ours' of suite 'demo' sets env_config",
        ),
        (
            {"rows": {"ours": {"variants": {"v": {"shield": "our"}}}}},
            "variant 'v' of row 'ours': its shield 'our' is no row that is trained. Did you mean 'ours'?",
        ),
        ({"rows": {"x": {"data": 3}}}, "row 'x' of suite 'demo': data must be the path of a dataset"),
        ({"rows": {"x": {"data": "d.h5", "run": "MABC"}}}, "row 'x' of suite 'demo' has no key 'run'"),
        ({"controllers": "random"}, "must be a list of names"),
        ({"controllers": ["ours"]}, "a row and a controller that are both called 'ours'"),
        ({"seeds": 0}, "seeds of suite 'demo' must be a whole number of at least 1, and is 0"),
        ({"seeds": [1, 1]}, "must be different whole numbers"),
        ({"evaluation_episodes": True}, "evaluation_episodes of suite 'demo' must be a whole number"),
        ({"budgets": {"quick": {"seed": 1}}}, "budget 'quick' of suite 'demo' has no key 'seed'."),
    ],
)
def test_what_does_not_fit_is_said(changes, message):
    with pytest.raises(SafeMARLError) as error:
        suite(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_budget_or_name_in_one_is_said():
    with pytest.raises(SafeMARLError, match=r"no budget 'quik'\. Did you mean 'quick'\? It has: quick\."):
        suite("quik", budgets={"quick": {}})
    with pytest.raises(SafeMARLError, match="It has none"):
        suite("quick")
    with pytest.raises(SafeMARLError, match=r"none called 'our'\. Did you mean 'ours'"):
        suite("quick", budgets={"quick": {"rows": ["our"]}})


def test_a_base_file_holds_one_experiment():
    with pytest.raises(
        SafeMARLError, match=r"base of suite 'demo': two\.yaml must hold exactly one experiment"
    ):
        read_suite("demo", {"base": "two.yaml", "rows": {"x": {}}}, lambda _: {"a": BASE, "b": BASE})
    two = {"base": "two.yaml#b", "rows": {"x": {}}}
    assert read_suite("demo", two, lambda _: {"a": {}, "b": BASE}).trials[0].run == "SCAL_MAPPO_L"
    with pytest.raises(SafeMARLError, match=r"two\.yaml has no 'b'"):
        read_suite("demo", two, lambda _: {"a": BASE, "c": BASE})
