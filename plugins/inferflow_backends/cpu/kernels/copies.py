"""Ops that move numbers of 32 bits: rows by index, columns, and joined columns."""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import i32_at, i64_at, load, store, store_first

PARTS = 3
"""Parts that a row of `op_join` takes."""


@njit(int64(int64, int64, int64), **INNER)
def copy(source, target, count):
    """`count` numbers."""
    for i in range(0, count // 16 * 16, 16):
        store(target + 4 * i, load(source + 4 * i))
    if count % 16:
        done = count // 16 * 64
        store_first(target + done, load(source + done), count % 16)
    return 0


@cfunc(OP, **OPTIONS)
def op_select(row, tid, threads, state):
    """Rows by index. row: size word, numbers a row, x, index, out."""
    rows, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    x, index, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    first, last = begin(width, tid, threads), begin(width, tid + 1, threads)
    for r in range(rows):
        source = x + 4 * (width * i32_at(index + 4 * r) + first)
        copy(source, out + 4 * (width * r + first), last - first)
    return 0


@cfunc(OP, **OPTIONS)
def op_join(row, tid, threads, state):
    """Columns side by side. row: size word, rows each, out, its width, parts, and for each part
    where it begins, from one of its rows to the next, and its width."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    out, width, parts = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        target = out + 4 * width * r
        for part in range(parts):
            words = row + 48 + 24 * part
            count = i64_at(words + 16)
            copy(i64_at(words) + 4 * i64_at(words + 8) * r, target, count)
            target += 4 * count
    return 0
