import numpy as np

from inferflow_quant.plain import Plain


class F32(Plain):
    """Single precision, the reference's own type."""

    name = "f32"
    dtype = np.dtype("<f4")
    block_bytes = 4
