"""Sums, means, maxima and softmax of rows: 16 lanes, which a tree joins."""

import numpy as np
from numba import cfunc, float32, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    exp,
    i64_at,
    keep_lanes,
    load,
    load_first,
    max_lanes,
    maximum,
    set_f32,
    splat,
    store_first,
    sub,
    sum_lanes,
)

CODES = {"sum": 0, "mean": 1, "max": 2}


@njit(float32(int64, int64), **INNER)
def total(x, width):
    v = splat(np.float32(0))
    for i in range(0, width, 16):
        v = add(v, load_first(x + 4 * i, min(16, width - i)))
    return sum_lanes(v)


@njit(float32(int64, int64), **INNER)
def largest(x, width):
    v = splat(np.float32(-np.inf))
    for i in range(0, width, 16):
        v = maximum(v, keep_lanes(load(x + 4 * i), 0, width - i, np.float32(-np.inf)))
    return max_lanes(v)


@cfunc(OP, **OPTIONS)
def op_reduce(row, tid, threads, state):
    """One number a row. row: size word, rows each, width, x, code, out."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, x = i64_at(row + 24), i64_at(row + 32)
    code, out = i64_at(row + 40), i64_at(row + 48)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        source = x + 4 * width * r
        number = largest(source, width) if code == 2 else total(source, width)
        set_f32(out + 4 * r, number / np.float32(width) if code == 1 else number)
    return 0


@cfunc(OP, **OPTIONS)
def op_softmax(row, tid, threads, state):
    """row: size word, rows each, width, x, out."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, x, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        source, target = x + 4 * width * r, out + 4 * width * r
        top, sums = splat(largest(source, width)), splat(np.float32(0))
        for i in range(0, width, 16):
            count = min(16, width - i)
            e = keep_lanes(exp(sub(load(source + 4 * i), top)), 0, count, np.float32(0))
            sums = add(sums, e)
            store_first(target + 4 * i, e, count)
        divisor = splat(sum_lanes(sums))
        for i in range(0, width, 16):
            count = min(16, width - i)
            store_first(target + 4 * i, div(load(target + 4 * i), divisor), count)
    return 0
