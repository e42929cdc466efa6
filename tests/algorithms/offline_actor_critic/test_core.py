"""Parts of the core against numbers worked out by hand, and every choice on agents of several kinds."""

import math

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms import ALGORITHMS, IndependentQConfig, IndependentTD3BCConfig, MADDPGConfig
from rllib_safemarl.algorithms.offline_actor_critic.presets import OFFLINE_PRESETS
from rllib_safemarl.algorithms.offline_actor_critic.scales import value_floor, value_scale
from rllib_safemarl.data import ActionSchema, KindSchema, Schema, make_dataset, write_dataset
from rllib_safemarl.data.normaliser import ColumnStatistics
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.stream import join_windows
from rllib_safemarl.offline.windows import Pieces, WindowCutter
from tests.algorithms.offline_actor_critic.helpers import lab

LENGTHS = (4, 3, 5, 4)


def mixed(path, hops=((0, 1, 2), (1, 0, 1), (2, 1, 0))):
    """Three agents in a row: two that act by reals and one by two choices at once, of other observations."""
    g, rows = np.random.default_rng(0), sum(LENGTHS)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    ends = np.isin(np.arange(rows), offsets[1:] - 1)
    drives = KindSchema("drives", (0, 2), 2, ActionSchema.box([-2.0], [4.0]))
    decides = KindSchema("decides", (1,), 3, ActionSchema.multi_discrete([2, 3]))
    terminals = np.zeros((rows, 3), bool)
    terminals[offsets[1] - 1] = True
    columns = {
        "observations/drives": g.normal(size=(rows, 2, 2)),
        "observations/decides": g.normal(size=(rows, 1, 3)),
        "actions/drives": g.uniform(-2, 4, (rows, 2, 1)),
        "actions/decides": g.integers([2, 3], size=(rows, 1, 2)),
        "rewards": g.normal(size=(rows, 3)),
        "costs": g.integers(0, 2, (rows, 3, 2)).astype(float),
        "terminals": terminals,
        "timeouts": ends & ~terminals[:, 0],
    }
    last = {
        "final/observations/drives": g.normal(size=(len(LENGTHS), 2, 2)),
        "final/observations/decides": g.normal(size=(len(LENGTHS), 1, 3)),
    }
    schema = Schema(("a", "b", "c"), (drives, decides), ("crash", "noise"), time_limit=5, hops=hops)
    data = make_dataset(schema, columns, offsets, last)
    write_dataset(data, path)
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed") / "mixed.h5"
    return mixed(path), str(path)


def small(config, path, **settings):
    return (
        config.offline_data(input_=path, dataset_num_iters_per_learner=2)
        .training(train_batch_size_per_learner=6, **settings)
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .debugging(seed=0)
    )


def read(built, data, windows):
    """Transitions of windows by number, as a learner reads them."""
    (portion,) = built.data.sample(1)
    built.learner._open(portion)
    return built.learner.read(WindowCutter(Pieces.of(data), 1).cut(np.array(windows)))


# Batches.


def test_transitions_hold_what_was_seen_done_and_comes_after(data):
    dataset, path = data
    built = lab(small(MADDPGConfig(), path, kappa=1, critic_hops=1, reward_scope="own"))
    batch = read(built, dataset, [2, 3, 15])
    middle = batch["b"]
    seen = dataset["observations/drives"], dataset["observations/decides"]
    np.testing.assert_array_equal(middle.views[0, :3], seen[1][2, 0])
    # Of a's slot: two numbers of three, that it is there, one hop, and its kind.
    np.testing.assert_allclose(middle.views[0, 3:10], [*seen[0][2, 0], 0.0, 1.0, 0.5, 1.0, 0.0])
    np.testing.assert_array_equal(middle.next_views[0, :3], seen[1][3, 0])
    np.testing.assert_array_equal(middle.next_views[2, :3], dataset["final/observations/decides"][3, 0])
    assert middle.ended.tolist() == [False, True, False], "a time limit is no end"
    assert middle.actions.tolist() == dataset["actions/decides"][[2, 3, 15], 0].tolist()
    np.testing.assert_array_equal(batch["c"].reward, dataset["rewards"][[2, 3, 15], 2])
    np.testing.assert_allclose(
        batch["a"].actions[:, 0], dataset["actions/drives"][[2, 3, 15], 0, 0] / 3 - 1 / 3, rtol=1e-5
    )

    joint = torch.arange(3 * 3 * 5.0).view(3, 3, 5)
    # b sees a and c; a sees b and, in its second slot, nobody.
    np.testing.assert_array_equal(middle.others(joint), joint[:, [0, 2]].flatten(1))
    np.testing.assert_array_equal(batch["a"].others(joint)[:, :5], joint[:, 1])
    assert not batch["a"].others(joint)[:, 5:].any()
    assert not batch["b"].next_others(joint)[1].any(), "all have ended"


