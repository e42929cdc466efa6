"""Networks on disk: what describes them in JSON, and their tensors as arrays."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.distributions import (
    ActionDistribution,
    Categorical,
    Deterministic,
    DiagonalGaussian,
    MultiCategorical,
)
from rllib_safemarl.nn.lstm import LSTMNetwork
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.policies.acting_network import ActingNetwork
from rllib_safemarl.policies.action_sampler import ActionSampler
from rllib_safemarl.policies.deciding import DecidingPolicy
from rllib_safemarl.policies.kinds import MLPPolicy, Policy
from rllib_safemarl.policies.layouts import ActionLayout, StateLayout
from rllib_safemarl.policies.lstm_actor import LSTMPolicy
from rllib_safemarl.policies.planner import Planner
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.policies.sampling import SamplingPolicy
from rllib_safemarl.policies.team_planner import TeamPlanner

Arrays = dict[str, NDArray]
BEFORE, AFTER = "before", "after"
"""Parts of a recurrent network: what stands before its LSTM, and after."""

MLP, LSTM = "mlp", "lstm"
DECIDING: dict[str, tuple[type[ActingNetwork], type[DecidingPolicy]]] = {
    "planner": (Planner, PlanningPolicy),
    "team_planner": (TeamPlanner, PlanningPolicy),
    "action_sampler": (ActionSampler, SamplingPolicy),
}
"""Kind of networks → their class, and that of the policy that decides by them."""


def policy_to_json(name: str, policy: Policy, arrays: Arrays) -> dict[str, Any]:
    """Describe a policy; its tensors go into ``arrays`` under ``networks/<name>/``."""
    if isinstance(policy, MLPPolicy):
        return _mlp_to_json(name, policy, arrays)
    if isinstance(policy, LSTMPolicy):
        return _lstm_to_json(name, policy, arrays)
    return _networks_to_json(name, policy.network, arrays)


def policy_from_json(name: str, described: dict[str, Any], arrays: Arrays) -> Policy:
    """The policy that :func:`policy_to_json` described.

    Raises:
        SafeMARLError: its kind is unknown, or a setting does not fit; other errors, of any type, mean damage.
    """
    kind = described.get("kind", MLP)
    if kind == MLP:
        layers = _layers_from_arrays(name, described["activations"], arrays)
        return MLPPolicy(layers, _distribution(described))
    if kind == LSTM:
        return _lstm_from_json(name, described, arrays)
    if kind not in DECIDING:
        raise SafeMARLError(f"the policy's kind {kind!r} is unknown to this version.")
    network, policy = DECIDING[kind]
    # A file from before a setting of acting was known acts by its default.
    defaults = {setting: known.default for setting, known in policy.changeable.items()}
    settings = {**defaults, **described["settings"]}
    for setting, known in policy.changeable.items():
        known.check(setting, settings[setting])
    return policy(_networks_from_json(name, network, {**described, "settings": settings}, arrays))


# Networks with a distribution.


def _mlp_to_json(name: str, policy: MLPPolicy, arrays: Arrays) -> dict[str, Any]:
    _layers_to_arrays(name, policy.network, arrays)
    return {
        "kind": MLP,
        "activations": list(policy.network.activations),
        **_distribution_to_json(policy.distribution),
    }


def _lstm_to_json(name: str, policy: LSTMPolicy, arrays: Arrays) -> dict[str, Any]:
    network = policy.network
    for part in (BEFORE, AFTER):
        _layers_to_arrays(f"{name}/{part}", getattr(network, part), arrays)
    for key, tensor in network.lstm.state_dict().items():
        arrays[f"networks/{name}/lstm/{key}"] = tensor.cpu().numpy()
    return {
        "kind": LSTM,
        **{part: list(getattr(network, part).activations) for part in (BEFORE, AFTER)},
        "layers": network.lstm.num_layers,
        **_distribution_to_json(policy.distribution),
    }


def _lstm_from_json(name: str, described: dict[str, Any], arrays: Arrays) -> LSTMPolicy:
    begin = f"networks/{name}/lstm/"
    state = {key.removeprefix(begin): value for key, value in arrays.items() if key.startswith(begin)}
    (rows, cells), layers = state["weight_hh_l0"].shape, described["layers"]
    # Before memory is taken for what the arrays do not hold.
    if rows != 4 * cells or layers > len(state):
        raise ValueError(f"an LSTM of {layers} layers, {rows} rows and {cells} cells")
    inputs, bias = state["weight_ih_l0"].shape[1], "bias_ih_l0" in state
    lstm = nn.LSTM(inputs, cells, layers, bias=bias, batch_first=True)
    lstm.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    before, after = (
        _layers_from_arrays(f"{name}/{part}", described[part], arrays) for part in (BEFORE, AFTER)
    )
    return LSTMPolicy(LSTMNetwork(before, lstm.requires_grad_(False), after), _distribution(described))


def _layers_to_arrays(name: str, network: PolicyMLP, arrays: Arrays) -> None:
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays[f"networks/{name}/{k}/weight"] = weight.cpu().numpy()
        arrays[f"networks/{name}/{k}/bias"] = bias.cpu().numpy()
    if network.log_std is not None:
        arrays[f"networks/{name}/log_std"] = network.log_std.cpu().numpy()


def _layers_from_arrays(name: str, activations: list[str], arrays: Arrays) -> PolicyMLP:
    layers = range(len(activations))
    log_std = arrays.get(f"networks/{name}/log_std")
    return PolicyMLP(
        tuple(torch.from_numpy(arrays[f"networks/{name}/{k}/weight"]) for k in layers),
        tuple(torch.from_numpy(arrays[f"networks/{name}/{k}/bias"]) for k in layers),
        tuple(activations),
        None if log_std is None else torch.from_numpy(log_std),
    )


def _distribution_to_json(distribution: ActionDistribution) -> dict[str, Any]:
    sizes = list(distribution.sizes) if isinstance(distribution, MultiCategorical) else None
    return {"distribution": type(distribution).__name__, "choices": sizes}


def _distribution(described: dict[str, Any]) -> ActionDistribution:
    known = {each.__name__: each for each in (DiagonalGaussian, Deterministic, Categorical)}
    name = described["distribution"]
    if name == MultiCategorical.__name__:
        return MultiCategorical(tuple(described["choices"]))
    if name not in known:
        raise SafeMARLError(f"the policy's distribution {name!r} is unknown to this version.")
    return known[name]()


# Networks that decide.


def _networks_to_json(name: str, network: ActingNetwork, arrays: Arrays) -> dict[str, Any]:
    for key, tensor in network.acting_state().items():
        arrays[f"networks/{name}/{key}"] = tensor.cpu().numpy()
    return {
        "kind": next(kind for kind, (known, _) in DECIDING.items() if type(network) is known),
        "layout": asdict(network.layout),
        "action": {**asdict(network.action), "choices": list(network.action.choices)},
        "settings": network.settings,
        "hiddens": list(network.hiddens),
    }


def _networks_from_json(
    name: str, make: type[ActingNetwork], described: dict[str, Any], arrays: Arrays
) -> ActingNetwork:
    layout, action = described["layout"], described["action"]
    network = make(
        StateLayout(**{**layout, "sets": SetLayout(**layout["sets"])}),
        ActionLayout(**{**action, "choices": tuple(action["choices"])}),
        described["settings"],
        described["hiddens"],
    )
    begin = f"networks/{name}/"
    state = {key.removeprefix(begin): value for key, value in arrays.items() if key.startswith(begin)}
    network.load_acting({key: torch.from_numpy(value) for key, value in state.items()})
    return network
