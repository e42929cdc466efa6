"""Sums, and a maximum, over learners, done by hand; with one learner they cost nothing.

RLlib's DistributedDataParallel hooks fire only on ``backward()`` and one module at a time, while the
sequential scheme needs its own order, and trust-region steps need products and line searches reduced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor


def num_learners() -> int:
    """Learners that update together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_arrays(*arrays: NDArray | float) -> list[NDArray[np.float64]]:
    """Each array summed over all learners, in one message."""
    parts = [np.asarray(array, np.float64) for array in arrays]
    if num_learners() == 1:
        return parts
    message = torch.from_numpy(np.concatenate([part.ravel() for part in parts]))
    dist.all_reduce(message)
    flat, start, summed = message.numpy(), 0, []
    for part in parts:
        summed.append(flat[start : start + part.size].reshape(part.shape))
        start += part.size
    return summed


def max_array(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of all learners' values, place by place."""
    if num_learners() == 1:
        return array
    message = torch.from_numpy(array.copy())
    dist.all_reduce(message, op=dist.ReduceOp.MAX)
    return message.numpy()


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Sum the gradients of all learners, in place and in one message."""
    if num_learners() == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(message)
    start = 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = message[start : start + gradient.numel()].view_as(gradient)
        start += gradient.numel()


def sum_tensor(tensor: Tensor) -> Tensor:
    """A tensor summed over all learners, in place."""
    if num_learners() > 1:
        dist.all_reduce(tensor)
    return tensor


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors in place with those of the first learner."""
    if num_learners() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.data, src=0)


def gather_last(tensor: Tensor) -> Tensor:
    """Equally shaped tensors of all learners, one after another along the last axis."""
    if num_learners() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(num_learners())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts, -1)


def own_part(tensor: Tensor) -> Tensor:
    """This learner's part of what :func:`gather_last` gave."""
    return tensor if num_learners() == 1 else tensor.chunk(num_learners(), -1)[dist.get_rank()]
