"""The networks of FISOR: a diffusion model of single actions, and how infeasible each of them is."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.functional.diffusion_schedules import noise_schedule
from rllib_safemarl.nn.denoisers import make_denoiser
from rllib_safemarl.nn.set_encoder import SetLayout
from rllib_safemarl.nn.value_networks import TwinQNetwork, ValueNetwork
from rllib_safemarl.policies.acting_network import ActingNetwork
from rllib_safemarl.policies.layouts import ActionLayout, StateLayout


class ActionSampler(ActingNetwork):
    """Actions of one agent in the state that it sees, denoised as windows of one moment.

    A window is an encoded action with the state beside it, which is known. Choices are one-hot, between -1
    and 1.

    Args:
        layout: of the states.
        action: of the actions.
        settings: of ``FISOR_SETTINGS``.
        hiddens: of the values.
    """

    training_only = ("target_q_h", "v_h", "q", "target_q", "v", "denoiser")
    scale: Tensor

    def __init__(
        self, layout: StateLayout, action: ActionLayout, settings: Mapping[str, Any], hiddens: Sequence[int]
    ) -> None:
        super().__init__(layout, action, settings, hiddens)
        flat = SetLayout(layout.width)
        self.q_h, self.q = (TwinQNetwork(flat, action.encoded, self.hiddens) for _ in range(2))
        self.v_h, self.v = (ValueNetwork(flat, self.hiddens) for _ in range(2))
        width = action.encoded + layout.width
        self.denoiser = make_denoiser(settings["denoiser"], width, 1, 0, **settings["denoiser_settings"])
        self.target_q_h, self.target_q, self.acting_denoiser = (
            copy.deepcopy(net).requires_grad_(False) for net in (self.q_h, self.q, self.denoiser)
        )
        self.schedule = noise_schedule(settings["noise_schedule"], settings["diffusion_steps"])
        self.register_buffer("scale", torch.tensor(1.0))

    def encode(self, actions: Tensor) -> Tensor:
        """Actions as they are denoised: ``[..., E]``, about within [-1, 1]."""
        encoded = self.action.encode(actions)
        return 2.0 * encoded - 1.0 if self.action.choices else encoded

    def decode(self, denoised: Tensor) -> Tensor:
        """What is denoised ``[..., E]`` as actions: within [-1, 1], or the likeliest choices."""
        if not self.action.choices:
            return denoised.clamp(-1.0, 1.0)
        best = torch.stack([part.argmax(-1) for part in denoised.split(self.action.choices, -1)], -1)
        return best[..., 0] if self.action.single else best

    def known(self, x: Tensor) -> Inpainting:
        """What is known of windows ``[B, 1, E + V]``: the states ``x [B, V]``."""
        blank = x.new_zeros(len(x), 1, self.action.encoded)
        known = torch.ones(self.action.encoded + x.shape[-1], dtype=torch.bool, device=x.device)
        known[: self.action.encoded] = False
        return Inpainting(torch.cat([blank, x[:, None]], -1), known)
