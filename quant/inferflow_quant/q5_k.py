from inferflow_quant.ggml import GGML


class Q5_K(GGML):
    """5 bits in 8 runs of 32 with 6-bit scales and minima: 5.5 bits each."""

    name = "q5_k"
    block = 256
    block_bytes = 176
