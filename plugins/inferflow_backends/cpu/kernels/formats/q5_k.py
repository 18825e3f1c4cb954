"""Q5_K: as Q4_K, with a fifth bit of each code."""

from inferflow_backends.cpu.kernels.formats.common import (
    FIFTH,
    ONES,
    runs_of_nibbles,
    scales_and_minimums,
)
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.linear_tile import few_product
from inferflow_backends.cpu.simd import set_i32, set_u16, u16_at, u32_at
from inferflow_backends.cpu.unpack_tile import float_columns, unpack_blocks

LAYOUT = LAYOUTS["q5_k"]
product, panel, columns = few_product(LAYOUT), unpack_blocks(LAYOUT), float_columns(LAYOUT)
UNIT_BYTES = 176


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
    set_u16(record + 32 + 2 * r, u16_at(unit + 2) ^ 0x8000)
    scales_and_minimums(unit + 4, record + 64, r)
    runs_of_nibbles(unit + 48, quads)
    for block in range(8):
        for quad in range(8):
            bits = (u32_at(unit + 16 + 4 * quad) >> block) & ONES
            home = quads + 32 * block + 4 * quad
            set_i32(home, u32_at(home) | (bits << FIFTH))
    return 0
