from inferflow_quant.ggml import GGML


class IQ4_NL(GGML):
    """4-bit indices into 16 uneven levels, one float16 scale for 32: 4.5 bits each."""

    name = "iq4_nl"
    block = 32
    block_bytes = 18
