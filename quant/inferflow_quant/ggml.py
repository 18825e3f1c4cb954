"""The block formats of GGUF, by the reference in the `gguf` package."""

import math

import numpy as np
from gguf import quants
from gguf.constants import GGMLQuantizationType

from inferflow_core.errors import ShapeError
from inferflow_quant.rows import Array, packed, rows

ROW_BLOCKS = 256


class GGML:
    """Rows of blocks as ggml lays them out; the type is the name in capitals.

    Source: ggml-quants.c, by way of `gguf.quants`, which is bit-exact with it.
    """

    api = 1
    name: str
    block: int
    block_bytes: int

    def unpack(self, data: Array, shape: tuple[int, ...]) -> Array:
        """uint8 [nbytes] -> float32 of `shape`. Raises ShapeError."""
        blocks = rows(self, data, shape)
        if not blocks.size:
            return np.zeros(shape, np.float32)
        # The reference goes 16 rows at a time, which is slow where rows are short; blocks do not
        # know their neighbours, so many of them may be called a row.
        count = blocks.size // self.block_bytes
        if (together := math.gcd(count, ROW_BLOCKS)) > blocks.shape[1] // self.block_bytes:
            blocks = blocks.reshape(count // together, together * self.block_bytes)
        with np.errstate(over="ignore", invalid="ignore"):
            values = quants.dequantize(blocks, GGMLQuantizationType[self.name.upper()])
        return values.reshape(shape)

    def pack(self, values: Array) -> Array:
        """float32 [.., n] -> uint8 [nbytes]. Raises ShapeError, and NotImplementedError for the
        formats whose search for scales the reference does not have."""
        values = np.asarray(values, np.float32)
        if not values.ndim or values.shape[-1] % self.block:
            raise ShapeError(
                f"{self.name}: rows of {list(values.shape)} are not a multiple of {self.block}"
            )
        if not values.size:
            return np.zeros(0, np.uint8)
        return packed(quants.quantize(values, GGMLQuantizationType[self.name.upper()]))
