"""A policy as an ONNX graph: from a view to the action for the environment, its mode."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from gymnasium import spaces

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.functional.distributions import Categorical, DiagonalGaussian, MultiCategorical
from rllib_safemarl.policies.kinds import MLPPolicy, Policy

VIEW, ACTION = "view", "action"
"""Input ``[B, V]`` and output ``[B, ...]`` of every graph."""
OPSET, IR_VERSION = 17, 8
"""Of what is written: old enough for runtimes on robots (ONNX Runtime 1.12, of 2022)."""
LEAK = 0.01
"""Of torch's leaky ReLU."""


def policy_to_onnx(name: str, policy: Policy, space: spaces.Space, transform: ActionTransform) -> bytes:
    """A policy's graph.

    Args:
        name: of the policy; the graph's.
        policy: a feed-forward one.
        space: of its actions.
        transform: from its actions to the environment's.

    Raises:
        SafeMARLError: it remembers, plans or samples, or onnx is not installed; one line.
    """
    if not isinstance(policy, MLPPolicy):
        raise SafeMARLError(
            f"policy {name!r} is a {type(policy).__name__}, and only feed-forward networks become ONNX; its "
            "folder without --onnx acts by torch alone, without Ray."
        )
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise SafeMARLError("ONNX needs onnx: pip install 'rllib_safemarl[export]'.") from error
    graph = _Graph()
    inputs = graph.mlp(VIEW, policy)
    action = graph.transformed(graph.mode(inputs, policy), transform)
    graph.output(action, space.shape or (), isinstance(space, spaces.Box))
    return graph.model(name, int(policy.network.weights[0].shape[0]))


class _Graph:
    """Nodes and constants of a graph that is being built."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._output: Any = None

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node; the name of its output."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant; its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def mlp(self, x: str, policy: MLPPolicy) -> str:
        """Layers, without deviations that are free of the view: the mode needs none."""
        network = policy.network
        for weight, bias, activation in zip(
            network.weights, network.biases, network.activations, strict=True
        ):
            x = self.add("Gemm", x, self.constant(weight.cpu().numpy()), self.constant(bias.cpu().numpy()))
            x = self.activation(x, activation)
        return x

    def activation(self, x: str, name: str) -> str:
        """One of :data:`rllib_safemarl.nn.stacked.ACTIVATIONS`."""
        if name == "linear":
            return x
        if name in ("swish", "silu"):
            return self.add("Mul", x, self.add("Sigmoid", x))
        if name == "gelu":
            half = self.add("Mul", x, self.constant(0.5))
            erf = self.add("Erf", self.add("Mul", x, self.constant(np.sqrt(0.5))))
            return self.add("Mul", half, self.add("Add", erf, self.constant(1.0)))
        if name == "leakyrelu":
            return self.add("LeakyRelu", x, alpha=LEAK)
        return self.add({"tanh": "Tanh", "relu": "Relu", "elu": "Elu"}[name], x)

    def mode(self, inputs: str, policy: MLPPolicy) -> str:
        """The likeliest action of a distribution's inputs."""
        distribution, width = policy.distribution, int(policy.network.biases[-1].shape[0])
        if isinstance(distribution, Categorical):
            return self.add("ArgMax", inputs, axis=1, keepdims=0)
        if isinstance(distribution, MultiCategorical):
            ends = np.cumsum([0, *distribution.sizes])
            parts = [self.columns(inputs, a, b) for a, b in itertools.pairwise(ends)]
            choices = [self.add("ArgMax", part, axis=1, keepdims=1) for part in parts]
            return self.add("Concat", *choices, axis=1)
        if isinstance(distribution, DiagonalGaussian) and policy.network.log_std is None:
            return self.columns(inputs, 0, width // 2)
        return inputs

    def columns(self, x: str, start: int, end: int) -> str:
        """Columns ``start`` to ``end`` of ``[B, D]``."""
        return self.add("Slice", x, *(self.constant([value], np.int64) for value in (start, end, 1)))

    def transformed(self, x: str, transform: ActionTransform) -> str:
        """The environment's actions, as :class:`ActionTransform` makes them."""
        if transform.low is None or transform.high is None:
            start = np.asarray(transform.start)
            return self.add("Add", x, self.constant(start, np.int64)) if np.any(start) else x
        low, high = self.constant(transform.low), self.constant(transform.high)
        if transform.scale is not None:
            raised, scale = self.add("Add", x, self.constant(1.0)), self.constant(transform.scale)
            x = self.add("Add", low, self.add("Mul", raised, scale))
        return self.add("Min", self.add("Max", x, low), high)

    def output(self, x: str, sizes: tuple[int, ...], real: bool) -> None:
        """The graph's output is this."""
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node("Identity", [x], [ACTION]))
        kind = TensorProto.FLOAT if real else TensorProto.INT64
        self._output = helper.make_tensor_value_info(ACTION, kind, ["batch", *sizes])

    def model(self, name: str, width: int) -> bytes:
        """The model, checked.

        Args:
            name: of the graph.
            width: V of the views.
        """
        import onnx
        from onnx import TensorProto, helper

        view = helper.make_tensor_value_info(VIEW, TensorProto.FLOAT, ["batch", width])
        graph = helper.make_graph(self._nodes, name, [view], [self._output], self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "rllib_safemarl"
        onnx.checker.check_model(model)
        return model.SerializeToString()
