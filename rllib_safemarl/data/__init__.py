"""Datasets on disk: several agents, costs, ragged episodes. Nothing here knows Ray or torch.

``read_dataset(path)`` and ``write_dataset(dataset, path)`` serve files and folders; a
:class:`~rllib_safemarl.data.dataset.Dataset` holds columns. :mod:`rllib_safemarl.data.hdf5` describes the
layout.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "ActionSchema": "rllib_safemarl.data.schema",
    "Dataset": "rllib_safemarl.data.dataset",
    "KindSchema": "rllib_safemarl.data.schema",
    "NormaliserStatistics": "rllib_safemarl.data.normaliser",
    "Provenance": "rllib_safemarl.data.schema",
    "Schema": "rllib_safemarl.data.schema",
    "ShardWriter": "rllib_safemarl.data.shards",
    "concatenate": "rllib_safemarl.data.dataset",
    "decode_chunks": "rllib_safemarl.data.parquet",
    "iterate_dataset": "rllib_safemarl.data.files",
    "make_dataset": "rllib_safemarl.data.dataset",
    "read_dataset": "rllib_safemarl.data.files",
    "single_kind": "rllib_safemarl.data.schema",
    "write_dataset": "rllib_safemarl.data.files",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
