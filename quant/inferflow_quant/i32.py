import numpy as np

from inferflow_quant.plain import Plain


class I32(Plain):
    """32-bit integers."""

    name = "i32"
    dtype = np.dtype("<i4")
    block_bytes = 4
