"""gated_linear: two products of one x, of which act(gate) * up alone is written.

A row has the addresses of those of two linears (`linear.py`). Each product is made in the order of
a linear by itself, and the rest as `activation.op_glu` does it: the same bits.
"""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.functions import activated
from inferflow_backends.cpu.kernels.linear import (
    CLOSE,
    CONFIG,
    FEW,
    FLOATS,
    LIMIT,
    OPEN,
    PANEL,
    ROOM,
    SCRATCH,
    SCRATCH_BYTES,
    SLAB,
    chunk_of,
    multiply_pair,
)
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    call_5,
    call_7,
    call_address,
    f32_of_bits,
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

SECOND = 64 * SLAB
"""Bytes of a thread's scratch behind which the products of up stand, those of gate before them."""


@njit(int64(*[int64] * 8), **INNER)
def finish(row, tokens, gate, up, stride, first, group, n):
    """Writes the group's columns of `tokens` rows from `first` on; gate and up are [token][16],
    rows `stride` bytes apart."""
    gate_bias, up_bias = i64_at(row + 56), i64_at(row + 64)
    code, y = i64_at(row + 32), i64_at(row + 72) + 4 * n * first
    limit, offset = splat(f32_of_bits(i64_at(row + 40))), splat(f32_of_bits(i64_at(row + 48)))
    least = sub(splat(np.float32(0)), limit)
    for t in range(tokens):
        g, u = load(gate + stride * t), load(up + stride * t)
        if gate_bias:
            g = add(g, load(gate_bias + 64 * group))
        if up_bias:
            u = add(u, load(up_bias + 64 * group))
        u = minimum(maximum(u, least), limit)
        v = mul(activated(code, minimum(g, limit)), add(u, offset))
        target = y + 4 * (n * t + 16 * group)
        if 16 * group + 16 <= n:
            store(target, v)
        else:
            store_first(target, v, n - 16 * group)
    return 0


@cfunc(OP, **OPTIONS)
def op_gated_dense(row, tid, threads, state):
    """row: size word, rows of gate and of up (`linear.op_linear_dense`, up to x), code of
    `functions.CODES`, limit, offset, biases of gate and up (0: none), y."""
    gate, up = i64_at(row + 16), i64_at(row + 24)
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(gate + 16)
    size, k, n, x = i64_at(gate + 32), i64_at(gate + 40), i64_at(gate + 48), i64_at(gate + 64)
    product, groups = i64_at(gate + 56), (n + 15) // 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        for t in range(0, rows, SLAB):
            count = min(SLAB, rows - t)
            here = x + 4 * k * t
            call_5(product, i64_at(gate + 24) + size * group, k, count, here, scratch)
            call_5(product, i64_at(up + 24) + size * group, k, count, here, scratch + SECOND)
            finish(row, count, scratch, scratch + SECOND, 64, t, group, n)
    return 0


@njit(int64(*[int64] * 3), **INNER)
def floats_of(linear, group, home):
    """A group of packed weights as float32."""
    codes, scales = i64_at(linear + 24), i64_at(linear + 32)
    code_bytes, scale_bytes, k = i64_at(linear + 40), i64_at(linear + 48), i64_at(linear + 56)
    form = i64_at(linear + 72)
    return call_address(
        i64_at(form + FLOATS), codes + code_bytes * group, scales + scale_bytes * group, k // 32,
        home,
    )  # fmt: skip


@cfunc(OP, **OPTIONS)
def op_gated_float(row, tid, threads, state):
    """row: as of `op_gated_dense`, with rows of `linear.op_linear_float`."""
    gate, up = i64_at(row + 16), i64_at(row + 24)
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(gate + 16)
    k, n, x, product = i64_at(gate + 56), i64_at(gate + 64), i64_at(gate + 80), i64_at(gate + 88)
    groups = (n + 15) // 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    first, second = scratch + PANEL, scratch + PANEL + 64 * k
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        floats_of(gate, group, first)
        floats_of(up, group, second)
        for t in range(0, rows, SLAB):
            count = min(SLAB, rows - t)
            call_5(product, first, k, count, x + 4 * k * t, scratch)
            call_5(product, second, k, count, x + 4 * k * t, scratch + SECOND)
            finish(row, count, scratch, scratch + SECOND, 64, t, group, n)
    return 0


@njit(int64(*[int64] * 5), **INNER)
def many(row, scratch, rows, begin, end):
    """The groups begin..end for more tokens than `few` takes: a group of gate and one of up are a
    pair of the panel product."""
    gate, up = i64_at(row + 16), i64_at(row + 24)
    code_bytes, scale_bytes, k = i64_at(gate + 40), i64_at(gate + 48), i64_at(gate + 56)
    n, form, x, stats = i64_at(gate + 64), i64_at(gate + 72), i64_at(gate + 80), i64_at(gate + 88)
    slab, chunk = scratch + ROOM, chunk_of(k)
    for first in range(0, rows, chunk):
        last = min(rows, first + chunk)
        for group in range(begin, end):
            behind, beside = code_bytes * group, scale_bytes * group
            for t in range(first, last, SLAB):
                count = min(SLAB, last - t)
                multiply_pair(
                    form, i64_at(gate + 24) + behind, i64_at(gate + 32) + beside,
                    i64_at(up + 24) + behind, i64_at(up + 32) + beside, k // 32, count, x + k * t,
                    stats + k * t, slab, scratch,
                )  # fmt: skip
                finish(row, count, slab, slab + 64, 128, t, group, n)
    return 0


@cfunc(OP, **OPTIONS)
def op_gated_packed(row, tid, threads, state):
    """row: as of `op_gated_dense`, with rows of `linear.op_linear_packed`; both matrices have one
    format."""
    gate, up = i64_at(row + 16), i64_at(row + 24)
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(gate + 16)
    k, n, form = i64_at(gate + 56), i64_at(gate + 64), i64_at(gate + 72)
    x, stats = i64_at(gate + 80), i64_at(gate + 88)
    groups, blocks = (n + 15) // 16, k // 32
    begin, end = groups * tid // threads, groups * (tid + 1) // threads
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    if rows > i64_at(form + LIMIT):
        config = i64_at(form + CONFIG)
        if config:
            call_address(i64_at(form + OPEN), config, 0, 0, 0)
        many(row, scratch, rows, begin, end)
        if config:
            call_address(i64_at(form + CLOSE), config, 0, 0, 0)
        return 0
    few, code_bytes, scale_bytes = i64_at(form + FEW), i64_at(gate + 40), i64_at(gate + 48)
    for group in range(begin, end):
        behind, beside = code_bytes * group, scale_bytes * group
        call_7(
            few, i64_at(gate + 24) + behind, i64_at(gate + 32) + beside, blocks, rows, x, stats,
            scratch,
        )  # fmt: skip
        call_7(
            few, i64_at(up + 24) + behind, i64_at(up + 32) + beside, blocks, rows, x, stats,
            scratch + SECOND,
        )  # fmt: skip
        finish(row, rows, scratch, scratch + SECOND, 64, 0, group, n)
    return 0
