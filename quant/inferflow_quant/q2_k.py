from inferflow_quant.ggml import GGML


class Q2_K(GGML):
    """2 bits in 16 runs of 16 with 4-bit scales and minima: 2.625 bits each."""

    name = "q2_k"
    block = 256
    block_bytes = 84
