"""On a game that is solved exactly, values end where their equations say."""

import numpy as np
import pytest
import torch

from rllib_safemarl.algorithms import IndependentQConfig, MADDPGConfig
from tests.algorithms.offline_actor_critic.helpers import CHOICES, GAMMA, STATES, Game, lab

VIEWS = torch.eye(STATES)


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    game = Game()
    return game, game.write(tmp_path_factory.mktemp("game") / "game.h5")


def configured(config, game, path, **settings):
    """All of the data in every batch."""
    return (
        config.offline_data(input_=path, dataset_num_iters_per_learner=100)
        .training(
            kappa=0,
            gamma=GAMMA,
            train_batch_size_per_learner=game.rows,
            target_decay=0.9,
            **settings,
        )
        .debugging(seed=0)
    )


def test_independent_q_ends_at_its_own_fixed_point(game):
    game, path = game
    config = configured(IndependentQConfig(), game, path, lr=[[0, 0.1], [400 * game.rows, 0.001]])
    learns = lab(config.rl_module(model_config={"fcnet_hiddens": []}))
    for _ in range(5):
        learns.train()
    exact = game.independent_q()
    for i, policy in enumerate(("a", "b")):
        agent = learns.learner.agents[policy]
        found = agent.policy.inputs(VIEWS).detach() * agent.scales[0]
        np.testing.assert_allclose(found.numpy(), exact[i], atol=0.02)
    # It is another than that of the best response to the other's final policy, or this would show little.
    greedy = np.eye(CHOICES)[exact.argmax(-1)]
    assert np.abs(game.q_of(greedy, game.rewards[0]).mean(2) - exact[0]).max() > 0.1


def test_maddpg_ends_at_the_values_of_its_final_joint_policy(game):
    game, path = game
    # Policies come to rest while critics still learn.
    rest = 300 * game.rows
    config = configured(
        MADDPGConfig(),
        game,
        path,
        lr=[[0, 0.02], [rest, 0.02], [rest + 1, 0.0]],
        critic_lr=[[0, 0.02], [rest, 0.02], [3 * rest, 0.0003]],
    )
    learns = lab(config.rl_module(model_config={"fcnet_hiddens": [32]}))
    for _ in range(10):
        learns.train()
    agents = [learns.learner.agents[policy] for policy in ("a", "b")]
    policies = np.stack(
        [agent.choice_probabilities(agent.policy.inputs(VIEWS)).T.detach() for agent in agents]
    )
    exact = game.q_of(policies, game.rewards.mean(0))
    every = torch.eye(CHOICES)
    for i, agent in enumerate(agents):
        for own in range(CHOICES):
            for other in range(CHOICES):
                # What critics see of the other: its observation, that it is there, and its hops, 1 / (1 + 1).
                seen = torch.cat([VIEWS, VIEWS, torch.ones(STATES, 1), torch.full((STATES, 1), 0.5)], 1)
                x = agent.critics.features(seen, every[other].expand(STATES, -1))
                found = agent.critics.q[0](x, every[own].expand(STATES, -1)).mean(0) * agent.scales[0]
                wanted = exact[:, own, other] if i == 0 else exact[:, other, own]
                np.testing.assert_allclose(found.detach().numpy(), wanted, atol=0.05)
