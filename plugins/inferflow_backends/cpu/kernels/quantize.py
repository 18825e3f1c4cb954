"""quantize: activations to 8 bits in blocks of 32, once for all the linears that read them."""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.layouts import (
    HALVES,
    SCALED_HALVES,
    SCALED_SUM,
    STATS,
    SUM,
    TILE,
    TILE_STATS,
)
from inferflow_backends.cpu.simd import (
    absolute,
    bits_of_f32,
    f32_of_bits,
    i64_at,
    load,
    max_lanes,
    maximum,
    mul,
    round_i32,
    set_f32,
    set_i32,
    splat,
    store_i8,
    sum_lanes_i32,
)


@njit(int64(*[int64] * 4), **INNER)
def plain(known, d_bits, first, second):
    """What is known of a block of a token by itself."""
    d = f32_of_bits(d_bits)
    set_f32(known, d)
    set_i32(known + SUM, first + second)
    set_i32(known + HALVES, first)
    set_i32(known + HALVES + 4, second)
    set_f32(known + SCALED_SUM, d * np.float32(first + second))
    set_f32(known + SCALED_HALVES, d * np.float32(first))
    set_f32(known + SCALED_HALVES + 4, d * np.float32(second))
    return 0


@cfunc(OP, **OPTIONS)
def op_quantize(row, tid, threads, state):
    """row: size word, units each, numbers of a unit, x, codes, stats, in, rows up to which tokens
    lie one after the other (more lie in tiles, `layouts.TILE`), whether tiles need sums.

    For each block d = largest / 127 and code = round(x / d), halves to even.
    """
    units = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    unit, x, codes, stats = (
        i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    )  # fmt: skip
    blocks, sums = i64_at(row + 56) // 32, i64_at(row + 72)
    tiled = units * unit // 32 > i64_at(row + 64) * blocks
    begin, end = units * tid // threads, units * (tid + 1) // threads
    column = unit // 32 * begin % blocks
    token = unit // 32 * begin // blocks
    for block in range(unit // 32 * begin, unit // 32 * end):
        a, b = load(x + 128 * block), load(x + 128 * block + 64)
        largest = max_lanes(maximum(absolute(a), absolute(b)))
        inverse = np.float32(0)
        if largest > np.float32(0):
            inverse = np.float32(127) / largest
        d = largest / np.float32(127)
        p, q = round_i32(mul(a, splat(inverse))), round_i32(mul(b, splat(inverse)))
        home = codes + 32 * block
        if tiled:
            place = token // TILE * blocks + column
            home = codes + 32 * (TILE * place + token % TILE)
            known = stats + TILE_STATS * place + 4 * (token % TILE)
            set_f32(known, d)
            if sums:
                first, second = sum_lanes_i32(p), sum_lanes_i32(q)
                set_f32(known + 64, d * np.float32(first + second))
                set_f32(known + 128, d * np.float32(first))
                set_f32(known + 192, d * np.float32(second))
        else:
            first, second = sum_lanes_i32(p), sum_lanes_i32(q)
            plain(stats + STATS * block, bits_of_f32(d), first, second)
        store_i8(home, p)
        store_i8(home + 16, q)
        column += 1
        if column == blocks:
            column, token = 0, token + 1
    return 0
