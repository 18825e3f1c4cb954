"""quantize: activations to 15 bits in blocks of 32, once for all the linears that read them."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    absolute,
    add_i32,
    high_byte,
    i64_at,
    load,
    low_byte,
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

LEVELS = 127 * 128
"""The largest code of an activation."""


@cfunc(OP, **OPTIONS)
def op_quantize(row, tid, threads, state):
    """row: size word, units each, numbers of a unit, x, high, low, xd, sums by -8, by -128, by d.

    For each block d = largest / 16256 and n = round(x / d), whose bytes are n = 128 * high + low,
    both int8: two 8-bit dot products give the exact sum of code * n. So rounding an activation
    costs 2^-15 of the largest of its block, and packed weights give the logits of their float32
    values to about 2e-4 (rms); 8 bits cost 2 % and save a quarter of a linear's time in prefill.
    The sum of n times -8 and times -128 (int32) is where the accumulators of unsigned 4- and 8-bit
    codes start; times d (float32) is for formats with a minimum.
    """
    units = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    unit, x, high, low = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    xd, sums8, sums128, sums_d = (
        i64_at(row + 56),
        i64_at(row + 64),
        i64_at(row + 72),
        i64_at(row + 80),
    )
    begin, end = units * tid // threads, units * (tid + 1) // threads
    for block in range(unit // 32 * begin, unit // 32 * end):
        a, b = load(x + 128 * block), load(x + 128 * block + 64)
        largest = max_lanes(maximum(absolute(a), absolute(b)))
        inverse = np.float32(0)
        if largest > np.float32(0):
            inverse = np.float32(LEVELS) / largest
        p, q = round_i32(mul(a, splat(inverse))), round_i32(mul(b, splat(inverse)))
        store_i8(high + 32 * block, high_byte(p))
        store_i8(high + 32 * block + 16, high_byte(q))
        store_i8(low + 32 * block, low_byte(p))
        store_i8(low + 32 * block + 16, low_byte(q))
        total = sum_lanes_i32(add_i32(p, q))
        d = largest / np.float32(LEVELS)
        set_f32(xd + 4 * block, d)
        set_i32(sums8 + 4 * block, -8 * total)
        set_i32(sums128 + 4 * block, -128 * total)
        set_f32(sums_d + 4 * block, d * np.float32(total))
    return 0
