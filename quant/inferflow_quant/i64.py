import numpy as np

from inferflow_quant.plain import Plain


class I64(Plain):
    """64-bit integers, such as the position tables of older checkpoints."""

    name = "i64"
    dtype = np.dtype("<i8")
    block_bytes = 8
