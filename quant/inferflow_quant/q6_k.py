from inferflow_quant.ggml import GGML


class Q6_K(GGML):
    """6 bits in 16 runs of 16 with 8-bit scales: 6.5625 bits each."""

    name = "q6_k"
    block = 256
    block_bytes = 210
