import numpy as np

from inferflow_quant.plain import Plain


class I16(Plain):
    """16-bit integers."""

    name = "i16"
    dtype = np.dtype("<i2")
    block_bytes = 2
