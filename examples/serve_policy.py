"""A trained policy behind an HTTP address, by Ray Serve: observations in, actions out.

How to run:     pip install "ray[serve]"
                safemarl export ~/ray_results/scal_mappo_l_crossing --out policy
                python examples/serve_policy.py policy --replicas 2
                curl -X POST localhost:8000 -d '{"observations": {"robot_0": [...], ...}}'
What to expect: actions of all who told what they see, as JSON. A replica is a process that holds the policy's
                folder alone; feed-forward policies answer for any number of teams at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np


class PolicyServer:
    """Answers requests by a policy's folder; knows nothing of Ray.

    Args:
        folder: written by ``safemarl export``, or beside a checkpoint.
        runtime: ``torch``, or ``onnx`` where the folder has graphs.
    """

    def __init__(self, folder: str, runtime: str = "torch") -> None:
        from rllib_safemarl import load_policy

        self._policy: Any = load_policy(folder, runtime=runtime)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Actions by agent.

        Args:
            request: ``observations`` by agent; where the agents' graph moves, also ``positions`` and
                ``neighbours`` (lists of names).
        """
        told = dict(request)
        for part in ("observations", "positions"):
            if part in told:
                told[part] = {agent: np.asarray(seen, np.float32) for agent, seen in told[part].items()}
        return {agent: np.asarray(action).tolist() for agent, action in self._policy.act(**told).items()}

    async def __call__(self, request: Any) -> dict[str, Any]:
        return self.answer(await request.json())


def deploy(folder: Path, runtime: str = "torch", replicas: int = 1) -> Any:
    """The application, to be run by ``serve.run`` or ``serve run``."""
    from ray import serve

    server = serve.deployment(PolicyServer, name="policy", num_replicas=replicas)
    return server.bind(str(folder.resolve()), runtime)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policy", type=Path, help="folder that safemarl export wrote")
    parser.add_argument("--runtime", choices=("torch", "onnx"), default="torch")
    parser.add_argument("--replicas", type=int, default=1)
    given = parser.parse_args(arguments)
    from ray import serve

    serve.run(deploy(given.policy, given.runtime, given.replicas), blocking=True)


if __name__ == "__main__":
    main()
