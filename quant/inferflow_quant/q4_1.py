from inferflow_quant.ggml import GGML


class Q4_1(GGML):
    """4 bits, a float16 scale and a float16 minimum for 32 numbers: 5 bits each."""

    name = "q4_1"
    block = 32
    block_bytes = 20
