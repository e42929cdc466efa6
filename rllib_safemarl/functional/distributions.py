"""Action distributions as pure functions of their flat inputs.

Each class holds functions only: ``inputs [..., P]`` are what a policy network puts out, ``actions`` what
it chose. They agree with RLlib's classes of the same meaning, without their objects per call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG_2PI = math.log(2.0 * math.pi)


class ActionDistribution(Protocol):
    """Functions of distribution inputs; log-probabilities are per agent, summed over dimensions.

    Generators are the CPU's wherever the inputs are, so that a seed draws the same everywhere.
    """

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor: ...

    def mode(self, inputs: Tensor) -> Tensor: ...

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor: ...

    def entropy(self, inputs: Tensor) -> Tensor: ...

    def kl(self, old: Tensor, new: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent normals; inputs are ``[mean | log std]``, each as long as the action."""

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw actions ``[..., D]``."""
        mean, log_std = inputs.chunk(2, -1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        return torch.addcmul(mean, log_std.exp(), noise)

    def mode(self, inputs: Tensor) -> Tensor:
        """The mean ``[..., D]``."""
        return inputs.chunk(2, -1)[0]

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor:
        """Log density ``[...]``, summed over dimensions; has first derivatives by ``inputs`` alone."""
        return _GaussianLogProb.apply(inputs, actions)

    def entropy(self, inputs: Tensor) -> Tensor:
        """Entropy ``[...]`` in nats."""
        log_std = inputs.chunk(2, -1)[1]
        return log_std.sum(-1) + 0.5 * (1.0 + LOG_2PI) * log_std.shape[-1]

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old ‖ new) ``[...]`` in nats."""
        (mean, log_std), (mean_new, log_std_new) = old.chunk(2, -1), new.chunk(2, -1)
        spread = ((2.0 * log_std).exp() + (mean - mean_new).square()) * (-2.0 * log_std_new).exp()
        return (log_std_new - log_std + 0.5 * spread - 0.5).sum(-1)


class _GaussianLogProb(torch.autograd.Function):
    """Log density with its gradient written out, which on small batches halves its time.

    With z = (a - mean) / std: ``d log p = z / std · d mean + (z² - 1) · d log std``.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = inputs.chunk(2, -1)
        precision = (-log_std).exp()
        scaled = (actions - mean) * precision
        ctx.save_for_backward(scaled, precision)
        return -(0.5 * scaled.square() + log_std).sum(-1) - 0.5 * LOG_2PI * mean.shape[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        scaled, precision = ctx.saved_tensors
        return grad.unsqueeze(-1) * torch.cat([scaled * precision, scaled.square() - 1.0], -1), None


@dataclass(frozen=True)
class Deterministic:
    """One action; inputs are the action ``[..., D]`` itself."""

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The action."""
        return inputs

    def mode(self, inputs: Tensor) -> Tensor:
        """The action."""
        return inputs

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor:
        """There is none: a point has no density."""
        raise NotImplementedError("a deterministic policy has no density")

    def entropy(self, inputs: Tensor) -> Tensor:
        """There is none."""
        raise NotImplementedError("a deterministic policy has no entropy")

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """There is none."""
        raise NotImplementedError("deterministic policies have no divergence")


@dataclass(frozen=True)
class Categorical:
    """One of n choices; inputs are logits ``[..., n]``, actions integers ``[...]``."""

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw actions by the Gumbel trick."""
        noise = torch.empty(inputs.shape).exponential_(generator=generator).to(inputs)
        return (inputs - noise.log()).argmax(-1)

    def mode(self, inputs: Tensor) -> Tensor:
        """The likeliest choice."""
        return inputs.argmax(-1)

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor:
        """Log probability ``[...]``."""
        return inputs.log_softmax(-1).gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self, inputs: Tensor) -> Tensor:
        """Entropy ``[...]`` in nats."""
        log_p = inputs.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old ‖ new) ``[...]`` in nats."""
        log_p, log_q = old.log_softmax(-1), new.log_softmax(-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)


@dataclass(frozen=True)
class MultiCategorical:
    """Several independent choices; inputs are their logits side by side, actions ``[..., k]``."""

    sizes: tuple[int, ...]
    one = Categorical()

    def _parts(self, inputs: Tensor) -> Sequence[Tensor]:
        return inputs.split(self.sizes, -1)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw actions ``[..., k]``."""
        return torch.stack([self.one.sample(p, generator) for p in self._parts(inputs)], -1)

    def mode(self, inputs: Tensor) -> Tensor:
        """The likeliest choices ``[..., k]``."""
        return torch.stack([self.one.mode(p) for p in self._parts(inputs)], -1)

    def log_prob(self, inputs: Tensor, actions: Tensor) -> Tensor:
        """Log probability ``[...]``, summed over choices."""
        parts = zip(self._parts(inputs), actions.unbind(-1), strict=True)
        return torch.stack([self.one.log_prob(p, a) for p, a in parts]).sum(0)

    def entropy(self, inputs: Tensor) -> Tensor:
        """Entropy ``[...]`` in nats, summed over choices."""
        return torch.stack([self.one.entropy(p) for p in self._parts(inputs)]).sum(0)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old ‖ new) ``[...]`` in nats, summed over choices."""
        parts = zip(self._parts(old), self._parts(new), strict=True)
        return torch.stack([self.one.kl(p, q) for p, q in parts]).sum(0)
