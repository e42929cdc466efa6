"""The cost model against numbers worked out by hand."""

from dataclasses import replace

import pytest

from tests.benchmarks.scaling.model import Costs, Growth, Iteration, Network, all_reduce, iteration

COSTS = Costs(
    step=0.01,
    request=0.5,
    step_bytes=100.0,
    share_bytes=1000.0,
    weight_bytes=5000.0,
    iteration=0.25,
    call=0.125,
    pair=1.0 / 64.0,
    byte=1e-5,
    update_step=0.001,
    update=0.0625,
    shard_byte=2e-5,
    reductions=5.0,
    reductions_step=0.05,
    message_bytes=400.0,
)
NETWORK = Network(latency=0.02, bandwidth=1e5, runners_per_node=2)


def test_every_part_of_an_iteration():
    # 400 steps of 4 runners on 2 nodes: 4 * (100 * 100 + 1000) = 44,000 bytes come in, 2 * 5000 go out.
    parts = iteration(COSTS, NETWORK, 4, 400)
    expected = Iteration(
        sampling=0.5 + 1.0, waiting=0.06, fixed=0.25, calls=0.5 + 0.25 + 0.1, receiving=0.88, update=0.4625
    )
    for name, value in vars(expected).items():
        assert getattr(parts, name) == pytest.approx(value), name
    assert parts.seconds() == pytest.approx(4.0025)
    assert parts.seconds(overlapped=True) == pytest.approx(0.25 + 0.85 + 0.88 + 0.4625)
    assert list(parts.shares())[:2] == ["sampling", "receiving"]
    assert parts.shares()["receiving"] == pytest.approx(0.88 / 4.0025)
    hidden = parts.shares(overlapped=True)
    assert "sampling" not in hidden and hidden["receiving"] == pytest.approx(0.88 / 2.4425)


def test_learners_share_steps_and_pay_for_their_sums():
    # 400 bytes around a ring of 4: six hops of 10 ms each, 1.5 times the bytes over each link; 10 times, as
    # each learner has 100 steps.
    assert all_reduce(400, NETWORK, 4) == pytest.approx(0.06 + 0.006)
    assert all_reduce(400, NETWORK, 1) == 0.0
    update = iteration(COSTS, NETWORK, 4, 400, learners=4).update
    assert update == pytest.approx(0.0625 + 0.1 + 44_000 * 3e-5 + 0.02 + 0.66)


def test_a_fixed_batch_has_a_best_number_of_runners_and_a_growing_one_a_highest_rate():
    bare = Costs(step=1.0, call=0.01, update_step=0.001)
    fixed = Growth(bare, Network(), steps=400, fixed_batch=True)
    # 400 / n + 0.01 n + 0.4 is least at n = 200, where it is 4.4.
    assert max(range(1, 1000), key=fixed.rate) == 200 and fixed.rate(200) == pytest.approx(400 / 4.4)
    growing = Growth(bare, Network(), steps=10)
    # Of n runners 10 n steps take 10 + 0.02 n seconds: 500 a second at most.
    assert growing.rate(500) == pytest.approx(250.0) and growing.share_of_ideal(500) == pytest.approx(0.5)
    # 2 (10 + 0.02 n) < 1.1 (10 + 0.04 n) from n = 2250 on.
    assert growing.enough() == 2251
    assert growing.rate(2 * 2251) < 1.1 * growing.rate(2251)
    # Overlapped, 10 seconds of sampling hide 0.02 n of the driver: ideal up to 500, none gained after.
    overlapped = replace(growing, overlapped=True)
    assert overlapped.share_of_ideal(500) == pytest.approx(1.0)
    assert overlapped.rate(1000) == pytest.approx(500.0) and overlapped.enough() == 455
