"""append: a token's keys or values into the cache, as attention reads them."""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import HELPER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    absolute,
    i32_at,
    i64_at,
    load_first,
    max_lanes,
    maximum,
    mul,
    round_i32,
    set_f32,
    set_i32,
    set_u8,
    set_u16,
    splat,
    store,
    store_bf16,
    store_f16,
    store_i8,
    u8_at,
    u16_at,
)
from inferflow_backends.cpu.tape import State

TOKENS, PAGE_TOKENS = 8 * State.TOKENS, 8 * State.PAGE_TOKENS
POSITIONS, SEQ_OF = 8 * State.POSITIONS, 8 * State.SEQ_OF
TABLES, TABLE_WIDTH = 8 * State.BLOCK_TABLES, 8 * State.TABLE_WIDTH
SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES
F32, F16, BF16, INT8 = 0, 1, 2, 3
"""Codes of `cache_formats`."""


@njit(int64(int64, int64), **HELPER)
def slot_of(state, token):
    """page * page_tokens + slot of a token."""
    page_tokens = i64_at(state + PAGE_TOKENS)
    position = i32_at(i64_at(state + POSITIONS) + 4 * token)
    sequence = i32_at(i64_at(state + SEQ_OF) + 4 * token)
    entry = sequence * i64_at(state + TABLE_WIDTH) + position // page_tokens
    page = i32_at(i64_at(state + TABLES) + 4 * entry)
    return page * page_tokens + position % page_tokens


@njit(int64(int64, int64, int64, int64, int64), **HELPER)
def narrow(x, width, form, to, scale):
    """`width` float32 from x to numbers of a format, with zeros up to a multiple of 16. `scale` is
    where the scale of an int8 row goes: its largest magnitude is 127."""
    factor = splat(np.float32(1))
    if form == INT8:
        most = splat(np.float32(0))
        for i in range(0, width, 16):
            most = maximum(most, absolute(load_first(x + 4 * i, width - i)))
        largest = max_lanes(most)
        set_f32(scale, largest / np.float32(127))
        factor = splat(np.float32(127) / largest if largest > 0 else np.float32(0))
    for i in range(0, width, 16):
        numbers = load_first(x + 4 * i, width - i)
        if form == F32:
            store(to + 4 * i, numbers)
        elif form == F16:
            store_f16(to + 2 * i, numbers)
        elif form == BF16:
            store_bf16(to + 2 * i, numbers)
        else:
            store_i8(to + i, round_i32(mul(numbers, factor)))
    return 0


@njit(int64(int64, int64, int64, int64), **HELPER)
def scatter(numbers, width, size, to):
    """`width` numbers of `size` bytes, to every 16th place."""
    if size == 4:
        for i in range(width):
            set_i32(to + 64 * i, i32_at(numbers + 4 * i))
    elif size == 2:
        for i in range(width):
            set_u16(to + 32 * i, u16_at(numbers + 2 * i))
    else:
        for i in range(width):
            set_u8(to + 16 * i, u8_at(numbers + i))
    return 0


@cfunc(OP, **OPTIONS)
def op_append(row, tid, threads, state):
    """row: cache, x, kv heads, width, format, bytes of a number, of a tile, and of its numbers,
    whether the layout is of keys."""
    cache, x, heads, width = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    form, size, tile_bytes, scales = (
        i64_at(row + 40),
        i64_at(row + 48),
        i64_at(row + 56),
        i64_at(row + 64),
    )
    tiles = i64_at(state + PAGE_TOKENS) // 16
    padded = (width + 15) // 16 * 16
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    rows = i64_at(state + TOKENS) * heads
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        slot = slot_of(state, r // heads)
        place = (slot // 16 // tiles * heads + r % heads) * tiles + slot // 16 % tiles
        tile = cache + tile_bytes * place
        scale = tile + scales + 4 * (slot % 16)
        if i64_at(row + 72):
            narrow(x + 4 * width * r, width, form, scratch, scale)
            scatter(scratch, width, size, tile + size * (slot % 16))
        else:
            narrow(x + 4 * width * r, width, form, tile + size * padded * (slot % 16), scale)
    return 0
