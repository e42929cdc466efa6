"""A planner that denoises the windows of a whole team, of which it sees one agent (Zhu et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rllib_safemarl.functional.diffusion_samplers import Inpainting
from rllib_safemarl.nn.denoisers import make_denoiser
from rllib_safemarl.policies.planner import CONDITIONS, Planner


class TeamPlanner(Planner):
    """Plans of all A agents from the view of one of them, whose own plan is then followed.

    The network attends across agents at every moment, tells them apart by what it knows of them alone, and
    has no order of them. Which of them sees is a flag of the context, and only for that one the first moment
    and the taken slots are known. In acting that is the first of A; the others' plans are dropped. A is the
    number of agents in training, wherever it acts later: it plans for itself and for A - 1 others, and a
    larger team is to it one of that size.
    """

    team_size: Tensor

    def make_denoiser(self, length: int) -> nn.Module:
        """A network with attention across agents; what it knows besides is taken slots and who sees."""
        made = (self.settings["denoiser"], self.layout.width, length, len(CONDITIONS), self.layout.slots + 1)
        return make_denoiser(*made, **{**self.settings["denoiser_settings"], "agent_attention": True})

    def _register_facts(self, length: int) -> None:
        super()._register_facts(length)
        self.register_buffer("team_size", torch.tensor(1))

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Shape of what is denoised for one plan: ``[A, H + 1, V]``."""
        return int(self.team_size), *super().window_shape

    def told(self, y: Tensor, mask: Tensor, seeing: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Condition ``[B, A, 2]`` and context ``[B, A, K + 1]`` of plans.

        Args:
            y: ``[B, A, 2]``; ``[B, 2]`` is asked of all agents alike.
            mask: ``[B, K]`` taken slots of the agents that see.
            seeing: ``[B]`` which agents see; the first where not given.
        """
        if y.dim() == 2:
            y = y.unsqueeze(1).expand(-1, int(self.team_size), -1)
        context = y.new_zeros(*y.shape[:2], mask.shape[-1] + 1)
        rows = torch.arange(len(y), device=y.device)
        context[rows, 0 if seeing is None else seeing] = torch.cat(
            [mask.to(y.dtype), y.new_ones(len(y), 1)], 1
        )
        return y, context

    def known(self, x: Tensor, seeing: Tensor | None = None) -> Inpainting:
        """What is known of windows ``[B, A, H + 1, V]``: the presents ``x [B, V]`` of the agents that see."""
        values = x.new_zeros(len(x), *self.window_shape)
        known = torch.zeros(*values.shape[:-1], 1, dtype=torch.bool, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        agents = 0 if seeing is None else seeing
        values[rows, agents, 0] = x
        known[rows, agents, 0] = True
        return Inpainting(values, known)

    def own_plans(self, windows: Tensor) -> Tensor:
        """The plans ``[B, H + 1, V]`` of the agents that act."""
        return windows[:, 0]
