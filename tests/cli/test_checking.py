"""Checks on the driver before anything is started; no cluster is needed."""

import pytest
import ray

from rllib_safemarl.cli.checking import check_experiment, grid_points, shortage
from rllib_safemarl.cli.experiments import Experiment
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.ray_session import check_address, start_ray
from rllib_safemarl.cli.training import make_scheduler
from rllib_safemarl.errors import SafeMARLError

CONFIG = {"env": "safemarl/crossing", "cost_limit": 1.0}


def experiment(run="SCAL_MAPPO_L", **config):
    return Experiment("mine", run, {**CONFIG, **config})


def test_a_good_experiment_yields_every_point_of_its_grid():
    import rllib_safemarl.algorithms  # noqa: F401

    points = check_experiment(
        experiment(kappa={"grid_search": [1, 2]}, env_config={"n_agents": {"grid_search": [2, 3, 4]}}), True
    )
    assert [(p["kappa"], p["env_config"]["n_agents"]) for p in points] == [
        (kappa, agents) for kappa in (1, 2) for agents in (2, 3, 4)
    ]


def test_what_is_sampled_at_random_stands_at_a_sample():
    from ray import tune

    (point,) = grid_points({"lr": tune.uniform(1.0, 2.0), "layers": [tune.choice([3])]})
    assert 1.0 <= point["lr"] <= 2.0
    assert point["layers"] == [3]


def test_names_that_ray_forgot_with_its_session_are_known(forgotten_names):
    assert check_experiment(experiment(), False)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (experiment(run="SCAL_MAPO_L"), "there is no algorithm 'SCAL_MAPO_L'. Did you mean 'SCAL_MAPPO_L'?"),
        (experiment(env="safemarl/crosing"), "Did you mean 'safemarl/crossing'?"),
        (experiment(kapa=1), "no setting 'kapa'. Did you mean 'kappa'?"),
        (experiment(kappa={"grid_search": [1, -2]}), "kappa=-2 does not fit"),
        (experiment(kappa={"grid_search": 3}), "grid_search of kappa must be a list"),
        (experiment(env_config={"n_agent": 3}), "Did you mean 'n_agents'?"),
        (experiment(lr="fast"), "config of experiment 'mine' does not fit SCAL_MAPPO_L: "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(bad, message):
    with pytest.raises(SafeMARLError) as caught:
        check_experiment(bad, True)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stock_algorithms_and_environments_pass():
    assert check_experiment(Experiment("stock", "PPO", {"env": "CartPole-v1", "num_env_runners": 0}), True)


@pytest.mark.parametrize(
    ("config", "nodes", "message"),
    [
        ({"num_env_runners": 0}, [{"CPU": 1.0}], None),
        ({"num_env_runners": 1}, [{"CPU": 2.0}], None),
        ({"num_env_runners": 1}, [{"CPU": 1.0}, {"CPU": 1.0}], None),
        (
            {"num_env_runners": 4},
            [{"CPU": 2.0}],
            "a trial asks for 5 CPUs and the cluster has 2: lower num_env_runners (4)",
        ),
        (
            {"num_env_runners": 1, "num_cpus_per_env_runner": 3},
            [{"CPU": 2.0}, {"CPU": 2.0}],
            "one process of a trial asks for 3 CPUs and the largest node has 2",
        ),
        (
            {"num_learners": 1, "num_gpus_per_learner": 1},
            [{"CPU": 8.0}],
            "a trial asks for 1 GPUs and the cluster has 0: lower num_learners (1) or num_gpus_per_learner",
        ),
    ],
)
def test_a_trial_that_the_cluster_cannot_hold_is_refused(config, nodes, message):
    import rllib_safemarl.algorithms  # noqa: F401

    lacking = shortage("SCAL_MAPPO_L", {**CONFIG, **config}, nodes)
    if message is None:
        assert lacking is None
    else:
        assert message in lacking


def test_schedulers_are_checked():
    pbt = '{"metric": "m", "mode": "max", "hyperparam_mutations": {"lr": [1]}}'
    assert make_scheduler(TrainFlags()).__class__.__name__ == "FIFOScheduler"
    assert make_scheduler(TrainFlags(scheduler="PBT", scheduler_config=pbt))
    with pytest.raises(SafeMARLError, match=r"no scheduler 'hyperbund'\. Did you mean 'hyperband'"):
        make_scheduler(TrainFlags(scheduler="hyperbund"))
    with pytest.raises(SafeMARLError, match=r"has no argument 'metrc'\. Did you mean 'metric'"):
        make_scheduler(TrainFlags(scheduler="hyperband", scheduler_config="{metrc: x}"))


def test_an_address_where_nothing_listens_is_refused_at_once():
    with pytest.raises(SafeMARLError, match=r"no Ray cluster answers at 127.0.0.1:1"):
        check_address("127.0.0.1:1")
    check_address("auto")


def test_a_ray_that_does_not_start_is_one_line(monkeypatch):
    def slow(**settings):
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(SafeMARLError, match=r"Ray cannot be started .*: The current node timed") as caught:
        start_ray(TrainFlags(ray_num_cpus=1))
    assert "\n" not in str(caught.value)


def test_what_nodes_are_to_have_goes_to_ray(monkeypatch):
    given = {}

    def refuse(**settings):
        given.update(settings)
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(ray, "init", refuse)
    flags = TrainFlags(ray_address="auto", ray_runtime_env="{py_modules: [mine]}")
    with pytest.raises(SafeMARLError, match="Ray cannot be started at auto: no network"):
        start_ray(flags)
    assert given["runtime_env"] == {"py_modules": ["mine"]} and given["address"] == "auto"
    with pytest.raises(SafeMARLError, match="--ray-runtime-env '1' must be a mapping"):
        TrainFlags(ray_runtime_env="1")
