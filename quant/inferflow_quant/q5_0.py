from inferflow_quant.ggml import GGML


class Q5_0(GGML):
    """5 bits and one float16 scale for 32 numbers: 5.5 bits each."""

    name = "q5_0"
    block = 32
    block_bytes = 22
