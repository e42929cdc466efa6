"""A recurrent policy network as plain layers around an LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.nn.stacked import ACTIVATIONS

State = dict[str, Tensor]
"""``h`` and ``c``, ``[B, layers, cells]`` each."""


@dataclass(frozen=True)
class LSTMNetwork:
    """Layers, an LSTM, layers: from a view and what is remembered to distribution inputs.

    Attributes:
        before: from the view to the LSTM's input; no layers where it takes the view itself.
        lstm: one step at a time.
        after: from the LSTM's output to distribution inputs.
    """

    before: PolicyMLP
    lstm: nn.LSTM
    after: PolicyMLP

    def initial(self) -> State:
        """What is remembered at the start of an episode, of one agent: nothing."""
        zeros = torch.zeros(self.lstm.num_layers, self.lstm.hidden_size)
        return {"h": zeros, "c": zeros.clone()}

    def __call__(self, views: Tensor, state: State) -> tuple[Tensor, State]:
        """Distribution inputs ``[B, …]`` of views ``[B, V]``, and the state after them."""
        x = _through(self.before, views[:, None])
        x, (h, c) = self.lstm(x, tuple(state[name].transpose(0, 1).contiguous() for name in ("h", "c")))
        out = _through(self.after, x)[:, 0]
        if self.after.log_std is not None:
            out = torch.cat([out, self.after.log_std.expand_as(out)], -1)
        return out, {"h": h.transpose(0, 1), "c": c.transpose(0, 1)}


def _through(layers: PolicyMLP, x: Tensor) -> Tensor:
    for weight, bias, activation in zip(layers.weights, layers.biases, layers.activations, strict=True):
        x = ACTIVATIONS[activation](nn.functional.linear(x, weight.t(), bias))
    return x
