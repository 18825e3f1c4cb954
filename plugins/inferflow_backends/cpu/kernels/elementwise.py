"""Arithmetic of two tensors.

Numbers are dealt with 16 at a time; buffers have room for the last vector to overrun.
"""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    f32_at,
    i64_at,
    load,
    maximum,
    minimum,
    mul,
    splat,
    store,
    store_first,
    sub,
)

CODES = {"add": 0, "sub": 1, "mul": 2, "div": 3, "maximum": 4, "minimum": 5}


@njit(int64(int64, int64, int64), **INNER)
def begin(count, tid, threads):
    """Where a thread's share of `count` numbers begins, on a border of 32."""
    return min(count, (count + 31) // 32 * tid // threads * 32)


@njit(**INNER)
def joined(code, x, y):
    if code == 0:
        return add(x, y)
    if code == 1:
        return sub(x, y)
    if code == 2:
        return mul(x, y)
    if code == 3:
        return div(x, y)
    return maximum(x, y) if code == 4 else minimum(x, y)


@njit(int64(int64, int64, int64, int64, int64, int64, int64), **INNER)
def span(code, x, x_step, y, y_step, out, count):
    """`count` numbers; a step is 1, or 0 for an operand that is one number."""
    for i in range(0, count, 16):
        a = load(x + 4 * i) if x_step else splat(f32_at(x))
        b = load(y + 4 * i) if y_step else splat(f32_at(y))
        if i + 16 <= count:
            store(out + 4 * i, joined(code, a, b))
        else:
            store_first(out + 4 * i, joined(code, a, b), count - i)
    return 0


@cfunc(OP, **OPTIONS)
def op_flat(row, tid, threads, state):
    """row: size word, numbers a row, code, x, x step, y, y step, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    code, x, x_step = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    y, y_step, out = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    first, last = begin(count, tid, threads), begin(count, tid + 1, threads)
    a, b = x + 4 * x_step * first, y + 4 * y_step * first
    return span(code, a, x_step, b, y_step, out + 4 * first, last - first)


@cfunc(OP, **OPTIONS)
def op_stretched(row, tid, threads, state):
    """Three axes, [outer, middle, inner]; an operand has a step, maybe 0, along each. row: size
    word, outer each, middle, inner, code, x, its three steps, y, its three, out."""
    outer, middle = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16), i64_at(row + 24)
    inner, code, out = i64_at(row + 32), i64_at(row + 40), i64_at(row + 112)
    x, x_outer, x_middle = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    y, y_outer, y_middle = i64_at(row + 80), i64_at(row + 88), i64_at(row + 96)
    x_step, y_step = i64_at(row + 72), i64_at(row + 104)
    rows = outer * middle
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        i, j = r // middle, r % middle
        a = x + 4 * (x_outer * i + x_middle * j)
        b = y + 4 * (y_outer * i + y_middle * j)
        span(code, a, x_step, b, y_step, out + 4 * inner * r, inner)
    return 0
