"""linear: x [rows, in] times weights [out, in], 16 outputs at a time.

Every output row has the same sequence of operations for any number of rows: tiles of 8, 4, 2 and 1
tokens differ in speed alone.
"""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.forms import Q4_0, Q4_1, code_bytes, scale_bytes
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import add, f32_at, i64_at, load, set_f32, store
from inferflow_backends.cpu.tape import State
from inferflow_backends.cpu.tile import blocks_rows, dense_rows, quads_q4, quads_q8

dense = dense_rows()
q4_0 = blocks_rows(quads_q4, 256)
q4_1 = blocks_rows(quads_q4, 256, minimum=True)
q8_0 = blocks_rows(quads_q8, 512)

SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES
SLAB = 64
"""Rows whose products wait in scratch, 64 bytes each."""


@njit(int64(*[int64] * 7), **INNER)
def finish(tokens, y, out, group, bias, residual, end):
    """Adds bias and residual (addresses, 0: none) to the group's columns and writes them:
    y [tokens][16] -> out [tokens][end]."""
    for t in range(tokens):
        source, target = y + 64 * t, out + 4 * (end * t + 16 * group)
        if 16 * group + 16 <= end:
            v = load(source)
            if bias:
                v = add(v, load(bias + 64 * group))
            if residual:
                v = add(v, load(residual + target - out))
            store(target, v)
        else:
            for i in range(end - 16 * group):
                number = f32_at(source + 4 * i)
                if bias:
                    number = number + f32_at(bias + 64 * group + 4 * i)
                if residual:
                    number = number + f32_at(residual + target - out + 4 * i)
                set_f32(target + 4 * i, number)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_f32(row, tid, threads, state):
    """row: size word, rows a unit, weights [out / 16][in][16], in, out, x, bias and residual
    (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    weights, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    x, bias = i64_at(row + 48), i64_at(row + 56)
    residual, y = i64_at(row + 64), i64_at(row + 72)
    groups = (n + 15) // 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        w = weights + 64 * k * group
        for t in range(0, rows, SLAB):
            count = min(SLAB, rows - t)
            added = residual + 4 * n * t if residual else 0
            dense(w, k, count, x + 4 * k * t, scratch, 0)
            finish(count, scratch, y + 4 * n * t, group, bias, added, n)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_packed(row, tid, threads, state):
    """row: size word, rows a unit, codes, scales, in, out, form, high, low, xd, sums, bias and
    residual (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    codes, scales, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    form, high, low = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    xd, sums, bias = i64_at(row + 80), i64_at(row + 88), i64_at(row + 96)
    residual, y = i64_at(row + 104), i64_at(row + 112)
    groups, blocks = (n + 15) // 16, k // 32
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        c = codes + code_bytes(form) * blocks * group
        s = scales + scale_bytes(form) * blocks * group
        for t in range(0, rows, SLAB):
            count, x, stats = min(SLAB, rows - t), k * t, 4 * blocks * t
            d, m = xd + stats, sums + stats
            if form == Q4_0:
                q4_0(c, s, blocks, count, high + x, low + x, d, m, scratch, 0)
            elif form == Q4_1:
                q4_1(c, s, blocks, count, high + x, low + x, d, m, scratch, 0)
            else:
                q8_0(c, s, blocks, count, high + x, low + x, d, m, scratch, 0)
            added = residual + 4 * n * t if residual else 0
            finish(count, scratch, y + 4 * n * t, group, bias, added, n)
    return 0