def test_time_limits_end_episodes_where_one_says_so(data):
    dataset, path = data
    built = lab(small(IndependentTD3BCConfig(), path, kappa=0, bootstrap_timeouts=False))
    assert read(built, dataset, [2, 3, 15])["a"].ended.tolist() == [False, True, True]


def test_networks_know_the_scales_of_the_data(data):
    dataset, path = data
    built = lab(small(MADDPGConfig(), path, kappa=1, gamma=0.6))
    built.train()
    agent = built.learner.agents["b"]
    own = dataset["observations/decides"][:, 0]
    np.testing.assert_allclose(agent.critics.mean[:3], own.mean(0), atol=1e-5)
    np.testing.assert_allclose(agent.critics.deviation[:3], own.std(0), rtol=1e-4)
    padded = np.concatenate([np.pad(dataset["observations/drives"].reshape(-1, 2), ((0, 0), (0, 1))), own])
    for network in (agent.policy.module.network, agent.critics):
        np.testing.assert_allclose(network.mean[3:6], padded.mean(0), atol=1e-5)
        np.testing.assert_allclose(network.deviation[3:6], padded.std(0), rtol=1e-4)
        assert network.mean[6:10].tolist() == [0.0] * 4 and network.deviation[6:10].tolist() == [1.0] * 4
    # σ / √(1 - 0.36).
    np.testing.assert_allclose(agent.scales[0], dataset["rewards"].std() / 0.8, rtol=1e-4)


# Every choice.


@pytest.mark.parametrize("name", sorted(OFFLINE_PRESETS))
def test_presets_learn_agents_of_several_kinds_and_actions(data, name):
    _, path = data
    config = ALGORITHMS[name].get_default_config().safety(cost_limit={"crash": 1.0, "noise": float("inf")})
    greedy = {"choice_actor": "categorical"} if name.startswith("INDEPENDENT_Q") else {}
    small_net = {"denoiser_settings": {"width": 8, "layers": 1}} if name == "FISOR" else {}
    built = lab(small(config, path, kappa=1, **greedy, **small_net))
    before = {p: {k: v.clone() for k, v in m.state_dict().items()} for p, m in built.learner.module.items()}
    figures = [built.train() for _ in range(2)][-1]
    for policy, module in built.learner.module.items():
        moved = [k for k, v in module.state_dict().items() if not torch.equal(v, before[policy][k])]
        assert moved and all(torch.isfinite(v).all() for v in module.state_dict().values())
        assert np.isfinite([float(v) for k, v in figures[policy].items() if k.endswith("_loss")]).all()


@pytest.mark.parametrize(
    ("conservatism", "constraint", "actor", "critic_hops", "critic_actions"),
    [
        ("none", "pid", "gaussian", math.inf, "seen"),
        ("none", "cup", "deterministic", 1, "own"),
        ("bc", "cpq", "gaussian", 1, "seen"),
        ("cql", "pid", "deterministic", 0, "own"),
        ("cql", "cpq", "deterministic", math.inf, "seen"),
    ],
)
def test_choices_are_orthogonal(data, conservatism, constraint, actor, critic_hops, critic_actions):
    _, path = data
    config = IndependentTD3BCConfig().safety(cost_limit=1.0, constraint=constraint)
    choices = {"conservatism": conservatism, "actor": actor, "critic_actions": critic_actions}
    built = lab(small(config, path, kappa=1, critic_hops=critic_hops, others_act="policies", **choices))
    assert np.isfinite(float(built.train()["b"]["actor_loss"]))


def test_what_means_nothing_is_refused_in_one_line(data):
    _, path = data
    q = small(IndependentQConfig(), path, kappa=0)
    for change, message in [
        (lambda c: c.training(critic_actions="seen"), "greedy' acts by Q of its own choices"),
        (lambda c: c.training(conservatism="bc"), "greedy' has no actor that could stay near"),
        (lambda c: c.training(gamma=1.0), "leave values unbounded: lower gamma"),
        (lambda c: c.safety(constraint="pid"), r"needs a limit: \.safety\(cost_limit"),
        (lambda c: c.training(actor="gausian"), "'gausian' does not fit: it must be one of deterministic"),
        (lambda c: c.training(q_wieght=1.0), r"no setting 'q_wieght'\. Did you mean 'q_weight'"),
        (lambda c: c.safety(constrain="pid"), r"no setting 'constrain'\. Did you mean 'constraint'"),
        (lambda c: c, "makes 2 choices at once, and choice_actor='greedy' values one"),
    ]:
        changed = q.copy(copy_frozen=False)
        with pytest.raises(SafeMARLError, match=message) as caught:
            change(changed)
            lab(changed)
        assert "\n" not in str(caught.value)


# Constraints.


def constant_costs(built, value):
    """Critics for which every action costs as much."""
    for agent in built.learner.agents.values():
        for q in agent.critics.q[1:]:
            for twin in q.twins:
                torch.nn.init.zeros_(twin.head[-1].weight)
                torch.nn.init.constant_(twin.head[-1].bias, value)


