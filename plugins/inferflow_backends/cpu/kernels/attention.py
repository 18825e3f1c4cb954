"""Attention over the paged cache.

A chunk of query rows walks the keys in parts of 256 at absolute positions. Within a part all scores
are computed, then the softmax, then the weighted values; the parts are merged in order (Dao et al.
2023, "Flash-Decoding"). However many rows a chunk and the blocks in it have, and whether one thread
takes all parts of a row or several share them, each row's arithmetic is the same: prefill, decode,
chunks and threads give the same bits. A row reads only the keys and values that it sees.
"""

import numpy as np
from numba import cfunc, int64, njit

from inferflow_backends.cpu.attention_tile import MOST_QUERIES, TOGETHER
from inferflow_backends.cpu.attention_words import (
    CHUNK,
    PART,
    QUERIES,
    SHARED_PARTS,
    Scratch,
    Words,
)
from inferflow_backends.cpu.kernels.attention_softmax import HIDDEN, merge, weigh
from inferflow_backends.cpu.kernels.options import HELPER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    call_7,
    call_address,
    div,
    f32_at,
    f32_of_bits,
    i32_at,
    i64_at,
    load,
    load_first,
    mul,
    set_f32,
    set_i64,
    splat,
    store,
)
from inferflow_backends.cpu.tape import State

STATE_TOKENS, SEQUENCES, PAGE_TOKENS = 8 * State.TOKENS, 8 * State.SEQUENCES, 8 * State.PAGE_TOKENS
POSITIONS, SEQ_OF, OFFSETS = 8 * State.POSITIONS, 8 * State.SEQ_OF, 8 * State.OFFSETS
THREAD_SCRATCH, SCRATCH_BYTES = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES

HEADS, KV_HEADS, WIDTH, PADDED = (
    8 * Words.HEADS,
    8 * Words.KV_HEADS,
    8 * Words.WIDTH,
    8 * Words.PADDED,
)
CHANNELS, V_WIDTH, V_PADDED = 8 * Words.CHANNELS, 8 * Words.V_WIDTH, 8 * Words.V_PADDED
KEY_BYTES, VALUE_BYTES, SCALE = 8 * Words.KEY_BYTES, 8 * Words.VALUE_BYTES, 8 * Words.SCALE
WINDOW, CAUSAL, SINKS = 8 * Words.WINDOW, 8 * Words.CAUSAL, 8 * Words.SINKS
BIAS, BIAS_ROW, BIAS_ZERO = 8 * Words.BIAS, 8 * Words.BIAS_ROW, 8 * Words.BIAS_ZERO
LENGTHS, TABLES, TABLE_WIDTH = 8 * Words.LENGTHS, 8 * Words.TABLES, 8 * Words.TABLE_WIDTH
SCORES, VALUES, WIDEN = 8 * Words.SCORES, 8 * Words.VALUES, 8 * Words.WIDEN
WIDE_SCORES, WIDE_VALUES = 8 * Words.WIDE_SCORES, 8 * Words.WIDE_VALUES
KEY_SCALES, VALUE_SCALES = 8 * Words.KEY_SCALES, 8 * Words.VALUE_SCALES
ONE_STATE, PART_KERNEL = 8 * Words.ONE_STATE, 8 * Words.PART

SEQUENCE, HEAD, ROWS = int(Scratch.SEQUENCE), int(Scratch.HEAD), int(Scratch.ROWS)
PLACE, FIRST, END = int(Scratch.PLACE), int(Scratch.FIRST), int(Scratch.END)
ROW_BIAS = int(Scratch.BIAS)
TOP, TOTAL = int(Scratch.TOP), int(Scratch.TOTAL)
ALL_TOP, ALL_TOTAL = int(Scratch.ALL_TOP), int(Scratch.ALL_TOTAL)
KEY_TILES, VALUE_TILES = int(Scratch.KEY_TILES), int(Scratch.VALUE_TILES)
WEIGHTS, QUERY = int(Scratch.WEIGHTS), int(Scratch.QUERY)
NOW_SCORES, NOW_VALUES = int(Scratch.SCORES), int(Scratch.VALUES)
NOW_KEY_SCALES, NOW_VALUE_SCALES = int(Scratch.KEY_SCALES), int(Scratch.VALUE_SCALES)
WIDEN_ABOVE = 2 * QUERIES
"""Rows of a chunk above which widening the part's numbers once pays."""


