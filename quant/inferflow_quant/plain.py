"""Formats that are one numpy number each: every float and integer type of a checkpoint."""

from typing import Any, ClassVar

import numpy as np

from inferflow_quant.rows import Array, packed, rows


class Plain:
    """Little-endian numbers of one numpy type, side by side.

    Integers become the nearest float32 (exact up to 2**24). Packing rounds to the nearest float,
    beyond the range to infinity; for an integer type it drops the fraction.
    """

    api = 1
    name: str
    dtype: ClassVar[np.dtype[Any]]
    block = 1
    block_bytes: int

    def unpack(self, data: Array, shape: tuple[int, ...]) -> Array:
        """uint8 [nbytes] -> float32 of `shape`; a view of `data` where the format is f32."""
        values = rows(self, data, shape).view(self.dtype).reshape(shape)
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)

    def pack(self, values: Array) -> Array:
        """float32 of any shape -> uint8 [nbytes]."""
        with np.errstate(over="ignore", invalid="ignore"):
            return packed(np.asarray(values, np.float32).astype(self.dtype))
