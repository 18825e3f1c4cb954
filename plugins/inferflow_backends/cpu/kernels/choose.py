"""top_k and gather: what routing is made of."""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import f32_at, i32_at, i64_at, set_f32, set_i32


@njit(int64(int64, int64, int64, int64, int64), **INNER)
def best(x, width, k, values, index):
    """The k largest of a row, in order: a number goes before the first that is smaller, so of equal
    ones the earlier stays in front."""
    for i in range(width):
        number = f32_at(x + 4 * i)
        kept = min(i, k)
        if kept == k and not number > f32_at(values + 4 * (k - 1)):
            continue
        place = min(kept, k - 1)
        while place > 0 and number > f32_at(values + 4 * (place - 1)):
            set_f32(values + 4 * place, f32_at(values + 4 * (place - 1)))
            set_i32(index + 4 * place, i32_at(index + 4 * (place - 1)))
            place -= 1
        set_f32(values + 4 * place, number)
        set_i32(index + 4 * place, i)
    return 0


@cfunc(OP, **OPTIONS)
def op_top_k(row, tid, threads, state):
    """row: size word, rows each, width, k, x, values, index."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, k, x = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    values, index = i64_at(row + 48), i64_at(row + 56)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        best(x + 4 * width * r, width, k, values + 4 * k * r, index + 4 * k * r)
    return 0


@cfunc(OP, **OPTIONS)
def op_gather(row, tid, threads, state):
    """Columns of each row by index. row: size word, rows each, width, from a row of x to the next
    (0: all have the same), k, x, index, out."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, stride, k = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    x, index, out = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        for i in range(k * r, k * r + k):
            column = min(max(i32_at(index + 4 * i), 0), width - 1)
            set_i32(out + 4 * i, i32_at(x + 4 * (stride * r + column)))
    return 0
