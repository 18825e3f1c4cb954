"""quantize: activations to 8 bits in blocks of 32, once for all the linears that read them."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.layouts import HALVES, SCALED_HALVES, SCALED_SUM, STATS, SUM
from inferflow_backends.cpu.simd import (
    absolute,
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


@cfunc(OP, **OPTIONS)
def op_quantize(row, tid, threads, state):
    """row: size word, units each, numbers of a unit, x, codes, stats (`layouts.STATS`), in, rows
    above which nobody needs sums.

    For each block d = largest / 127 and code = round(x / d), halves to even.
    """
    units = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    unit, x, codes, stats = (
        i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    )  # fmt: skip
    sums = units * unit <= i64_at(row + 56) * i64_at(row + 64)
    begin, end = units * tid // threads, units * (tid + 1) // threads
    for block in range(unit // 32 * begin, unit // 32 * end):
        a, b = load(x + 128 * block), load(x + 128 * block + 64)
        largest = max_lanes(maximum(absolute(a), absolute(b)))
        inverse = np.float32(0)
        if largest > np.float32(0):
            inverse = np.float32(127) / largest
        d = largest / np.float32(127)
        p, q = round_i32(mul(a, splat(inverse))), round_i32(mul(b, splat(inverse)))
        store_i8(codes + 32 * block, p)
        store_i8(codes + 32 * block + 16, q)
        known = stats + STATS * block
        set_f32(known, d)
        if sums:
            first, second = sum_lanes_i32(p), sum_lanes_i32(q)
            set_i32(known + SUM, first + second)
            set_i32(known + HALVES, first)
            set_i32(known + HALVES + 4, second)
            set_f32(known + SCALED_SUM, d * np.float32(first + second))
            set_f32(known + SCALED_HALVES, d * np.float32(first))
            set_f32(known + SCALED_HALVES + 4, d * np.float32(second))
    return 0
