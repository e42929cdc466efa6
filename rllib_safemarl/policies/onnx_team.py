"""A team's policies run by ONNX Runtime: no torch, no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.acting_team import ActingTeam, PolicySettings


class OnnxTeam(ActingTeam):
    """Policies of a team, whose graphs map views ``[B, V]`` to actions for the environment.

    Args:
        team: the agents, their spaces, graph and policies.
        graphs: policy → its ONNX graph.
        settings: what else acting depends on; the graphs have the scaling of actions in them.

    Raises:
        SafeMARLError: ONNX Runtime is not installed, or does not take a graph; one line.
    """

    def __init__(self, team: Team, graphs: Mapping[str, bytes], settings: PolicySettings) -> None:
        super().__init__(team, settings)
        self._sessions = {name: _session(name, graph) for name, graph in graphs.items()}

    def _act(self, views: Mapping[str, NDArray[np.float32]], explore: bool) -> dict[str, NDArray]:
        if explore:
            raise SafeMARLError(
                "ONNX graphs give the mode of a policy's actions and sample none: act without explore, or "
                "load_policy(…) without runtime='onnx'."
            )
        actions: dict[str, NDArray] = {}
        for group in self.groups:
            seen = group.pick(views[group.kind])
            copies, agents, width = seen.shape
            rows = np.ascontiguousarray(seen, np.float32).reshape(copies * agents, width)
            (chosen,) = self._sessions[group.policy].run(None, {"view": rows})
            chosen = chosen.reshape(copies, agents, *chosen.shape[1:])
            if group.kind not in actions:
                shape = (copies, self._sizes[group.kind], *chosen.shape[2:])
                actions[group.kind] = np.empty(shape, chosen.dtype)
            actions[group.kind][:, group.rows] = chosen
        return actions


def _session(name: str, graph: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise SafeMARLError("runtime='onnx' needs ONNX Runtime: pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    # Networks this small are slower on several threads, and a robot has other work for them.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        said = " ".join(str(error).split())
        raise SafeMARLError(f"ONNX Runtime does not take the graph of policy {name!r}: {said}.") from error
