import numpy as np

from inferflow_quant.plain import Plain


class F16(Plain):
    """IEEE half precision."""

    name = "f16"
    dtype = np.dtype("<f2")
    block_bytes = 2
