import numpy as np

from inferflow_quant.rows import Array, packed, rows


class BF16:
    """The upper half of a float32; packing rounds to nearest even and keeps NaN."""

    api = 1
    name = "bf16"
    block = 1
    block_bytes = 2

    def unpack(self, data: Array, shape: tuple[int, ...]) -> Array:
        """uint8 [nbytes] -> float32 of `shape`."""
        halves = rows(self, data, shape).view("<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)

    def pack(self, values: Array) -> Array:
        """float32 of any shape -> uint8 [nbytes]."""
        bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        quiet_nan = (bits >> 16) | 0x40
        is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
        return packed(np.where(is_nan, quiet_nan, rounded).astype("<u2"))
