"""Q2_K: 16 runs of 16 codes of 2 bits, with 4-bit scales and minimums: d * scale * code - dmin *
minimum."""

from inferflow_backends.cpu.kernels.formats.common import PAIRS
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.linear_tile import few_product
from inferflow_backends.cpu.simd import set_i32, set_u8, set_u16, u8_at, u16_at, u32_at
from inferflow_backends.cpu.unpack_tile import float_columns, unpack_blocks

LAYOUT = LAYOUTS["q2_k"]
product, panel, columns = few_product(LAYOUT), unpack_blocks(LAYOUT), float_columns(LAYOUT)
UNIT_BYTES = 84


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
    set_u16(record + 2 * r, u16_at(unit + 80))
    set_u16(record + 32 + 2 * r, u16_at(unit + 82) ^ 0x8000)
    for run in range(16):
        set_u8(record + 64 + 16 * run + r, u8_at(unit + run))
    for block in range(8):
        half, inside = block // 4, block % 4
        for quad in range(8):
            two = (u32_at(unit + 16 + 32 * half + 4 * quad) >> (2 * inside)) & PAIRS
            set_i32(quads + 32 * block + 4 * quad, two)
    return 0
