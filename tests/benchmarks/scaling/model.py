"""The cost model: what an iteration takes with n env runners and k learners, from costs measured apart."""

from __future__ import annotations

from dataclasses import dataclass, fields

ROUND_TRIPS = 3
"""One after another in an iteration: the request and its answer, a runner's fetching of the weights, and the
driver's fetching of the share."""
FURTHEST = 1 << 20
"""Runners beyond which nobody looks."""


@dataclass(frozen=True)
class Costs:
    """What one iteration is made of.

    Attributes:
        step: seconds of a runner per env step, the environment's own among them.
        request: seconds of a runner per request.
        step_bytes: of a share, per env step.
        share_bytes: of a share, however long.
        weight_bytes: that each update sends out.
        iteration: seconds of the driver per iteration.
        call: seconds of the driver per runner.
        pair: seconds of the driver per runner and runner; the page says where they go.
        byte: seconds of the driver per byte of shares.
        update_step: seconds of a learner per env step that it holds.
        update: seconds of a learner per update.
        shard_byte: seconds of the driver per byte that it hands on to remote learners.
        reductions: all-reduces of an update, one after another.
        reductions_step: more of them per env step that a learner holds.
        message_bytes: of one of them.
    """

    step: float
    request: float = 0.0
    step_bytes: float = 0.0
    share_bytes: float = 0.0
    weight_bytes: float = 0.0
    iteration: float = 0.0
    call: float = 0.0
    pair: float = 0.0
    byte: float = 0.0
    update_step: float = 0.0
    update: float = 0.0
    shard_byte: float = 0.0
    reductions: float = 0.0
    reductions_step: float = 0.0
    message_bytes: float = 0.0


@dataclass(frozen=True)
class Network:
    """What lies between the driver and the others.

    Attributes:
        latency: seconds of a round trip.
        bandwidth: bytes per second of the driver's link, and of each learner's.
        runners_per_node: env runners that share one copy of the weights.
    """

    latency: float = 0.0
    bandwidth: float = float("inf")
    runners_per_node: int = 1


@dataclass(frozen=True)
class Iteration:
    """Seconds of the parts of an iteration.

    Attributes:
        sampling: of a runner, the runners being at it together.
        waiting: for the network's round trips to the runners and back.
        fixed: of the driver, whatever is sampled.
        calls: of the driver, and of its link for the weights, which grow with the runners.
        receiving: of the driver and of its link, which grow with the bytes of all shares.
        update: of the learners, what is handed on to them and what they sum among themselves.
    """

    sampling: float
    waiting: float
    fixed: float
    calls: float
    receiving: float
    update: float

    @property
    def runner(self) -> float:
        """What a runner is at, or waits for."""
        return self.sampling + self.waiting

    @property
    def driver(self) -> float:
        """What cannot be shared among runners."""
        return self.fixed + self.calls + self.receiving + self.update

    def seconds(self, overlapped: bool = False) -> float:
        """Of the whole; ``overlapped`` if runners sample on while the driver works: ``max_sample_age``."""
        return max(self.runner, self.driver) if overlapped else self.runner + self.driver

    def shares(self, overlapped: bool = False) -> dict[str, float]:
        """Part → its share, the largest first; where both sides run at once, of the longer one."""
        parts = {each.name: float(getattr(self, each.name)) for each in fields(self)}
        if overlapped:
            names = list(parts)[:2] if self.runner > self.driver else list(parts)[2:]
            parts = {name: parts[name] for name in names}
        total = sum(parts.values())
        return {name: parts[name] / total for name in sorted(parts, key=parts.__getitem__, reverse=True)}


def iteration(costs: Costs, network: Network, runners: int, batch: float, learners: int = 0) -> Iteration:
    """What one iteration takes.

    Args:
        costs: measured.
        network: between the machines.
        runners: n, each with a CPU of its own.
        batch: env steps of the iteration, over all runners.
        learners: k, each with a CPU of its own; 0 learns in the driver.
    """
    shares = batch * costs.step_bytes + runners * costs.share_bytes
    weights = costs.weight_bytes * -(-runners // network.runners_per_node)
    update = costs.update + costs.update_step * batch / max(1, learners)
    if learners:
        update += shares * (costs.shard_byte + 1.0 / network.bandwidth) + network.latency
        messages = costs.reductions + costs.reductions_step * batch / learners
        update += messages * all_reduce(costs.message_bytes, network, learners)
    return Iteration(
        sampling=costs.request + costs.step * batch / runners,
        waiting=ROUND_TRIPS * network.latency,
        fixed=costs.iteration,
        calls=runners * (costs.call + runners * costs.pair) + weights / network.bandwidth,
        receiving=shares * (costs.byte + 1.0 / network.bandwidth),
        update=update,
    )


def all_reduce(message_bytes: float, network: Network, learners: int) -> float:
    """Seconds of one sum around a ring of learners, whose latencies nothing hides."""
    hops = 2 * (learners - 1)
    return hops * (network.latency / 2.0 + message_bytes / learners / network.bandwidth)


@dataclass(frozen=True)
class Growth:
    """A job as it grows with the runners.

    Attributes:
        costs: of it.
        network: it runs over.
        steps: env steps of an iteration: of each runner, or of all together if ``fixed_batch``.
        fixed_batch: whether the batch stays what it is however many runners there are.
        learners: as in :func:`iteration`.
        overlapped: as in :meth:`Iteration.seconds`.
    """

    costs: Costs
    network: Network
    steps: float
    fixed_batch: bool = False
    learners: int = 0
    overlapped: bool = False

    def batch(self, runners: int) -> float:
        """Env steps of an iteration with so many runners."""
        return self.steps if self.fixed_batch else self.steps * runners

    def at(self, runners: int) -> Iteration:
        """The iteration with so many runners."""
        return iteration(self.costs, self.network, runners, self.batch(runners), self.learners)

    def rate(self, runners: int) -> float:
        """Env steps per second."""
        return self.batch(runners) / self.at(runners).seconds(self.overlapped)

    def share_of_ideal(self, runners: int) -> float:
        """Against runners that never wait."""
        return self.rate(runners) * self.costs.step / runners

    def enough(self, gain: float = 1.1) -> int:
        """The fewest runners of which twice as many bring less than ``gain`` times the steps per second."""
        low, high = 0, 1
        while self.rate(2 * high) >= gain * self.rate(high) and high < FURTHEST:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            if self.rate(2 * middle) >= gain * self.rate(middle):
                low = middle
            else:
                high = middle
        return high
