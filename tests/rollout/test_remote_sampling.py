"""Who is asked for samples, who is waited for, and how old samples are, with runners that keep exact time."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout import remote_sampling
from rllib_safemarl.rollout.remote_sampling import RemoteSampling

STEPS = 10
"""Environment steps of a share."""


def share_of(worker: int, weights_seq_no: int) -> tuple[Any, str]:
    batch = SimpleNamespace(
        copy_ids=np.arange(2) + 2 * (worker - 1),
        copies=2,
        weights_seq_no=weights_seq_no,
        env_steps=lambda: STEPS,
    )
    return batch, f"metrics of {worker}"


@dataclass
class Clockwork:
    """An EnvRunnerGroup whose runner w needs ``durations[w - 1]`` looks for a share; inf hangs."""

    durations: list[float]
    looks: int = 0
    doing: dict[int, tuple[float, int]] = field(default_factory=dict)
    killed: list[int] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._worker_manager = SimpleNamespace(
            _actors={w: w for w in self.healthy_env_runner_ids()},
            set_actor_state=lambda worker, healthy: self.failed.add(worker),
        )

    def healthy_env_runner_ids(self) -> list[int]:
        return [w for w in range(1, len(self.durations) + 1) if w not in self.failed]

    def num_healthy_remote_env_runners(self) -> int:
        return len(self.healthy_env_runner_ids())

    def foreach_env_runner(self, name, *, kwargs, local_env_runner, timeout_seconds) -> list[Any]:
        assert (name, local_env_runner) == ("sample_with_weights", False)
        on_time = [w for w in self.healthy_env_runner_ids() if self.durations[w - 1] <= timeout_seconds]
        return [share_of(w, kwargs["weights_seq_no"]) for w in reversed(on_time)]

    def foreach_env_runner_async_fetch_ready(self, name, *, kwargs, tag, timeout_seconds) -> list[Any]:
        assert (name, tag) == ("sample_with_weights", remote_sampling.TAG)
        self.looks += 1
        ready = [w for w, (since, _) in self.doing.items() if self.looks - since >= self.durations[w - 1]]
        shares = [share_of(w, self.doing.pop(w)[1]) for w in ready]
        for worker in self.healthy_env_runner_ids():
            self.doing.setdefault(worker, (self.looks, kwargs["weights_seq_no"]))
        return shares

    def fetch_ready_async_reqs(self, *, tags, timeout_seconds) -> None:
        self.doing.clear()


@pytest.fixture
def sampling(monkeypatch):
    """Makes a RemoteSampling and its Clockwork; Ray is not needed."""

    def make(durations: list[float], max_age: int, timeout: float = 60.0, restarts: bool = True):
        group = Clockwork(durations)
        kill = SimpleNamespace(
            put=lambda weights: weights, kill=lambda worker, no_restart: group.killed.append(worker)
        )
        monkeypatch.setattr(remote_sampling, "ray", kill)
        config = SimpleNamespace(
            num_env_runners=len(durations),
            sample_timeout_s=timeout,
            restart_failed_env_runners=restarts,
            max_sample_age=max_age,
        )
        return group, RemoteSampling(group, config)

    return make


def workers_and_ages(sampled: RemoteSampling, updates: int, first: int = 0) -> list[list[tuple[int, int]]]:
    return [
        [(share.worker, update - share.batch.weights_seq_no) for share in sampled.sample(None, update, 0)]
        for update in range(first, first + updates)
    ]


def test_with_age_0_every_runner_samples_once_under_the_present_weights(sampling):
    _, asked = sampling([1, 5, 3], max_age=0)
    assert workers_and_ages(asked, 3) == [[(1, 0), (2, 0), (3, 0)]] * 3
    assert asked.dropped_steps == 0


def test_with_age_1_equal_runners_sample_during_the_update_before(sampling):
    group, asked = sampling([1, 1, 1], max_age=1)
    assert workers_and_ages(asked, 1) == [[(1, 0), (2, 0), (3, 0)]]
    looks = group.looks
    assert workers_and_ages(asked, 4, first=1) == [[(1, 1), (2, 1), (3, 1)]] * 4
    assert group.looks == looks + 4, "no update has to wait"
    assert asked.dropped_steps == 0


@pytest.mark.parametrize("max_age", [1, 3])
def test_a_slow_runner_holds_nobody_up_and_nothing_older_than_allowed_is_learnt_from(sampling, max_age):
    group, asked = sampling([1, 1, 13], max_age=max_age)
    found = workers_and_ages(asked, 60)
    assert all(len(shares) == 3 for shares in found), "the others make up for what it does not sample"
    ages = [age for shares in found for _, age in shares]
    assert min(ages) == 0 and max(ages) <= max_age
    # Two runners give three shares in two looks at most, however long the third takes.
    assert group.looks <= 2 * len(found) + 1
    slow = sum(worker == 3 for shares in found for worker, _ in shares)
    # Its share takes more than six updates, which is too old for either; all of them are dropped.
    assert slow == 0 and asked.dropped_steps % STEPS == 0 and asked.dropped_steps >= 60 // 13 * STEPS


def test_what_is_exactly_as_old_as_allowed_is_learnt_from_and_what_is_one_update_older_is_not(
    sampling, monkeypatch
):
    group, asked = sampling([1, 1, 1], max_age=2)
    shares = [share_of(worker, seen) for worker, seen in ((1, 2), (1, 3), (2, 4), (3, 5))]
    monkeypatch.setattr(group, "foreach_env_runner_async_fetch_ready", lambda *_, **__: shares)
    assert workers_and_ages(asked, 1, first=5) == [[(1, 2), (2, 1), (3, 0)]]
    assert asked.dropped_steps == STEPS


def test_a_slow_runner_that_is_young_enough_is_learnt_from(sampling):
    _, asked = sampling([1, 1, 4], max_age=5)
    found = workers_and_ages(asked, 40)
    slow = [age for shares in found for worker, age in shares if worker == 3]
    assert len(slow) >= 8 and max(slow) <= 5
    assert asked.dropped_steps == 0


def test_a_runner_that_hangs_holds_nobody_up(sampling):
    group, asked = sampling([1, float("inf")], max_age=1)
    found = workers_and_ages(asked, 5)
    assert [[worker for worker, _ in shares] for shares in found] == [[1, 1]] * 5
    assert group.doing[2] == (1, 0), "it is asked for no more until it answers"


def test_when_all_hang_one_line_says_so(sampling):
    for max_age, timeout in ((0, 7.0), (2, 0.0)):
        _, asked = sampling([float("inf")] * 2, max_age, timeout)
        with pytest.raises(SafeMARLError, match=rf"within sample_timeout_s={timeout:g} seconds: the environ"):
            asked.sample(None, 0, 0)


def test_when_all_have_died_there_is_no_sample(sampling):
    for max_age in (0, 1):
        group, asked = sampling([1, 1], max_age)
        group.failed |= {1, 2}
        assert asked.sample(None, 0, 0) == []


def test_a_runner_that_twice_does_not_answer_in_time_is_started_anew(sampling):
    group, asked = sampling([1, 90], max_age=0)
    assert workers_and_ages(asked, 1) == [[(1, 0)]] and not group.killed
    assert workers_and_ages(asked, 2) == [[(1, 0)], [(1, 0)]]
    assert group.killed == [2], "and is left alone until it is back"
    group.failed.clear()
    assert workers_and_ages(asked, 1) == [[(1, 0)]]
    assert group.killed == [2], "and then has two attempts again"


def test_without_restarts_a_silent_runner_is_left_alone(sampling):
    group, asked = sampling([1, 90], max_age=0, restarts=False)
    workers_and_ages(asked, 3)
    assert not group.killed


def test_after_a_restore_nothing_of_before_is_learnt_from(sampling):
    group, asked = sampling([1, 1], max_age=2)
    workers_and_ages(asked, 5)
    asked.forget()
    assert not group.doing
    assert workers_and_ages(asked, 1, first=3) == [[(1, 0), (2, 0)]]


def test_what_weights_sampled_that_a_restore_undid_is_dropped(sampling):
    _, asked = sampling([1, 1], max_age=2)
    workers_and_ages(asked, 5, first=10)
    assert workers_and_ages(asked, 1, first=3) == [[(1, 0), (2, 0)]]
    assert asked.dropped_steps > 0


def test_bad_input_is_raised(sampling, monkeypatch):
    error = SafeMARLError("a cost of -1")
    for max_age in (0, 1):
        group, asked = sampling([1], max_age)
        for name in ("foreach_env_runner", "foreach_env_runner_async_fetch_ready"):
            monkeypatch.setattr(group, name, lambda *_, **__: [error])
        with pytest.raises(SafeMARLError, match="a cost of -1"):
            asked.sample(None, 0, 0)
