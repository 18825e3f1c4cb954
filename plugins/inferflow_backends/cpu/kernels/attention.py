"""Attention over the paged cache, and the writes into it.

Keys lie as [page][kv head][tile of 16 positions][channel][16], values as [page][kv head][slot]
[channel, padded to 16]. A query walks its keys in tiles of 16 at absolute positions, with a running
maximum (online softmax, Milakov & Gimelshein 2018); queries are taken 1 to 8 at a time with one
arithmetic, so prefill, decode and chunks give the same bits.
"""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    exp,
    f32_at,
    f32_of_bits,
    first_lane,
    i32_at,
    i64_at,
    keep_lanes,
    load,
    max_lanes,
    mul,
    set_f32,
    splat,
    store,
    sub,
    sum_lanes,
)
from inferflow_backends.cpu.tape import State
from inferflow_backends.cpu.tile import scores_tile, values_tile

scores1, scores2, scores3, scores4, scores8 = (scores_tile(rows) for rows in (1, 2, 3, 4, 8))
values1, values2, values3, values4, values8 = (values_tile(rows, 1) for rows in (1, 2, 3, 4, 8))
values1x4, values2x4, values3x4, values4x4 = (values_tile(rows, 4) for rows in (1, 2, 3, 4))
values8x2 = values_tile(8, 2)

TOKENS, SEQUENCES = 8 * State.TOKENS, 8 * State.SEQUENCES
TABLE_WIDTH, PAGE_TOKENS = 8 * State.TABLE_WIDTH, 8 * State.PAGE_TOKENS
POSITIONS, SEQ_OF, OFFSETS = 8 * State.POSITIONS, 8 * State.SEQ_OF, 8 * State.OFFSETS
TABLES = 8 * State.BLOCK_TABLES
SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES

QUERIES = 8
"""Query rows of a block."""
P, SCALE, TOP, TOTAL, PLACE, Q = 0, 512, 576, 640, 704, 768
"""Offsets in a thread's scratch: weights [8][16], and for each row the factor of its sums so far,
the largest score, the softmax's denominator, its position; then the queries and the sums."""


