from inferflow_quant.ggml import GGML


class Q4_K(GGML):
    """4 bits in 8 runs of 32 with 6-bit scales and minima: 4.5 bits each."""

    name = "q4_k"
    block = 256
    block_bytes = 144
