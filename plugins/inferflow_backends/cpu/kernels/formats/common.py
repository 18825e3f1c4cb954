"""What decoders of GGUF's blocks share. A row's codes of 32 columns are 8 words of 4 bytes."""

from numba import int64, njit

from inferflow_backends.cpu.kernels.options import INNER
from inferflow_backends.cpu.simd import set_i32, set_u8, u8_at, u32_at

NIBBLES, PAIRS, ONES, FLIP = 0x0F0F0F0F, 0x03030303, 0x01010101, 0x80808080
"""The same bits of 4 bytes."""
FIFTH = 4


@njit(int64(int64, int64), **INNER)
def nibbles(source, quads):
    """16 bytes: columns 0..15 in the low halves, 16..31 in the high ones."""
    for quad in range(4):
        four = u32_at(source + 4 * quad)
        set_i32(quads + 4 * quad, four & NIBBLES)
        set_i32(quads + 16 + 4 * quad, (four >> 4) & NIBBLES)
    return 0


@njit(int64(int64, int64), **INNER)
def fifth_bits(source, quads):
    """32 bits, one a column, added to codes of 4 bits."""
    bits = u32_at(source)
    for quad in range(8):
        four = bits >> (4 * quad)
        spread = (four & 1) | (four & 2) << 7 | (four & 4) << 14 | (four & 8) << 21
        set_i32(quads + 4 * quad, u32_at(quads + 4 * quad) | (spread << FIFTH))
    return 0


@njit(int64(int64, int64), **INNER)
def runs_of_nibbles(source, quads):
    """128 bytes: 32 columns in the low halves of 32 bytes, the next 32 in their high ones."""
    for run in range(4):
        for quad in range(8):
            four = u32_at(source + 32 * run + 4 * quad)
            set_i32(quads + 64 * run + 4 * quad, four & NIBBLES)
            set_i32(quads + 64 * run + 32 + 4 * quad, (four >> 4) & NIBBLES)
    return 0


@njit(int64(int64, int64, int64), **INNER)
def scales_and_minimums(source, target, r):
    """12 bytes of 8 scales and 8 minimums of 6 bits -> row r of [8][scale, minimum][16] bytes."""
    for j in range(8):
        if j < 4:
            scale, least = u8_at(source + j) & 63, u8_at(source + j + 4) & 63
        else:
            last = u8_at(source + j + 4)
            scale = (last & 15) | (u8_at(source + j - 4) >> 6) << 4
            least = (last >> 4) | (u8_at(source + j) >> 6) << 4
        set_u8(target + 32 * j + r, scale)
        set_u8(target + 32 * j + 16 + r, least)
    return 0
