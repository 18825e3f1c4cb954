import numpy as np

from inferflow_quant.plain import Plain


class F64(Plain):
    """Double precision; rounded to float32 when read."""

    name = "f64"
    dtype = np.dtype("<f8")
    block_bytes = 8
