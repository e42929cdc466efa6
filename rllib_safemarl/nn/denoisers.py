"""Denoisers by name.

All of them share one signature, :class:`Denoiser`, and know nothing of schedules, solvers or of what it
is that they predict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.nn.denoisers_mlp import MLPDenoiser
from rllib_safemarl.nn.denoisers_transformer import TransformerDenoiser
from rllib_safemarl.nn.denoisers_unet import TemporalUNet


class Denoiser(Protocol):
    """What a denoiser takes and gives."""

    def __call__(
        self,
        x: Tensor,
        steps: Tensor,
        condition: Tensor | None = None,
        dropped: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Predict ε, x_0 or v.

        Args:
            x: ``[B, H, D]`` noised windows; ``[B, A, H, D]`` of all agents with ``agent_attention``.
            steps: ``[B]`` k of the schedule, 1 … K.
            condition: ``[B, Y]``, or ``[B, A, Y]``; ``None`` drops all of it.
            dropped: entries that are not given, as ``condition``; ``None`` gives all.
            context: ``[B, C]``, or ``[B, A, C]``; never dropped.

        Returns:
            A prediction, shaped as ``x``.
        """
        ...


DENOISERS: dict[str, Callable[..., nn.Module]] = {
    "transformer": TransformerDenoiser,
    "mlp": MLPDenoiser,
    "unet": TemporalUNet,
    "paper_scale": partial(TemporalUNet, width=128, multipliers=(1, 4, 8)),
}
"""Name → network. ``paper_scale`` is the U-Net of the size published with MADiff."""


def make_denoiser(
    name: str, features: int, length: int, conditions: int, context: int = 0, **settings: Any
) -> nn.Module:
    """A denoiser.

    Args:
        name: one of :data:`DENOISERS`.
        features: D of the windows.
        length: H, moments of a window.
        conditions: Y, entries of the condition.
        context: C, entries of the context.
        settings: of the network, such as ``width``, ``layers`` or ``agent_attention``.

    Raises:
        SafeMARLError: there is no such network, or it has no such setting.
    """
    if name not in DENOISERS:
        raise SafeMARLError(
            f"there is no denoiser {name!r}; use one of {', '.join(DENOISERS)}."
            f"{nearest_name(name, DENOISERS)}"
        )
    network = DENOISERS[name]
    known = set(inspect.signature(network).parameters) - {"features", "length", "conditions", "context"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise SafeMARLError(
            f"the denoiser {name!r} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}."
            f"{nearest_name(unknown[0], known)}"
        )
    return network(features, length, conditions, context, **settings)
