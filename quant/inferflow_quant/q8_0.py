from inferflow_quant.ggml import GGML


class Q8_0(GGML):
    """8 bits and one float16 scale for 32 numbers: 8.5 bits each."""

    name = "q8_0"
    block = 32
    block_bytes = 34
