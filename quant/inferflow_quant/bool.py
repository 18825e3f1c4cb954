import numpy as np

from inferflow_quant.plain import Plain


class Bool(Plain):
    """One byte each, 0 or 1, such as stored masks."""

    name = "bool"
    dtype = np.dtype("?")
    block_bytes = 1
