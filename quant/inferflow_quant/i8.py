import numpy as np

from inferflow_quant.plain import Plain


class I8(Plain):
    """8-bit integers."""

    name = "i8"
    dtype = np.dtype("i1")
    block_bytes = 1
