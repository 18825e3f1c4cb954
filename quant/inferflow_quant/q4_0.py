from inferflow_quant.ggml import GGML


class Q4_0(GGML):
    """4 bits and one float16 scale for 32 numbers: 4.5 bits each."""

    name = "q4_0"
    block = 32
    block_bytes = 18
