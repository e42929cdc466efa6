"""The default policy network: RLlib's own actor, without the critic we would not train."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.models.base import ACTOR, ENCODER_OUT
from ray.rllib.core.models.configs import RecurrentEncoderConfig
from ray.rllib.core.models.torch.encoder import TorchLSTMEncoder
from ray.rllib.core.models.torch.heads import TorchFreeLogStdMLPHead
from ray.rllib.core.rl_module.rl_module import RLModule
from torch import nn

from rllib_safemarl.nn.lstm import LSTMNetwork
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.rollout.network_module import NetworkRLModule

OUTPUT_GAIN = 0.01
"""The policy head's initial weights are this share of RLlib's: a first policy acts around 0."""

_ACTIVATIONS = {nn.Tanh: "tanh", nn.ReLU: "relu", nn.SiLU: "silu", nn.ELU: "elu", nn.GELU: "gelu"}
Layer = tuple[torch.Tensor, torch.Tensor, str]
"""Weight ``[in, out]``, bias and activation."""


class ActorRLModule(DefaultPPOTorchRLModule):
    """Encoder and policy head of PPO's default RLModule, built by its catalog and model config.

    Unlike RLlib's default, continuous actions have a standard deviation free of the observation unless
    ``free_log_std`` is set.
    """

    def setup(self) -> None:
        """Build the acting half only, on env runners and learners alike."""
        if self.catalog is None:
            raise self._catalog_ctor_error
        continuous = isinstance(self.action_space, spaces.Box)
        if continuous and "free_log_std" not in (self.model_config or {}):
            self.catalog._model_config_dict["free_log_std"] = True
        encoder = self.catalog.actor_critic_encoder_config
        # RLlib's recurrent encoder would build a critic's beside an actor's of its own.
        encoder.shared = isinstance(encoder.base_encoder_config, RecurrentEncoderConfig)
        encoder.inference_only = True
        self.encoder = self.catalog.build_actor_critic_encoder(framework=self.framework)
        self.pi = self.catalog.build_pi_head(framework=self.framework)
        output = [layer for layer in self.pi.modules() if isinstance(layer, nn.Linear)][-1]
        with torch.no_grad():
            output.weight.mul_(OUTPUT_GAIN)
            output.bias.zero_()

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """RLlib's, but for its head of free deviations, which takes rows and knows no axis of time."""
        encoded = self.encoder(batch)
        features = encoded[ENCODER_OUT][ACTOR]
        inputs = self.pi(features.flatten(0, -2)).unflatten(0, features.shape[:-1])
        state = {Columns.STATE_OUT: encoded[Columns.STATE_OUT]} if Columns.STATE_OUT in encoded else {}
        return {Columns.ACTION_DIST_INPUTS: inputs, **state}

    def get_non_inference_attributes(self) -> list[str]:
        """None: everything here acts."""
        return []

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As when acting."""
        return self._forward(batch, **kwargs)


def policy_mlp(module: RLModule) -> PolicyMLP | None:
    """The module as plain layers, sharing its parameters; ``None`` if it is anything but an MLP of ours."""
    if type(module) is NetworkRLModule:
        return module.network.folded()
    if type(module) is not ActorRLModule:
        return None
    encoder = _layers(getattr(module.encoder, "actor_encoder", None))
    head = _layers(module.pi)
    return None if encoder is None or head is None else _with_head(module, [*encoder, *head])


def policy_lstm(module: RLModule) -> LSTMNetwork | None:
    """The module as layers around an LSTM, sharing its parameters; ``None`` if it is none of ``use_lstm``."""
    recurrent = getattr(getattr(module, "encoder", None), "encoder", None)
    if type(module) is not ActorRLModule or not isinstance(recurrent, TorchLSTMEncoder):
        return None
    tokenizer = recurrent.tokenizer
    before, head = [] if tokenizer is None else _layers(tokenizer), _layers(module.pi)
    after = None if head is None else _with_head(module, head)
    if before is None or after is None or not recurrent.lstm.batch_first:
        return None
    return LSTMNetwork(_plain(before), recurrent.lstm, after)


def _with_head(module: ActorRLModule, layers: list[Layer]) -> PolicyMLP | None:
    """Layers that end in the module's head, with the head's own deviations."""
    if not isinstance(module.pi, TorchFreeLogStdMLPHead):
        return None if module.pi.clip_log_std else _plain(layers)
    log_std = module.pi.log_std.detach()
    if module.pi.clip_log_std:
        bound = float(module.pi.log_std_clip_param_const)
        log_std = log_std.clamp(-bound, bound)
    return _plain(layers, log_std)


def _layers(part: Any) -> list[Layer] | None:
    """Weight, bias and activation of every layer of a part of RLlib's; ``None`` if it has others."""
    mlp = getattr(getattr(part, "net", None), "mlp", None)
    if not isinstance(mlp, nn.Sequential):
        return None
    found: list[Layer] = []
    for layer in mlp:
        if isinstance(layer, nn.Linear):
            found.append((layer.weight.detach().t(), layer.bias.detach(), "linear"))
        elif type(layer) in _ACTIVATIONS and found and found[-1][2] == "linear":
            found[-1] = (*found[-1][:2], _ACTIVATIONS[type(layer)])
        else:
            return None
    return found


def _plain(layers: list[Layer], log_std: torch.Tensor | None = None) -> PolicyMLP:
    weights, biases, activations = zip(*layers, strict=True) if layers else ((), (), ())
    return PolicyMLP(weights, biases, activations, log_std)
