"""combine and pool: weighted sums of a token's rows, and one row for a sequence's tokens."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    f32_at,
    fma,
    i32_at,
    i64_at,
    load,
    mul,
    splat,
    store_first,
)
from inferflow_backends.cpu.tape import State

OFFSETS = 8 * State.OFFSETS
POOLS = {"first": 0, "last": 1, "mean": 2}


@cfunc(OP, **OPTIONS)
def op_combine(row, tid, threads, state):
    """The ranks' rows times their weights, added in order. row: size word, ranks, width, x, weight,
    out."""
    tokens, ranks, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16), i64_at(row + 24)
    x, weight, out = i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    first, last = begin(width, tid, threads), begin(width, tid + 1, threads)
    for t in range(tokens):
        for i in range(first, last, 16):
            source, factor = x + 4 * (width * ranks * t + i), weight + 4 * ranks * t
            y = mul(load(source), splat(f32_at(factor)))
            for rank in range(1, ranks):
                y = fma(load(source + 4 * width * rank), splat(f32_at(factor + 4 * rank)), y)
            store_first(out + 4 * (width * t + i), y, min(16, last - i))
    return 0


@cfunc(OP, **OPTIONS)
def op_pool(row, tid, threads, state):
    """row: code of `POOLS`, width, x, out."""
    code, width, x, out = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    offsets = i64_at(state + OFFSETS)
    first, last = begin(width, tid, threads), begin(width, tid + 1, threads)
    for s in range(i64_at(state + 8 * State.SEQUENCES)):
        start, end = i32_at(offsets + 4 * s), i32_at(offsets + 4 * s + 4)
        if code == 1:
            start = end - 1
        count = end - start if code == 2 else 1
        for i in range(first, last, 16):
            y = load(x + 4 * (width * start + i))
            for t in range(start + 1, start + count):
                y = add(y, load(x + 4 * (width * t + i)))
            if code == 2:
                y = div(y, splat(np.float32(count)))
            store_first(out + 4 * (width * s + i), y, min(16, last - i))
    return 0
