"""M modules of one structure, whatever it is, evaluated at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn


class StackedModules:
    """Copies of M modules' values as stacks ``[M, ...]``, and one call for all by ``vmap``.

    Args:
        modules: alike, see :func:`structure`; each maps ``[B, ...]`` to ``[B, ...]``.

    Attributes:
        stacks: name → the members' parameters, leaves that can be trained.
        members: name → the modules' own.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.stacks, self._buffers = torch.func.stack_module_state(list(modules))
        tables = [dict(module.named_parameters()) for module in modules]
        self.members = {name: [table[name] for table in tables] for name in self.stacks}
        tables = [dict(module.named_buffers()) for module in modules]
        self._fixed = {name: [table[name] for table in tables] for name in self._buffers}
        first = modules[0]

        def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return torch.func.functional_call(first, (parameters, buffers), (x,))

        self._call = torch.vmap(call)

    def __call__(self, x: Tensor) -> Tensor:
        """Map ``[M, B, ...]`` to ``[M, B, ...]``."""
        return self._call(self.stacks, self._buffers, x)

    @torch.no_grad()
    def load(self) -> None:
        """Take over the modules' present values."""
        self._buffers = {name: torch.stack(members) for name, members in self._fixed.items()}
        for name, stack in self.stacks.items():
            members = self.members[name]
            if members[0].device == stack.device:
                torch.stack(members, out=stack.detach())
            else:
                self.stacks[name] = torch.stack(members).requires_grad_(stack.requires_grad)


def structure(module: nn.Module) -> Hashable:
    """Equal for modules of one class whose parameters and buffers have the same names and shapes."""

    def sizes(tensors: Sequence[tuple[str, Tensor]]) -> Hashable:
        return tuple((name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors)

    return type(module), sizes(list(module.named_parameters())), sizes(list(module.named_buffers()))


def stack_modules(modules: Sequence[nn.Module], size: int) -> StackedModules | str:
    """A stack that has given what its modules give on a few rows, or why there is none.

    Args:
        modules: of equal :func:`structure`.
        size: length of a row ``[B, size]``.
    """
    try:
        stack = StackedModules(modules)
        rows = torch.randn(len(modules), 3, size, generator=torch.Generator().manual_seed(0))
        rows = rows.to(next(iter(stack.stacks.values())).device)
        with torch.no_grad():
            together = stack(rows)
            alone = torch.stack([module(r) for module, r in zip(modules, rows, strict=True)])
        same = torch.allclose(together, alone, rtol=1e-4, atol=1e-5)
    except Exception as error:
        # Whatever a user's module does that vmap cannot.
        return next(iter(str(error).splitlines()), type(error).__name__)
    return stack if same else "together they give other outputs than one by one"
