from inferflow_quant.ggml import GGML


class Q3_K(GGML):
    """3 bits in 16 runs of 16 with 6-bit scales: 3.4375 bits each."""

    name = "q3_k"
    block = 256
    block_bytes = 110
