"""linear: x [rows, in] times weights [out, in], 16 outputs at a time.

Every output row has the same sequence of operations for any number of rows: few tokens are
multiplied from the packed codes, many from an unpacked panel, by tiles of several sizes. They
differ in speed alone.
"""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.layouts import AT_ONCE
from inferflow_backends.cpu.simd import (
    add,
    call_5,
    call_7,
    call_13,
    call_address,
    f32_at,
    i64_at,
    load,
    set_f32,
    store,
)
from inferflow_backends.cpu.tape import PRODUCTS, Form, State

SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES
FEW, UNPACK, MANY, FLOATS = 8 * Form.FEW, 8 * Form.UNPACK, 8 * Form.MANY, 8 * Form.FLOATS
OPEN, CLOSE, CONFIG = 8 * Form.OPEN, 8 * Form.CLOSE, 8 * Form.CONFIG
OFFSET, SHIFT, LIMIT, PARTS = 8 * Form.OFFSET, 8 * Form.SHIFT, 8 * Form.LIMIT, 8 * Form.PARTS
CODES, SCALES = 8 * Form.CODES, 8 * Form.SCALES
CHUNK = 1 << 19
"""Numbers of x that fit the second cache, with what is known of them."""
SLAB = 128
"""Rows whose products wait in scratch, 128 bytes each."""
PANEL = PRODUCTS
ROOM = PANEL - 128 * SLAB
"""A thread's scratch: room for tiles, from here on the slab, from PANEL on what is unpacked."""


@njit(int64(*[int64] * 9), **INNER)
def finish(tokens, y, stride, out, group, groups, bias, residual, end):
    """Adds bias and residual (addresses, 0: none) to the columns of one or two groups and writes
    them: y [tokens][groups][16], rows `stride` bytes apart -> out [tokens][end]."""
    for t in range(tokens):
        for g in range(group, group + groups):
            source, target = y + stride * t + 64 * (g - group), out + 4 * (end * t + 16 * g)
            if 16 * g + 16 <= end:
                v = load(source)
                if bias:
                    v = add(v, load(bias + 64 * g))
                if residual:
                    v = add(v, load(residual + target - out))
                store(target, v)
            else:
                for i in range(end - 16 * g):
                    number = f32_at(source + 4 * i)
                    if bias:
                        number = number + f32_at(bias + 64 * g + 4 * i)
                    if residual:
                        number = number + f32_at(residual + target - out + 4 * i)
                    set_f32(target + 4 * i, number)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_dense(row, tid, threads, state):
    """row: size word, rows a unit, weights [out / 16][in][16], bytes of a group, in, out, product,
    x, bias and residual (0: none), y."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    weights, size, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    product, x, bias = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    residual, y = i64_at(row + 80), i64_at(row + 88)
    groups = (n + 15) // 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        for t in range(0, rows, SLAB):
            count = min(SLAB, rows - t)
            added = residual + 4 * n * t if residual else 0
            call_5(product, weights + size * group, k, count, x + 4 * k * t, scratch)
            finish(count, scratch, 64, y + 4 * n * t, group, 1, bias, added, n)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_float(row, tid, threads, state):
    """Packed weights, float32 tokens. row: as of `op_linear_packed` with a product in place of the
    stats."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    codes, scales, code_bytes = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    scale_bytes, k, n = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    form, x, product = i64_at(row + 72), i64_at(row + 80), i64_at(row + 88)
    bias, residual, y = i64_at(row + 96), i64_at(row + 104), i64_at(row + 112)
    groups = (n + 15) // 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    weights, floats = scratch + PANEL, i64_at(form + FLOATS)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        call_address(
            floats, codes + code_bytes * group, scales + scale_bytes * group, k // 32, weights
        )
        for t in range(0, rows, SLAB):
            count = min(SLAB, rows - t)
            added = residual + 4 * n * t if residual else 0
            call_5(product, weights, k, count, x + 4 * k * t, scratch)
            finish(count, scratch, 64, y + 4 * n * t, group, 1, bias, added, n)
    return 0


