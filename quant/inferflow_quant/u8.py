import numpy as np

from inferflow_quant.plain import Plain


class U8(Plain):
    """Unsigned bytes."""

    name = "u8"
    dtype = np.dtype("u1")
    block_bytes = 1
