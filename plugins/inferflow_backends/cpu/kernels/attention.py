"""Attention over the paged cache.

Keys lie as [page][kv head][tile of 16 positions][channel][16], values as [page][kv head][slot]
[channel, padded to 16], float32 or float16. A query walks its keys in tiles of 16 at absolute
positions, with a running maximum (online softmax, Milakov & Gimelshein 2018), and starts anew at
every 256th position; the parts are merged in order (Dao et al. 2023, "Flash-Decoding"). Queries are
taken 1 to 8 at a time, and parts by one thread or several, with one arithmetic: prefill, decode,
chunks and threads give the same bits.
"""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.attention_tile import scores_tile, values_tile
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    div,
    exp,
    f32_at,
    f32_of_bits,
    first_lane,
    fma,
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
from inferflow_backends.cpu.tape import PART, SHARED_TOKENS, State

scores_f32, scores_f16 = scores_tile(half=False), scores_tile(half=True)
values_f32, values_f16 = values_tile(half=False), values_tile(half=True)

TOKENS, SEQUENCES = 8 * State.TOKENS, 8 * State.SEQUENCES
TABLE_WIDTH, PAGE_TOKENS = 8 * State.TABLE_WIDTH, 8 * State.PAGE_TOKENS
POSITIONS, OFFSETS = 8 * State.POSITIONS, 8 * State.OFFSETS
TABLES = 8 * State.BLOCK_TABLES
SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES

QUERIES = 8
"""Query rows of a block."""
P, SCALE, TOP, TOTAL, ALL_TOP, ALL_TOTAL, Q = 0, 512, 576, 640, 704, 768, 832
"""Offsets in a thread's scratch: weights [8][16], and for each row the factor of its sums so far,
the largest score and the denominator of the part and of all parts; then the queries [8][width], the
sums of the part and of all parts [8][padded]."""


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