@njit(int64(int64, int64, int64), **HELPER)
def first_seen(words, state, token):
    """The first key that a token sees."""
    window = i64_at(words + WINDOW)
    back = window - 1 if i64_at(words + CAUSAL) else window // 2
    return max(0, i32_at(i64_at(state + POSITIONS) + 4 * token) - back) if window else int64(0)


@njit(int64(int64, int64, int64, int64), **HELPER)
def end_seen(words, state, sequence, token):
    """Behind the last key that a token sees."""
    position = i32_at(i64_at(state + POSITIONS) + 4 * token)
    if i64_at(words + CAUSAL):
        return position + 1
    window = i64_at(words + WINDOW)
    length = i32_at(i64_at(state + i64_at(words + LENGTHS)) + 4 * sequence)
    return min(length, position + window // 2 + 1) if window else length


@njit(int64(int64, int64, int64), **HELPER)
def sums_of(words, scratch, r):
    """The address of row r's sums of the part; those of all parts are CHUNK rows further."""
    sums = scratch + QUERY + 4 * CHUNK * i64_at(words + PADDED)
    return sums + 4 * i64_at(words + V_PADDED) * r


@njit(int64(*[int64] * 5), **HELPER)
def fetch(row, state, scratch, token, start):
    """Takes up the chunk's rows: row r is token (start + r) // group from `token` on, and head
    (start + r) % group of the kv head. Copies their queries, scaled, with zeros up to the padded
    width."""
    words, q = i64_at(row + 8), i64_at(row + 16)
    width, padded, heads = i64_at(words + WIDTH), i64_at(words + PADDED), i64_at(words + HEADS)
    group, sequence = heads // i64_at(words + KV_HEADS), i64_at(scratch + SEQUENCE)
    scale, bias = splat(f32_of_bits(i64_at(words + SCALE))), i64_at(words + BIAS)
    for r in range(i64_at(scratch + ROWS)):
        t = token + (start + r) // group
        h = i64_at(scratch + HEAD) * group + (start + r) % group
        set_i64(scratch + PLACE + 8 * r, t * heads + h)
        set_i64(scratch + FIRST + 8 * r, first_seen(words, state, t))
        set_i64(scratch + END + 8 * r, end_seen(words, state, sequence, t))
        column = i64_at(words + BIAS_ZERO) - i32_at(i64_at(state + POSITIONS) + 4 * t)
        here = bias + 4 * (h * i64_at(words + BIAS_ROW) + column)
        set_i64(scratch + ROW_BIAS + 8 * r, here if bias else int64(0))
        for i in range(0, padded, 16):
            x = load_first(q + 4 * ((t * heads + h) * width + i), width - i)
            store(scratch + QUERY + 4 * (padded * r + i), mul(x, scale))
    return 0


@njit(int64(*[int64] * 6), **HELPER)
def find_tiles(row, state, scratch, part_tile, begin, end):
    """Writes the addresses of the part's tiles begin..end, and of one of them up to multiples of
    TOGETHER around."""
    words, keys, values = i64_at(row + 8), i64_at(row + 24), i64_at(row + 32)
    key_bytes, value_bytes = i64_at(words + KEY_BYTES), i64_at(words + VALUE_BYTES)
    sequence, head = i64_at(scratch + SEQUENCE), i64_at(scratch + HEAD)
    table = i64_at(state + i64_at(words + TABLES))
    table += 4 * sequence * i64_at(state + i64_at(words + TABLE_WIDTH))
    tiles, kv_heads = i64_at(state + PAGE_TOKENS) // 16, i64_at(words + KV_HEADS)
    for t in range(begin // TOGETHER * TOGETHER, (end + TOGETHER - 1) // TOGETHER * TOGETHER):
        tile = part_tile + min(max(t, begin), end - 1)
        page = i32_at(table + 4 * (tile // tiles)) * kv_heads + head
        place = page * tiles + tile % tiles
        set_i64(scratch + KEY_TILES + 8 * t, keys + key_bytes * place)
        set_i64(scratch + VALUE_TILES + 8 * t, values + value_bytes * place)
    set_i64(scratch + NOW_SCORES, i64_at(words + SCORES))
    set_i64(scratch + NOW_VALUES, i64_at(words + VALUES))
    set_i64(scratch + NOW_KEY_SCALES, i64_at(words + KEY_SCALES))
    set_i64(scratch + NOW_VALUE_SCALES, i64_at(words + VALUE_SCALES))
    return 0


@njit(int64(*[int64] * 7), **HELPER)
def widen_tiles(words, tiles, begin, end, channels, scales, to):
    """Copies tiles begin..end as float32, scales behind them, and enters the copies for them."""
    for t in range(begin, end):
        tile, home = i64_at(tiles + 8 * t), to + 64 * (channels + 1) * t
        call_7(i64_at(words + WIDEN), tile, home, channels, 0, 0, 0, 0)
        if scales:
            store(home + 64 * channels, load(tile + scales))
        set_i64(tiles + 8 * t, home)
    for t in range(end, (end + TOGETHER - 1) // TOGETHER * TOGETHER):
        set_i64(tiles + 8 * t, i64_at(tiles + 8 * (end - 1)))
    for t in range(begin // TOGETHER * TOGETHER, begin):
        set_i64(tiles + 8 * t, i64_at(tiles + 8 * begin))
    return 0


@njit(int64(int64, int64, int64, int64), **HELPER)
def widen_part(words, scratch, begin, end):
    """Lets the part be read from float32 copies of its tiles: many rows will read each."""
    channels, v_padded = i64_at(words + CHANNELS), i64_at(words + V_PADDED)
    key_scales, value_scales = i64_at(words + KEY_SCALES), i64_at(words + VALUE_SCALES)
    to = sums_of(words, scratch, 2 * CHUNK)
    widen_tiles(words, scratch + KEY_TILES, begin, end, channels, key_scales, to)
    if i64_at(words + ONE_STATE):
        for t in range(begin, end):
            set_i64(scratch + VALUE_TILES + 8 * t, i64_at(scratch + KEY_TILES + 8 * t))
    else:
        to += 4 * PART * (channels + 1)
        widen_tiles(words, scratch + VALUE_TILES, begin, end, v_padded, value_scales, to)
    set_i64(scratch + NOW_SCORES, i64_at(words + WIDE_SCORES))
    set_i64(scratch + NOW_VALUES, i64_at(words + WIDE_VALUES))
    set_i64(scratch + NOW_KEY_SCALES, 64 * channels if key_scales else int64(0))
    set_i64(scratch + NOW_VALUE_SCALES, 64 * v_padded if value_scales else int64(0))
    return 0


@njit(int64(*[int64] * 6), **HELPER)
def add_values(words, scratch, r, rows, first, last):
    """Adds the weighted values of the part's keys first..last to the sums of rows r..r+rows."""
    if first < last:
        tile = first // 16
        call_7(
            i64_at(scratch + NOW_VALUES),
            rows,
            scratch + WEIGHTS + 4 * PART * (r % QUERIES) + 64 * tile,
            scratch + VALUE_TILES + 8 * tile,
            first - 16 * tile,
            last - 16 * tile,
            i64_at(words + V_PADDED),
            sums_of(words, scratch, r),
        )
    return 0


@njit(int64(int64, int64, int64), **HELPER)
def within(keys, r, begin):
    """A key of row r, counted from the start of a part: 0 to PART."""
    return min(max(i64_at(keys + 8 * r) - begin, 0), PART)


@njit(int64(*[int64] * 5), **HELPER)
def block(words, scratch, begin, start, rows):
    """The part from `begin` on for rows start..start+rows of the chunk, whose tiles are found."""
    firsts, ends, end = scratch + FIRST, scratch + END, start + rows
    low, high = within(firsts, start, begin), within(ends, end - 1, begin)
    if low >= high:
        return 0
    tile = low // 16 // TOGETHER * TOGETHER
    call_7(
        i64_at(scratch + NOW_SCORES),
        rows,
        scratch + QUERY + 4 * i64_at(words + PADDED) * start,
        4 * i64_at(words + PADDED),
        scratch + KEY_TILES + 8 * tile,
        (high + 15) // 16 - tile,
        i64_at(words + CHANNELS),
        scratch + WEIGHTS + 4 * PART * (start % QUERIES) + 64 * tile,
    )
    all_from = within(firsts, end - 1, begin)
    all_to = max(all_from, within(ends, start, begin))
    for r in range(start, end):
        first, last = within(firsts, r, begin), within(ends, r, begin)
        bias = i64_at(scratch + ROW_BIAS + 8 * r)
        if first < last:
            weigh(words, scratch, r, first, last, bias + 4 * begin if bias else int64(0))
            add_values(words, scratch, r, 1, first, min(last, all_from))
    add_values(words, scratch, start, rows, all_from, all_to)
    if all_to < high:
        for r in range(start, end):
            first, last = within(firsts, r, begin), within(ends, r, begin)
            add_values(words, scratch, r, 1, max(first, all_to), last)
    return 0


@cfunc(OP, **OPTIONS)
def part(row, state, scratch, begin):
    """The part of the keys from `begin` on for the chunk's queries, which `fetch` has fetched.

    Called by its address: so it is compiled once, not again with each function that needs it."""
    words, rows = i64_at(row + 8), i64_at(scratch + ROWS)
    for i in range(0, rows * i64_at(words + V_PADDED), 16):
        store(sums_of(words, scratch, 0) + 4 * i, splat(np.float32(0)))
    for r in range(rows):
        set_f32(scratch + TOP + 4 * r, HIDDEN)
        set_f32(scratch + TOTAL + 4 * r, np.float32(0))
    low, high = within(scratch + FIRST, 0, begin), within(scratch + END, rows - 1, begin)
    if low >= high:
        return 0
    find_tiles(row, state, scratch, begin // 16, low // 16, (high + 15) // 16)
    if rows > WIDEN_ABOVE and i64_at(words + WIDEN):
        widen_part(words, scratch, low // 16, (high + 15) // 16)
    for start in range(0, rows, QUERIES):
        end = min(start + QUERIES, rows)
        for first in range(start, end, MOST_QUERIES):
            block(words, scratch, begin, first, min(MOST_QUERIES, end - first))
    return 0


@njit(int64(int64, int64, int64, int64, int64), **HELPER)
def open_row(words, h, all_top, all_total, all_sums):
    """No parts yet: the sink, where there is one, is in the denominator."""
    sinks = i64_at(words + SINKS)
    set_f32(all_top, f32_at(sinks + 4 * h) if sinks else HIDDEN)
    set_f32(all_total, np.float32(1) if sinks else np.float32(0))
    for i in range(0, i64_at(words + V_PADDED), 16):
        store(all_sums + 4 * i, splat(np.float32(0)))
    return 0


@njit(int64(int64, int64, int64, int64, int64), **HELPER)
def close_row(words, out, place, all_total, all_sums):
    """Writes the weighted mean of the values of one token and head (`place` counts both)."""
    v_width = i64_at(words + V_WIDTH)
    total = f32_at(all_total)
    home = out + 4 * place * v_width
    whole = v_width // 16 * 16
    for i in range(0, whole, 16):
        store(home + 4 * i, div(load(all_sums + 4 * i), splat(total)))
    for i in range(whole, v_width):
        set_f32(home + 4 * i, f32_at(all_sums + 4 * i) / total)
    return 0


@njit(int64(*[int64] * 5), **HELPER)
def chunk(row, state, scratch, begin, end):
    """All parts of the chunk's queries, keys begin..end, merged by this thread."""
    words, out, rows = i64_at(row + 8), i64_at(row + 40), i64_at(scratch + ROWS)
    v_padded = i64_at(words + V_PADDED)
    more = 4 * CHUNK * v_padded
    for r in range(rows):
        sums = sums_of(words, scratch, r) + more
        top, total = scratch + ALL_TOP + 4 * r, scratch + ALL_TOTAL + 4 * r
        h = i64_at(scratch + PLACE + 8 * r) % i64_at(words + HEADS)
        open_row(words, h, top, total, sums)
    while begin < end:
        call_address(i64_at(words + PART_KERNEL), row, state, scratch, begin)
        for r in range(rows):
            top, total = scratch + TOP + 4 * r, scratch + TOTAL + 4 * r
            all_top, all_total = scratch + ALL_TOP + 4 * r, scratch + ALL_TOTAL + 4 * r
            sums = sums_of(words, scratch, r)
            merge(top, total, sums, all_top, all_total, sums + more, v_padded)
        begin += PART
    for r in range(rows):
        sums, place = sums_of(words, scratch, r) + more, i64_at(scratch + PLACE + 8 * r)
        close_row(words, out, place, scratch + ALL_TOTAL + 4 * r, sums)
    return 0


@njit(int64(int64, int64, int64, int64, int64), **HELPER)
def shared_part(row, state, scratch, n, most):
    """Part n of the chunk's queries, left for `op_merge` in the room."""
    words, room = i64_at(row + 8), i64_at(row + 48)
    v_padded = i64_at(words + V_PADDED)
    call_address(i64_at(words + PART_KERNEL), row, state, scratch, PART * n)
    for r in range(i64_at(scratch + ROWS)):
        back = i64_at(scratch + FIRST + 8 * r) // PART
        if n < back:
            continue
        place = i64_at(scratch + PLACE + 8 * r) * most + n - back
        home = room + 4 * (16 + v_padded) * place
        set_f32(home, f32_at(scratch + TOP + 4 * r))
        set_f32(home + 4, f32_at(scratch + TOTAL + 4 * r))
        sums = sums_of(words, scratch, r)
        for i in range(0, v_padded, 16):
            store(home + 64 + 4 * i, load(sums + 4 * i))
    return 0


@njit(int64(int64, int64), **HELPER)
def blocks_of(words, state):
    """Blocks of query rows of the step, of all heads."""
    heads, kv_heads = i64_at(words + HEADS), i64_at(words + KV_HEADS)
    offsets, blocks = i64_at(state + OFFSETS), int64(0)
    for s in range(i64_at(state + SEQUENCES)):
        rows = (i32_at(offsets + 4 * s + 4) - i32_at(offsets + 4 * s)) * (heads // kv_heads)
        blocks += (rows + QUERIES - 1) // QUERIES * kv_heads
    return blocks


@njit(int64(int64, int64, int64), **HELPER)
def parts_shared(words, state, threads):
    """The most parts that a row of this step has, where threads share the parts of a row; 0 where
    there are rows enough for all threads, or parts too many for the room."""
    offsets, window = i64_at(state + OFFSETS), i64_at(words + WINDOW)
    if threads == 1 or blocks_of(words, state) >= 4 * threads:
        return 0
    most = int64(1)
    for s in range(i64_at(state + SEQUENCES)):
        last = i32_at(offsets + 4 * s + 4) - 1
        if last >= i32_at(offsets + 4 * s):
            most = max(most, (end_seen(words, state, s, last) + PART - 1) // PART)
    if window:
        most = min(most, window // PART + 2)
    room = i64_at(state + STATE_TOKENS) * i64_at(words + HEADS) * most
    return most if most > 1 and room <= SHARED_PARTS else int64(0)


@njit(int64(*[int64] * 6), **HELPER)
def units(row, state, tid, threads, most, total):
    """Runs a thread's share of all units, which are chunks, or with `most` parts of chunks; of
    `total`, the cost of all. With a total of 0 it only counts that."""
    words = i64_at(row + 8)
    scratch = i64_at(state + THREAD_SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    group = i64_at(words + HEADS) // i64_at(words + KV_HEADS)
    offsets, before = i64_at(state + OFFSETS), int64(0)
    few = blocks_of(words, state) // (8 * threads)
    rows_of = QUERIES * min(max(few, 1), CHUNK // QUERIES)
    for s in range(i64_at(state + SEQUENCES)):
        token = i32_at(offsets + 4 * s)
        rows = (i32_at(offsets + 4 * s + 4) - token) * group
        set_i64(scratch + SEQUENCE, s)
        for head in range(i64_at(words + KV_HEADS)):
            set_i64(scratch + HEAD, head)
            for start in range(0, rows, rows_of):
                size = min(rows_of, rows - start)
                set_i64(scratch + ROWS, size)
                near, far = token + start // group, token + (start + size - 1) // group
                low, end = first_seen(words, state, near), end_seen(words, state, s, far)
                begin, fetched = low // PART * PART, False
                step = PART if most else end - begin
                while begin < end:
                    keys = min(end, begin + step) - max(low, begin)
                    cost = (keys + 32) * (size + 2)
                    if total and (2 * before + cost) * threads // (2 * total) == tid:
                        if not fetched:
                            fetch(row, state, scratch, token, start)
                            fetched = True
                        if most:
                            shared_part(row, state, scratch, begin // PART, most)
                        else:
                            chunk(row, state, scratch, begin, end)
                    before += cost
                    begin += step
    return before


@cfunc(OP, **OPTIONS)
def op_attention(row, tid, threads, state):
    """row: words (`attention_words`), q, keys, values, out, room for parts.

    Where threads share the parts of a row, parts [token][head][part][16 + padded v width] are left
    for `op_merge`.
    """
    most = parts_shared(i64_at(row + 8), state, threads)
    total = units(row, state, tid, threads, most, 0) if threads > 1 else int64(1) << 60
    units(row, state, tid, threads, most, total)
    return 0


@cfunc(OP, **OPTIONS)
def op_merge(row, tid, threads, state):
    """row: as of `op_attention`. Merges the parts that it left, in order."""
    words, out, room = i64_at(row + 8), i64_at(row + 40), i64_at(row + 48)
    most = parts_shared(words, state, threads)
    if most == 0:
        return 0
    heads, v_padded = i64_at(words + HEADS), i64_at(words + V_PADDED)
    scratch = i64_at(state + THREAD_SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    top, total, sums = scratch + ALL_TOP, scratch + ALL_TOTAL, scratch + QUERY
    places = i64_at(state + STATE_TOKENS) * heads
    for place in range(places * tid // threads, places * (tid + 1) // threads):
        token = place // heads
        sequence = i32_at(i64_at(state + SEQ_OF) + 4 * token)
        end = (end_seen(words, state, sequence, token) + PART - 1) // PART
        back = first_seen(words, state, token) // PART
        open_row(words, place % heads, top, total, sums)
        for n in range(end - back):
            home = room + 4 * (16 + v_padded) * (place * most + n)
            merge(home, home + 4, home + 64, top, total, sums, v_padded)
        close_row(words, out, place, total, sums)
    return 0
