from inferflow_quant.ggml import GGML


class Q5_1(GGML):
    """5 bits, a float16 scale and a float16 minimum for 32 numbers: 6 bits each."""

    name = "q5_1"
    block = 32
    block_bytes = 24