@njit(int64(*[int64] * 9), **INNER)
def walk(row, state, scratch, sequence, head, r, rows, begin, end):
    """Takes `rows` queries from row r on over the keys begin..end, which lie in one part."""
    keys, values, half = i64_at(row + 16), i64_at(row + 24), i64_at(row + 112)
    kv_heads, width, padded = i64_at(row + 48), i64_at(row + 56), i64_at(row + 72)
    page_tokens, tables = i64_at(state + PAGE_TOKENS), i64_at(state + TABLES)
    table = tables + 4 * sequence * i64_at(state + TABLE_WIDTH)
    q = scratch + Q + 4 * width * r
    o = scratch + Q + QUERIES * 4 * width + 4 * padded * r
    p, scale = scratch + P + 64 * r, scratch + SCALE + 4 * r
    tiles = page_tokens // 16
    key = begin
    while key < end:
        tile = key // 16
        first, last = key - 16 * tile, min(16, end - 16 * tile)
        page = i32_at(table + 4 * (tile // tiles)) * kv_heads + head
        k = 16 * width * (page * tiles + tile % tiles)
        v = padded * (page * page_tokens + 16 * (tile % tiles) + first)
        if half:
            scores_f16(rows, q, 4 * width, keys + 2 * k, width, p)
        else:
            scores_f32(rows, q, 4 * width, keys + 4 * k, width, p)
        for i in range(rows):
            weigh(row, scratch, r + i, first, last)
        count, weights = last - first, p + 4 * first
        if half:
            values_f16(rows, weights, scale, values + 2 * v, count, o, padded, 0)
        else:
            values_f32(rows, weights, scale, values + 4 * v, count, o, padded, 0)
        key = 16 * (tile + 1)
    return 0


@njit(int64(int64, int64, int64, int64, int64), **INNER)
def first_key(row, state, token, begin, end):
    """The first key in begin..end that a token sees; `end` if there is none."""
    window = i64_at(row + 88)
    position = i32_at(i64_at(state + POSITIONS) + 4 * token)
    low = max(0, position + 1 - window) if window else 0
    return min(end, max(begin, low))


@njit(int64(int64, int64, int64, int64), **INNER)
def last_key(state, token, begin, end):
    """Behind the last key in begin..end that a token sees; `begin` if there is none."""
    position = i32_at(i64_at(state + POSITIONS) + 4 * token)
    return max(begin, min(end, position + 1))


@njit(int64(*[int64] * 8), **INNER)
def part(row, state, scratch, sequence, token, head, rows, begin):
    """The part of the keys from `begin` on for queries that `fetch` has fetched. `token` is the
    block's: first token in the low 32 bits, first row (of the group's heads) above."""
    width, padded = i64_at(row + 56), i64_at(row + 72)
    group = i64_at(row + 40) // i64_at(row + 48)
    start, token = token >> 32, token & 0xFFFFFFFF
    sums = scratch + Q + QUERIES * 4 * width
    for r in range(rows):
        for i in range(0, padded, 16):
            store(sums + 4 * (padded * r + i), splat(np.float32(0)))
        set_f32(scratch + TOP + 4 * r, np.float32(-np.inf))
        set_f32(scratch + TOTAL + 4 * r, np.float32(0))
    near, far, end = token + start // group, token + (start + rows - 1) // group, begin + PART
    low, high = first_key(row, state, far, begin, end), last_key(state, near, begin, end)
    if near != far:  # keys that all of the queries see, in whole tiles
        low, high = (low + 15) // 16 * 16, high // 16 * 16
    if low < high:
        for r in range(rows):
            here = first_key(row, state, token + (start + r) // group, begin, end)
            walk(row, state, scratch, sequence, head, r, 1, here, low)
        walk(row, state, scratch, sequence, head, 0, rows, low, high)
        for r in range(rows):
            there = last_key(state, token + (start + r) // group, begin, end)
            walk(row, state, scratch, sequence, head, r, 1, high, there)
    else:
        for r in range(rows):
            here = first_key(row, state, token + (start + r) // group, begin, end)
            there = last_key(state, token + (start + r) // group, begin, end)
            walk(row, state, scratch, sequence, head, r, 1, here, there)
    return 0


@njit(int64(*[int64] * 6), **INNER)
def fetch(row, scratch, token, head, start, rows):
    """Copies the queries start..start+rows of a kv head: row r is token r / group, head r % group
    of it."""
    q, heads, width = i64_at(row + 8), i64_at(row + 40), i64_at(row + 56)
    group = heads // i64_at(row + 48)
    for r in range(rows):
        place = (
            (token + (start + r) // group) * heads + head * group + (start + r) % group
        ) * width
        for i in range(width):
            set_f32(scratch + Q + 4 * (width * r + i), f32_at(q + 4 * (place + i)))
    return 0


@njit(int64(*[int64] * 7), **INNER)
def merge(top, total, sums, all_top, all_total, all_sums, padded):
    """Adds a part to all parts before it; addresses of numbers. A part without keys is skipped."""
    new, old = f32_at(top), f32_at(all_top)
    if new == np.float32(-np.inf):
        return 0
    largest = max(new, old)
    a, b = first_lane(exp(splat(old - largest))), first_lane(exp(splat(new - largest)))
    set_f32(all_top, largest)
    set_f32(all_total, f32_at(all_total) * a + f32_at(total) * b)
    for i in range(0, padded, 16):
        before = mul(load(all_sums + 4 * i), splat(a))
        store(all_sums + 4 * i, fma(load(sums + 4 * i), splat(b), before))
    return 0


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def open_row(row, h, all_top, all_total, all_sums, padded):
    """No parts yet: the sink, where there is one, is in the denominator."""
    sinks = i64_at(row + 104)
    set_f32(all_top, f32_at(sinks + 4 * h) if sinks else np.float32(-np.inf))
    set_f32(all_total, np.float32(1) if sinks else np.float32(0))
    for i in range(0, padded, 16):
        store(all_sums + 4 * i, splat(np.float32(0)))
    return 0


@njit(int64(int64, int64, int64, int64), **INNER)
def close_row(row, place, all_total, all_sums):
    """Writes the weighted mean of the values of one token and head (`place` counts both)."""
    out, v_width = i64_at(row + 32), i64_at(row + 64)
    total = f32_at(all_total)
    for i in range(v_width):
        set_f32(out + 4 * (place * v_width + i), f32_at(all_sums + 4 * i) / total)
    return 0


@njit(int64(*[int64] * 8), **INNER)
def block(row, state, scratch, sequence, token, head, start, rows):
    """All parts of some queries, merged by this thread."""
    heads, width, padded = i64_at(row + 40), i64_at(row + 56), i64_at(row + 72)
    group = heads // i64_at(row + 48)
    sums = scratch + Q + QUERIES * 4 * width
    all_sums = sums + QUERIES * 4 * padded
    fetch(row, scratch, token, head, start, rows)
    for r in range(rows):
        h = head * group + (start + r) % group
        tops, totals = scratch + ALL_TOP + 4 * r, scratch + ALL_TOTAL + 4 * r
        open_row(row, h, tops, totals, all_sums + 4 * padded * r, padded)
    near, far = token + start // group, token + (start + rows - 1) // group
    end = last_key(state, far, 0, int64(1) << 40)
    begin = first_key(row, state, near, 0, end) // PART * PART
    while begin < end:
        part(row, state, scratch, sequence, start << 32 | token, head, rows, begin)
        for r in range(rows):
            merge(
                scratch + TOP + 4 * r,
                scratch + TOTAL + 4 * r,
                sums + 4 * padded * r,
                scratch + ALL_TOP + 4 * r,
                scratch + ALL_TOTAL + 4 * r,
                all_sums + 4 * padded * r,
                padded,
            )
        begin += PART
    for r in range(rows):
        place = (token + (start + r) // group) * heads + head * group + (start + r) % group
        close_row(row, place, scratch + ALL_TOTAL + 4 * r, all_sums + 4 * padded * r)
    return 0


@njit(int64(int64, int64), **INNER)
def size_of(left, most):
    """The next block's rows: a size that the tiles have."""
    return int64(8) if left >= 8 and most >= 8 else min(left, int64(4))


@njit(int64(int64), **INNER)
def parts_of(state):
    """Parts of the longest sequence that the step's block tables have room for."""
    return (i64_at(state + TABLE_WIDTH) * i64_at(state + PAGE_TOKENS) + PART - 1) // PART


@cfunc(OP, **OPTIONS)
def op_attention(row, tid, threads, state):
    """row: q, keys, values, out, heads, kv heads, width, v width, padded v width, scale,
    window (0: none), softcap (0: none), sinks (0: none), half, parts. Causal.

    A step of few tokens leaves parts [token][head][part][16 + padded] for `op_merge`.
    """
    heads, kv_heads, width = i64_at(row + 40), i64_at(row + 48), i64_at(row + 56)
    padded, parts = i64_at(row + 72), i64_at(row + 120)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    offsets, sums = i64_at(state + OFFSETS), scratch + Q + QUERIES * 4 * width
    group, unit = heads // kv_heads, int64(0)
    shared = i64_at(state + TOKENS) <= SHARED_TOKENS
    most = parts_of(state)
    for s in range(i64_at(state + SEQUENCES)):
        token = i32_at(offsets + 4 * s)
        rows = (i32_at(offsets + 4 * s + 4) - token) * group
        end = last_key(state, i32_at(offsets + 4 * s + 4) - 1, 0, int64(1) << 40)
        for head in range(kv_heads):
            start = int64(0)
            while start < rows:
                size = size_of(rows - start, QUERIES)
                if not shared:
                    if unit % threads == tid:
                        block(row, state, scratch, s, token, head, start, size)
                    unit += 1
                    start += size
                    continue
                for n in range((end + PART - 1) // PART):
                    if unit % threads == tid:
                        fetch(row, scratch, token, head, start, size)
                        part(row, state, scratch, s, start << 32 | token, head, size, PART * n)
                        for r in range(size):
                            t = token + (start + r) // group
                            place = t * heads + head * group + (start + r) % group
                            home = parts + 4 * (16 + padded) * (place * most + n)
                            set_f32(home, f32_at(scratch + TOP + 4 * r))
                            set_f32(home + 4, f32_at(scratch + TOTAL + 4 * r))
                            for i in range(0, padded, 16):
                                store(home + 64 + 4 * i, load(sums + 4 * (padded * r + i)))
                    unit += 1
                start += size
    return 0


@cfunc(OP, **OPTIONS)
def op_merge(row, tid, threads, state):
    """row: as of `op_attention`. Merges the parts that it left, in order."""
    tokens, heads, padded = i64_at(state + TOKENS), i64_at(row + 40), i64_at(row + 72)
    if tokens > SHARED_TOKENS:
        return 0
    parts, most = i64_at(row + 120), parts_of(state)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    for place in range(tokens * heads * tid // threads, tokens * heads * (tid + 1) // threads):
        top, total, sums = scratch + ALL_TOP, scratch + ALL_TOTAL, scratch + Q
        open_row(row, place % heads, top, total, sums, padded)
        end = last_key(state, place // heads, 0, int64(1) << 40)
        for n in range((end + PART - 1) // PART):
            home = parts + 4 * (16 + padded) * (place * most + n)
            merge(home, home + 4, home + 64, top, total, sums, padded)
        close_row(row, place, total, sums)
    return 0
