"""linear: x [rows, in] times weights [out, in], 16 outputs at a time.

Every output row has the same sequence of operations for any number of rows: tiles of 8, 4, 2 and 1
tokens differ in speed alone.
"""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import add, f32_at, i64_at, load, set_f32, store
from inferflow_backends.cpu.tile import blocks_tile, dense_tile, quads_q4, quads_q8

dense1, dense2, dense4, dense8 = (dense_tile(t) for t in (1, 2, 4, 8))
q4_1, q4_2, q4_4, q4_8 = (blocks_tile(t, quads_q4, 256) for t in (1, 2, 4, 8))
q8_1, q8_2, q8_4, q8_8 = (blocks_tile(t, quads_q8, 512) for t in (1, 2, 4, 8))


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def finish(tokens, y, out, group, bias, end):
    """Adds the bias and writes the group's columns: y [tokens][16] -> out [tokens][end]."""
    for t in range(tokens):
        source, target = y + 64 * t, out + 4 * (end * t + 16 * group)
        if 16 * group + 16 <= end:
            v = load(source)
            if bias:
                v = add(v, load(bias + 64 * group))
            store(target, v)
        else:
            for i in range(end - 16 * group):
                number = f32_at(source + 4 * i)
                if bias:
                    number = number + f32_at(bias + 64 * group + 4 * i)
                set_f32(target + 4 * i, number)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_f32(row, tid, threads, state):
    """row: size word, rows a unit, weights [out / 16][in][16], in, out, x, bias (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    weights, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    x, bias, y = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    groups = (n + 15) // 16
    scratch = i64_at(state + 40) + tid * i64_at(state + 48)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        w = weights + 64 * k * group
        t = 0
        while t < rows:
            here, left = x + 4 * k * t, rows - t
            if left >= 8:
                dense8(w, k, here, 4 * k, scratch, 64)
                count = 8
            elif left >= 4:
                dense4(w, k, here, 4 * k, scratch, 64)
                count = 4
            elif left >= 2:
                dense2(w, k, here, 4 * k, scratch, 64)
                count = 2
            else:
                dense1(w, k, here, 4 * k, scratch, 64)
                count = 1
            finish(count, scratch, y + 4 * n * t, group, bias, n)
            t += count
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_q4_0(row, tid, threads, state):
    """row: size word, rows a unit, codes, scales, in, out, xq, xd, sums, bias (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    codes, scales, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    xq, xd, sums = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    bias, y = i64_at(row + 80), i64_at(row + 88)
    groups, blocks = (n + 15) // 16, k // 32
    scratch = i64_at(state + 40) + tid * i64_at(state + 48)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        c, s = codes + 256 * blocks * group, scales + 32 * blocks * group
        t = 0
        while t < rows:
            q, d, m, left = xq + k * t, xd + k // 4 * t, sums + k // 4 * t, rows - t
            if left >= 8:
                q4_8(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 8
            elif left >= 4:
                q4_4(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 4
            elif left >= 2:
                q4_2(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 2
            else:
                q4_1(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 1
            finish(count, scratch, y + 4 * n * t, group, bias, n)
            t += count
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_q8_0(row, tid, threads, state):
    """row: size word, rows a unit, codes, scales, in, out, xq, xd, sums, bias (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    codes, scales, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    xq, xd, sums = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    bias, y = i64_at(row + 80), i64_at(row + 88)
    groups, blocks = (n + 15) // 16, k // 32
    scratch = i64_at(state + 40) + tid * i64_at(state + 48)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        c, s = codes + 512 * blocks * group, scales + 32 * blocks * group
        t = 0
        while t < rows:
            q, d, m, left = xq + k * t, xd + k // 4 * t, sums + k // 4 * t, rows - t
            if left >= 8:
                q8_8(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 8
            elif left >= 4:
                q8_4(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 4
            elif left >= 2:
                q8_2(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 2
            else:
                q8_1(c, s, blocks, q, k, d, m, k // 4, scratch, 64)
                count = 1
            finish(count, scratch, y + 4 * n * t, group, bias, n)
            t += count
    return 0