@cfunc(OP, **OPTIONS)
def op_append_keys(row, tid, threads, state):
    """row: keys, x, kv heads, width."""
    keys, x, heads, width = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    tokens, page_tokens = i64_at(state + TOKENS), i64_at(state + PAGE_TOKENS)
    positions, seq_of = i64_at(state + POSITIONS), i64_at(state + SEQ_OF)
    tables, table_width = i64_at(state + TABLES), i64_at(state + TABLE_WIDTH)
    for r in range(tokens * heads * tid // threads, tokens * heads * (tid + 1) // threads):
        t, head = r // heads, r % heads
        position = i32_at(positions + 4 * t)
        entry = i32_at(seq_of + 4 * t) * table_width + position // page_tokens
        page, slot = i32_at(tables + 4 * entry), position % page_tokens
        tile = (page * heads + head) * (page_tokens // 16) + slot // 16
        target = keys + 64 * width * tile + 4 * (slot % 16)
        for i in range(width):
            set_f32(target + 64 * i, f32_at(x + 4 * (width * r + i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_append_values(row, tid, threads, state):
    """row: values, x, kv heads, width, padded width."""
    values, x, heads, width = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    padded = i64_at(row + 40)
    tokens, page_tokens = i64_at(state + TOKENS), i64_at(state + PAGE_TOKENS)
    positions, seq_of = i64_at(state + POSITIONS), i64_at(state + SEQ_OF)
    tables, table_width = i64_at(state + TABLES), i64_at(state + TABLE_WIDTH)
    for r in range(tokens * heads * tid // threads, tokens * heads * (tid + 1) // threads):
        t, head = r // heads, r % heads
        position = i32_at(positions + 4 * t)
        entry = i32_at(seq_of + 4 * t) * table_width + position // page_tokens
        page, slot = i32_at(tables + 4 * entry), position % page_tokens
        target = values + 4 * padded * ((page * heads + head) * page_tokens + slot)
        for i in range(width):
            set_f32(target + 4 * i, f32_at(x + 4 * (width * r + i)))
    return 0


@njit(int64(int64, int64, int64, int64, int64), **INNER)
def weigh(row, scratch, r, first, last):
    """Scores of one tile -> weights, with the row's maximum and denominator brought up to date.
    Lanes outside first..last are masked."""
    scale, softcap = f32_of_bits(i64_at(row + 80)), f32_of_bits(i64_at(row + 96))
    s = mul(load(scratch + P + 64 * r), splat(scale))
    if softcap > np.float32(0):
        cap, one = splat(softcap), splat(np.float32(1))
        e = exp(mul(div(s, cap), splat(np.float32(2))))
        s = mul(sub(one, div(splat(np.float32(2)), add(e, one))), cap)
    if last - first < 16:
        s = keep_lanes(s, first, last, np.float32(-np.inf))
    before = f32_at(scratch + TOP + 4 * r)
    top = max(before, max_lanes(s))
    p = exp(sub(s, splat(top)))
    if last - first < 16:
        p = keep_lanes(p, first, last, np.float32(0))
    factor = first_lane(exp(splat(before - top)))
    store(scratch + P + 64 * r, p)
    set_f32(scratch + SCALE + 4 * r, factor)
    set_f32(scratch + TOP + 4 * r, top)
    total = f32_at(scratch + TOTAL + 4 * r) * factor + sum_lanes(p)
    set_f32(scratch + TOTAL + 4 * r, total)
    return 0


@njit(int64(*[int64] * 6), **INNER)
def score(rows, q, q_stride, keys, half, s):
    """Scores of `rows` (1, 2, 3, 4 or 8) queries with 16 keys."""
    if rows == 8:
        return scores8(q, q_stride, keys, half, s)
    if rows == 4:
        return scores4(q, q_stride, keys, half, s)
    if rows == 3:
        return scores3(q, q_stride, keys, half, s)
    if rows == 2:
        return scores2(q, q_stride, keys, half, s)
    return scores1(q, q_stride, keys, half, s)


@njit(int64(*[int64] * 7), **INNER)
def add_values(rows, p, scale, v, stride, count, o):
    """Weighs `count` values into the sums of `rows` queries; `stride` bytes from row to row."""
    c = int64(0)
    while c < stride:
        wide = stride - c >= 256 and rows <= 4
        if rows == 8 and stride - c >= 128:
            values8x2(p, scale, v + c, stride, count, o + c)
            c += 64
        elif rows == 8:
            values8(p, scale, v + c, stride, count, o + c)
        elif rows == 4 and wide:
            values4x4(p, scale, v + c, stride, count, o + c)
            c += 192
        elif rows == 4:
            values4(p, scale, v + c, stride, count, o + c)
        elif rows == 3 and wide:
            values3x4(p, scale, v + c, stride, count, o + c)
            c += 192
        elif rows == 3:
            values3(p, scale, v + c, stride, count, o + c)
        elif rows == 2 and wide:
            values2x4(p, scale, v + c, stride, count, o + c)
            c += 192
        elif rows == 2:
            values2(p, scale, v + c, stride, count, o + c)
        elif rows == 1 and wide:
            values1x4(p, scale, v + c, stride, count, o + c)
            c += 192
        elif rows == 1:
            values1(p, scale, v + c, stride, count, o + c)
        c += 64
    return 0


@njit(int64(*[int64] * 9), **INNER)
def walk(row, state, scratch, sequence, head, r, rows, begin, end):
    """Takes `rows` queries from row r on over the keys begin..end of a sequence."""
    keys, values = i64_at(row + 16), i64_at(row + 24)
    kv_heads, width, padded = i64_at(row + 48), i64_at(row + 56), i64_at(row + 72)
    page_tokens, tables = i64_at(state + PAGE_TOKENS), i64_at(state + TABLES)
    table = tables + 4 * sequence * i64_at(state + TABLE_WIDTH)
    q = scratch + Q + 4 * width * r
    o = scratch + Q + QUERIES * 4 * width + 4 * padded * r
    p, scale = scratch + P + 64 * r, scratch + SCALE + 4 * r
    tiles, stride = page_tokens // 16, 4 * padded
    key = begin
    while key < end:
        tile = key // 16
        first, last = key - 16 * tile, min(16, end - 16 * tile)
        page = i32_at(table + 4 * (tile // tiles))
        k = keys + 64 * width * ((page * kv_heads + head) * tiles + tile % tiles)
        slot = 16 * (tile % tiles) + first
        v = values + stride * ((page * kv_heads + head) * page_tokens + slot)
        score(rows, q, 4 * width, k, width // 2, p)
        for i in range(rows):
            weigh(row, scratch, r + i, first, last)
        add_values(rows, p + 4 * first, scale, v, stride, last - first, o)
        key = 16 * (tile + 1)
    return 0


@njit(int64(*[int64] * 8), **INNER)
def block(row, state, scratch, sequence, token, head, start, rows):
    """Queries start..start+rows of a kv head: row r is token r / group, head r % group of it."""
    q, out, heads, kv_heads = i64_at(row + 8), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    width, v_width, padded = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    window, sinks = i64_at(row + 88), i64_at(row + 104)
    positions = i64_at(state + POSITIONS)
    group = heads // kv_heads
    sums = scratch + Q + QUERIES * 4 * width
    for r in range(rows):
        t = token + (start + r) // group
        h = head * group + (start + r) % group
        for i in range(width):
            number = f32_at(q + 4 * ((t * heads + h) * width + i))
            set_f32(scratch + Q + 4 * (width * r + i), number)
        for i in range(0, padded, 16):
            store(sums + 4 * (padded * r + i), splat(np.float32(0)))
        set_f32(scratch + TOP + 4 * r, f32_at(sinks + 4 * h) if sinks else np.float32(-np.inf))
        set_f32(scratch + TOTAL + 4 * r, np.float32(1) if sinks else np.float32(0))
    near = i32_at(positions + 4 * (token + start // group))
    far = i32_at(positions + 4 * (token + (start + rows - 1) // group))
    begin, end = max(0, far + 1 - window) if window else 0, near + 1
    if near != far:  # keys that all of the queries see, in whole tiles
        begin, end = (begin + 15) // 16 * 16, end // 16 * 16
    joint = begin < end
    for r in range(rows):
        position = i32_at(positions + 4 * (token + (start + r) // group))
        low = max(0, position + 1 - window) if window else 0
        walk(row, state, scratch, sequence, head, r, 1, low, begin if joint else position + 1)
    if joint:
        walk(row, state, scratch, sequence, head, 0, rows, begin, end)
        for r in range(rows):
            position = i32_at(positions + 4 * (token + (start + r) // group))
            walk(row, state, scratch, sequence, head, r, 1, end, position + 1)
    for r in range(rows):
        t = token + (start + r) // group
        h = head * group + (start + r) % group
        total = f32_at(scratch + TOTAL + 4 * r)
        for i in range(v_width):
            number = f32_at(sums + 4 * (padded * r + i)) / total
            set_f32(out + 4 * ((t * heads + h) * v_width + i), number)
    return 0


@cfunc(OP, **OPTIONS)
def op_attention(row, tid, threads, state):
    """row: q, keys, values, out, heads, kv heads, width, v width, padded v width, scale,
    window (0: none), softcap (0: none), sinks (0: none). Causal."""
    heads, kv_heads = i64_at(row + 40), i64_at(row + 48)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    offsets = i64_at(state + OFFSETS)
    group, unit = heads // kv_heads, int64(0)
    for s in range(i64_at(state + SEQUENCES)):
        token = i32_at(offsets + 4 * s)
        rows = (i32_at(offsets + 4 * s + 4) - token) * group
        for head in range(kv_heads):
            start = int64(0)
            while start < rows:
                left = rows - start
                size = min(left, 4) if left < QUERIES else QUERIES
                if unit % threads == tid:
                    block(row, state, scratch, s, token, head, start, size)
                start += size
                unit += 1
    return 0
