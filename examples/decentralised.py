"""Decentralised execution: each robot in a process of its own, told only what its neighbours tell it.

How to run:     rllib train file tuned_configs/scal_mappo_l.yaml
                safemarl export ~/ray_results/scal_mappo_l_crossing --out policy --onnx
                python examples/decentralised.py policy --episodes 3
                (--runtime torch where the policies are no ONNX graphs)
What to expect: a line per episode with return and cost per robot, as in rllib evaluate; how many of the other
                robots a process heard of per step; and that its actions are those of acting with the whole
                team in sight: a policy of κ hops needs nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rllib_safemarl import load_policy, make_vector

Message = dict[str, dict[str, Any]]
"""``observations``, ``positions`` and ``neighbours`` of those who are heard, by their names."""


def robot(name: str, folder: str, runtime: str, radio: Connection) -> None:
    """A robot's own program: no environment, no Ray, no other robots' programs."""
    policy = load_policy(folder, runtime=runtime)
    radio.send("ready")
    while (heard := radio.recv()) is not None:
        if heard == "new episode":
            policy.restart()
            continue
        radio.send(policy.act(**heard)[name])


def whole_team(policy: Any, observation: Any) -> Message:
    """What all robots see together."""
    team, edges = policy.team, observation.edges
    seen = {
        team.agents[i]: observation.values[kind.name][0, row]
        for kind in team.kinds
        for row, i in enumerate(kind.agents)
    }
    message: Message = {"observations": {name: seen[name] for name in team.agents}}
    if observation.positions is not None:
        message["positions"] = dict(zip(team.agents, observation.positions[0], strict=True))
    if edges is not None:
        joined = ([team.agents[j] for j in row if j >= 0] for row in edges[0])
        message["neighbours"] = dict(zip(team.agents, joined, strict=True))
    return message


def heard_by(policy: Any, me: str, everything: Message) -> Message:
    """What reaches a robot: its own sensors, and its neighbours within κ hops."""
    team, kappa = policy.team, policy.settings.kappa
    if "neighbours" in everything and np.isfinite(kappa):
        near, rim = {me}, {me}
        for _ in range(int(kappa)):
            rim = {other for one in rim for other in everything["neighbours"][one]} - near
            near |= rim
        inner = near - rim | {me}
    else:
        hops = None if team.graph is None else team.graph.hops
        i = team.agents.index(me)
        near = {other for j, other in enumerate(team.agents) if hops is None or hops[i, j] <= kappa}
        inner = near
    kept = {"observations": near, "positions": near, "neighbours": inner}
    return {part: {n: v for n, v in values.items() if n in kept[part]} for part, values in everything.items()}


def run_episode(env: Any, policy: Any, radios: dict[str, Connection], seed: int) -> dict[str, float]:
    """One episode; the world hands messages on, and knows nothing of policies but to compare them."""
    names, (kind,) = policy.team.agents, policy.team.kinds
    observation = env.reset(seed)
    returns, costs, heard, steps, apart = np.zeros(len(names)), np.zeros(len(names)), 0, 0, 0.0
    policy.restart()
    for radio in radios.values():
        radio.send("new episode")
    while True:
        everything = whole_team(policy, observation)
        messages = {name: heard_by(policy, name, everything) for name in names}
        for name, radio in radios.items():
            radio.send(messages[name])
        actions = np.stack([radios[name].recv() for name in names])
        together = policy.act(**everything)
        apart = max(apart, *(float(np.abs(actions[i] - together[n]).max()) for i, n in enumerate(names)))
        heard += sum(len(message["observations"]) - 1 for message in messages.values())
        step = env.step({kind.name: actions[None]})
        observation, returns = step.observation, returns + step.reward[0]
        costs, steps = costs + step.cost[0].sum(-1), steps + 1
        if step.ending is not None:
            return {
                "return": float(returns.mean()),
                "cost": float(costs.mean()),
                "heard": heard / steps / len(names),
                "apart": apart,
            }


def main() -> None:
    """Start the robots, run episodes, and end them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policy", help="folder that safemarl export wrote")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--env", default="safemarl/crossing")
    parser.add_argument("--env-config", type=json.loads, default={}, help="JSON")
    parser.add_argument("--runtime", choices=("onnx", "torch"), default="onnx")
    given = parser.parse_args()
    policy = load_policy(given.policy, runtime=given.runtime)
    env = make_vector(given.env, 1, **given.env_config)
    if env.possible_agents != policy.team.agents or len(policy.team.kinds) > 1:
        parser.error("this example is for the team that was trained, of agents that are alike")
    # Processes that share nothing, as robots do; a fork would take this process's memory along.
    context, radios, processes = multiprocessing.get_context("spawn"), {}, []
    for name in policy.team.agents:
        radios[name], theirs = context.Pipe()
        arguments = (name, given.policy, given.runtime, theirs)
        processes.append(context.Process(target=robot, args=arguments, daemon=True))
        processes[-1].start()
    for radio in radios.values():
        radio.recv()
    print(f"{len(processes)} robots, each in a process of its own")
    try:
        for episode in range(given.episodes):
            found = run_episode(env, policy, radios, episode)
            print(
                f"episode {episode}: return {found['return']:.2f}, cost {found['cost']:.2f}; heard of "
                f"{found['heard']:.1f} others per step; {found['apart']:.0e} from acting together"
            )
    finally:
        for radio in radios.values():
            radio.send(None)
        for process in processes:
            process.join(10)


if __name__ == "__main__":
    main()
