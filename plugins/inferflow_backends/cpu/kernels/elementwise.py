"""Ops that do the same to every number, and the choice of rows.

Numbers are dealt with 16 at a time; buffers have room for the last vector to overrun.
"""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    exp,
    f32_at,
    i32_at,
    i64_at,
    load,
    mul,
    set_f32,
    splat,
    store,
    sub,
)


@njit(int64(int64, int64, int64), **INNER)
def begin(count, tid, threads):
    """Where a thread's share of `count` numbers begins, on a border of 32."""
    return min(count, (count + 31) // 32 * tid // threads * 32)


@cfunc(OP, **OPTIONS)
def op_add(row, tid, threads, state):
    """row: size word, numbers a row, x, y, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, y, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, add(load(x + 4 * i), load(y + 4 * i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_mul(row, tid, threads, state):
    """row: size word, numbers a row, x, y, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, y, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, mul(load(x + 4 * i), load(y + 4 * i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_silu_glu(row, tid, threads, state):
    """silu(gate) * up. row: size word, numbers a row, gate, up, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    gate, up, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    one, zero = splat(np.float32(1)), splat(np.float32(0))
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        g = load(gate + 4 * i)
        silu = div(g, add(one, exp(sub(zero, g))))
        store(out + 4 * i, mul(silu, load(up + 4 * i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_select(row, tid, threads, state):
    """Rows by index. row: size word, numbers a row, x, index column (word of state), out."""
    rows, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    x, index, out = i64_at(row + 24), i64_at(state + 8 * i64_at(row + 32)), i64_at(row + 40)
    for r in range(rows):
        source, target = x + 4 * width * i32_at(index + 4 * r), out + 4 * width * r
        for i in range(begin(width, tid, threads), begin(width, tid + 1, threads)):
            set_f32(target + 4 * i, f32_at(source + 4 * i))
    return 0