def test_pid_multipliers_follow_the_estimated_episode_cost(data):
    dataset, path = data
    config = (
        ALGORITHMS["TD3BC_PID"]
        .get_default_config()
        .safety(cost_limit=2.0, multiplier_lr=0.5, proportional_gain=0.0, derivative_gain=0.0)
    )
    built = lab(small(config, path, kappa=0, gamma=0.5))
    (portion,) = built.data.sample(1)
    built.learner._open(portion)
    constant_costs(built, 1.0)
    constraint = built.learner._constraint
    rows = built.learner.read(WindowCutter(Pieces.of(dataset), 1).cut(np.arange(6)))
    for policy, agent in built.learner.agents.items():
        x = agent.critics.features(rows[policy].seen, None)
        constraint.actor_loss(agent, rows[policy], x).sum().backward()
    constraint.end_iteration()
    # A value of 1 scale is, at γ = 0.5 and 5 steps, a cost of 5 · (1 - 0.5) · scale per episode.
    scales = built.learner.agents["a"].scales[1:].numpy()
    cost = 2.5 * scales
    expected = np.maximum(0.5 * (cost - 2.0), 0.0)
    np.testing.assert_allclose(constraint.multipliers, expected[None].repeat(3, 0), rtol=1e-5)
    assert (cost > 2.0).all() or (cost < 2.0).all()


def test_projection_clones_what_keeps_to_the_limit(data):
    """One sample in two costs; without room for cost its weight goes to the other."""
    dataset, path = data
    config = ALGORITHMS["OFFLINE_CUP"].get_default_config().safety(cost_limit=0.0)
    built = lab(small(config, path, kappa=0))
    (portion,) = built.data.sample(1)
    built.learner._open(portion)
    agent, constraint = built.learner.agents["a"], built.learner._constraint
    rows = built.learner.read(WindowCutter(Pieces.of(dataset), 1).cut(np.arange(8)))["a"]
    costly = rows.actions[:, 0] > 0.0

    class Costs(torch.nn.Module):
        def forward(self, x, action):
            return (action[..., 0] > 0.0).float().expand(2, *action.shape[:-1])

    agent.critics.q = torch.nn.ModuleList([agent.critics.q[0], Costs(), Costs()])
    inputs = agent.policy.inputs(rows.views)
    weights = constraint._weights(agent, rows, agent.critics.features(rows.seen, None), inputs.detach() - 1.0)
    assert costly.any() and not costly.all()
    assert weights[costly].max() < 1e-3 * weights[~costly].max()


@pytest.mark.parametrize(("rewards", "floor"), [((-1.0, 3.0), -3.0), ((-3.0, 1.0), -4.0)])
def test_the_floor_is_three_deviations_below_what_rewards_come_to(rewards, floor):
    """σ = 2 and γ = 0.6: sums deviate by 2 / 0.8 = 2.5, and their mean is 2.5 times the rewards'."""
    column = ColumnStatistics.of(np.array(rewards)[:, None])
    assert value_scale(column, 0.6) == pytest.approx(2.5)
    assert value_floor(column, 0.6) == pytest.approx(floor)


@pytest.mark.parametrize(
    ("name", "choose"), [("TD3BC_PID", "amax"), ("CPQ", "amax"), ("OFFLINE_CUP", "mean")]
)
def test_two_critics_of_a_cost_are_taken_together_as_the_preset_says(data, name, choose):
    config = ALGORITHMS[name].get_default_config().safety(cost_limit=1.0)
    critics = lab(small(config, data[1], kappa=0)).learner.agents["a"].critics
    x, action = torch.randn(5, 2), torch.randn(5, 1)
    both = torch.stack([q(x, action) for q in critics.q])
    assert (both[:, 0] != both[:, 1]).all()
    expected = getattr(both[1:], choose)(1)
    torch.testing.assert_close(critics.costs(x, action), expected)
    torch.testing.assert_close(critics.targets(x, action), torch.cat([both[:1].amin(1), expected]))


# Learners.


def test_a_batch_of_two_is_the_mean_of_both(data):
    """What several learners rely on: losses are sums over agents that acted, over their number."""
    dataset, path = data
    built = lab(small(IndependentTD3BCConfig(), path, kappa=1, target_noise=0.0))
    (portion,) = built.data.sample(1)
    built.learner._open(portion)
    cutter = WindowCutter(Pieces.of(dataset), 1)
    parts = [cutter.cut(np.array(each)) for each in ([0, 1, 2], [7, 9, 12])]
    learner, gradients = built.learner, []
    for windows in (*parts, join_windows(parts)):
        learner._batches = 0
        batch = learner.read(windows)
        rows, agent = batch["a"], learner.agents["a"]
        x = agent.critics.features(rows.seen, None)
        loss = (agent.critics.reward(x, rows.actions) - rows.reward).square()
        (mean,) = learner.means("a", {"loss": loss}, rows).values()
        gradients.append(torch.autograd.grad(mean, agent.critics.q[0].twins[0].head[0].weight)[0])
    torch.testing.assert_close((gradients[0] + gradients[1]) / 2, gradients[2])
