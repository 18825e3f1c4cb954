"""Q5_0: float16 d, 32 fifth bits, 16 bytes of two nibbles: d * (code - 16)."""

from inferflow_backends.cpu.kernels.formats.common import fifth_bits, nibbles
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.linear_tile import few_product
from inferflow_backends.cpu.simd import set_u16, u16_at
from inferflow_backends.cpu.unpack_tile import float_columns, unpack_blocks

LAYOUT = LAYOUTS["q5_0"]
product, panel, columns = few_product(LAYOUT), unpack_blocks(LAYOUT), float_columns(LAYOUT)
UNIT_BYTES = 22


def few(codes, scales, blocks, rows, x, stats, y):
    """Up to some tokens at once, from the packed codes."""
    return product(codes, scales, blocks, rows, x, stats, y)


def unpack(codes, scales, blocks, shift, home, factors, minimums):
    """A group as a panel."""
    return panel(codes, scales, blocks, shift, home, factors, minimums)


def floats(codes, scales, blocks, home):
    """A group as float32 [column][16]."""
    return columns(codes, scales, blocks, home)


def decode(unit, r, record, quads):
    """A unit of GGUF's row r: scales into the record, codes to `quads`."""
    set_u16(record + 2 * r, u16_at(unit))
    nibbles(unit + 6, quads)
    fifth_bits(unit + 2, quads)
    return 0
