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


def _messenger() -> torch.device:
    """Where messages must be: NCCL, by which Ray joins learners with GPUs, sends nothing from the CPU."""
    return torch.device("cuda" if dist.get_backend() == dist.Backend.NCCL else "cpu")


def num_learners() -> int:
    """Learners that update together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_arrays(*arrays: NDArray | float) -> list[NDArray[np.float64]]:
    """Each array summed over all learners, in one message."""
    parts = [np.asarray(array, np.float64) for array in arrays]
    if num_learners() == 1:
        return parts
    message = torch.from_numpy(np.concatenate([part.ravel() for part in parts])).to(_messenger())
    dist.all_reduce(message)
    flat, start, summed = message.cpu().numpy(), 0, []
    for part in parts:
        summed.append(flat[start : start + part.size].reshape(part.shape))
        start += part.size
    return summed


def max_array(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of all learners' values, place by place."""
    if num_learners() == 1:
        return array
    message = torch.from_numpy(array.copy()).to(_messenger())
    dist.all_reduce(message, op=dist.ReduceOp.MAX)
    return message.cpu().numpy()


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
    """A tensor of the learner's device summed over all learners, in place."""
    if num_learners() > 1:
        dist.all_reduce(tensor)
    return tensor


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors in place with those of the first learner."""
    if num_learners() > 1:
        for tensor in tensors:
            message = tensor.data.to(_messenger())
            dist.broadcast(message, src=0)
            tensor.data.copy_(message)


def gather_last(tensor: Tensor) -> Tensor:
    """Equally shaped tensors of all learners, one after another along the last axis."""
    if num_learners() == 1:
        return tensor
    message = tensor.to(_messenger()).contiguous()
    parts = [torch.empty_like(message) for _ in range(num_learners())]
    dist.all_gather(parts, message)
    return torch.cat(parts, -1).to(tensor)


def own_part(tensor: Tensor) -> Tensor:
    """This learner's part of what :func:`gather_last` gave."""
    return tensor if num_learners() == 1 else tensor.chunk(num_learners(), -1)[dist.get_rank()]