@njit(int64(int64), **INNER)
def chunk_of(k):
    """Rows of x that stay in the second cache while all weights pass."""
    return max(SLAB, CHUNK // k // SLAB * SLAB)


@njit(int64(*[int64] * 11), **INNER)
def multiply_pair(form, codes, scales, codes_2, scales_2, blocks, tokens, x, stats, y, scratch):
    """Two groups of 16 packed rows (`codes_2` 0: one) times at most 128 quantized tokens, more than
    `few` takes: y [token][32] float32, on a border of tiles. Some blocks are unpacked at a time."""
    unpack, product, parts = i64_at(form + UNPACK), i64_at(form + MANY), i64_at(form + PARTS)
    code_bytes, scale_bytes = i64_at(form + CODES), i64_at(form + SCALES)
    shift, offset = i64_at(form + SHIFT), i64_at(form + OFFSET)
    panel = scratch + PANEL
    factors = panel + 512 * AT_ONCE
    least = factors + 64 * parts * AT_ONCE
    stride = least + 64 * parts * AT_ONCE - panel
    for first in range(0, blocks, AT_ONCE):
        count, c, s = min(AT_ONCE, blocks - first), code_bytes * first, scale_bytes * first // 8
        call_7(unpack, codes + c, scales + s, count, shift, panel, factors, least)
        if codes_2:
            call_7(
                unpack, codes_2 + c, scales_2 + s, count, shift, panel + stride, factors + stride,
                least + stride,
            )  # fmt: skip
        call_13(
            product, panel, factors, least, stride, blocks, first, count, tokens, x, stats, offset,
            y, scratch,
        )  # fmt: skip
    return 0


@njit(int64(*[int64] * 5), **INNER)
def many(row, scratch, rows, first, last):
    """The pairs of groups first..last for more tokens than `few` takes."""
    codes, scales, code_bytes = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    scale_bytes, k, n = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    form, x, stats = i64_at(row + 72), i64_at(row + 80), i64_at(row + 88)
    bias, residual, y = i64_at(row + 96), i64_at(row + 104), i64_at(row + 112)
    slab, chunk = scratch + ROOM, chunk_of(k)
    for begin in range(0, rows, chunk):
        for pair in range(first, last):
            c, s = codes + 2 * code_bytes * pair, scales + 2 * scale_bytes * pair
            both = 32 * pair + 16 < n
            d, t = (c + code_bytes, s + scale_bytes) if both else (int64(0), int64(0))
            for start in range(begin, min(rows, begin + chunk), SLAB):
                count = min(SLAB, min(rows, begin + chunk) - start)
                here, known = x + k * start, stats + k * start
                multiply_pair(form, c, s, d, t, k // 32, count, here, known, slab, scratch)
                added = residual + 4 * n * start if residual else 0
                target = y + 4 * n * start
                finish(count, slab, 128, target, 2 * pair, 2 if both else 1, bias, added, n)
    return 0


@cfunc(OP, **OPTIONS)
def op_linear_packed(row, tid, threads, state):
    """row: size word, rows a unit, codes, scales, bytes of a group's codes and scales, in, out,
    form (address of `tape.Form`), x (int8 codes), stats, bias and residual (0: none), y.

    Of x as many rows are read as fill the last tile of 16.
    """
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    k, n, form = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    groups, blocks = (n + 15) // 16, k // 32
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    if rows > i64_at(form + LIMIT):
        pairs, config = (groups + 1) // 2, i64_at(form + CONFIG)
        if config:
            call_address(i64_at(form + OPEN), config, 0, 0, 0)
        many(row, scratch, rows, pairs * tid // threads, pairs * (tid + 1) // threads)
        if config:
            call_address(i64_at(form + CLOSE), config, 0, 0, 0)
        return 0
    codes, scales, code_bytes = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    scale_bytes, x, stats = i64_at(row + 48), i64_at(row + 80), i64_at(row + 88)
    bias, residual, y = i64_at(row + 96), i64_at(row + 104), i64_at(row + 112)
    few = i64_at(form + FEW)
    for group in range(groups * tid // threads, groups * (tid + 1) // threads):
        c, s = codes + code_bytes * group, scales + scale_bytes * group
        call_7(few, c, s, blocks, rows, x, stats, scratch)
        finish(rows, scratch, 64, y, group, 1, bias, residual, n)
    return 0
