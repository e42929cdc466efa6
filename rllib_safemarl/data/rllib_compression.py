"""RLlib's compressed columns: base64 of lz4 of a pickled array, read without executing anything.

RLlib compresses observations by default. A pickle can run any code, so only what NumPy's plain arrays need is
let through.
"""

from __future__ import annotations

import base64
import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

_ALLOWED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype"), ("builtins", "bytearray"), ("_codecs", "encode")}
    | {
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    }
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return super().find_class(module, name)


def decompress(packed: str | bytes, where: str) -> NDArray:
    """One compressed array of numbers.

    Args:
        packed: as RLlib wrote it.
        where: file and column, for messages.

    Raises:
        SafeMARLError: it is damaged, or holds something other than an array of numbers.
    """
    try:
        import lz4.frame
    except ImportError as error:
        raise SafeMARLError(f"{where} is compressed; reading it needs lz4: pip install lz4.") from error
    try:
        content = lz4.frame.decompress(base64.b64decode(packed, validate=True))
        value = np.asarray(_Unpickler(io.BytesIO(content)).load())
    except Exception as error:
        # What a stranger made of it can go wrong in any way.
        raise SafeMARLError(
            f"{where} cannot be decompressed ({error}); record again with output_compress_columns=[]."
        ) from error
    if value.dtype.kind not in "fiub":
        raise SafeMARLError(f"{where} holds {value.dtype}, not an array of numbers.")
    return value
