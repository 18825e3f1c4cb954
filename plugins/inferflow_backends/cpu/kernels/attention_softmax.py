"""From scores to weights within a part of attention, and the merging of parts."""

import numpy as np
from numba import int64, njit

from inferflow_backends.cpu.attention_words import PART, QUERIES, Scratch, Words
from inferflow_backends.cpu.kernels.options import HELPER
from inferflow_backends.cpu.simd import (
    add,
    div,
    exp,
    exp_below,
    f32_at,
    f32_of_bits,
    first_lane,
    fma,
    i64_at,
    keep_lanes,
    load,
    max_lanes,
    maximum,
    mul,
    set_f32,
    splat,
    store,
    sub,
    sum_lanes,
)

SOFTCAP = 8 * Words.SOFTCAP
KEY_SCALES, VALUE_SCALES = int(Scratch.KEY_SCALES), int(Scratch.VALUE_SCALES)
KEY_TILES, VALUE_TILES = int(Scratch.KEY_TILES), int(Scratch.VALUE_TILES)
WEIGHTS, TOP, TOTAL = int(Scratch.WEIGHTS), int(Scratch.TOP), int(Scratch.TOTAL)
HIDDEN = np.float32(-np.inf)


@njit(int64(int64, int64, int64, int64, int64, int64), **HELPER)
def weigh(words, scratch, r, first, last, bias):
    """Scores of the part's keys first <= j < last -> weights of row r, 0 for the other keys of
    their tiles; with their largest score and their sum. A block of rows begins at a multiple of
    QUERIES. `bias` is the address of what is added to
    the score of key 0, 0 for nothing."""
    softcap = f32_of_bits(i64_at(words + SOFTCAP))
    key_scales, value_scales = i64_at(scratch + KEY_SCALES), i64_at(scratch + VALUE_SCALES)
    row = scratch + WEIGHTS + 4 * PART * (r % QUERIES)
    begin, end = first // 16, (last + 15) // 16
    tops = splat(HIDDEN)
    for t in range(begin, end):
        s = load(row + 64 * t)
        if key_scales:
            s = mul(s, load(i64_at(scratch + KEY_TILES + 8 * t) + key_scales))
        if softcap > np.float32(0):
            cap, one, two = splat(softcap), splat(np.float32(1)), splat(np.float32(2))
            e = exp(mul(div(s, cap), two))
            s = mul(sub(one, div(two, add(e, one))), cap)
        if bias:
            s = add(s, load(bias + 64 * t))
        if 16 * t < first or 16 * t + 16 > last:
            s = keep_lanes(s, first - 16 * t, last - 16 * t, HIDDEN)
        store(row + 64 * t, s)
        tops = maximum(tops, s)
    top = max_lanes(tops)
    totals = splat(np.float32(0))
    for t in range(begin, end):
        p = exp_below(sub(load(row + 64 * t), splat(top)))
        if 16 * t < first or 16 * t + 16 > last:
            p = keep_lanes(p, first - 16 * t, last - 16 * t, np.float32(0))
        totals = add(totals, p)
        if value_scales:
            p = mul(p, load(i64_at(scratch + VALUE_TILES + 8 * t) + value_scales))
        store(row + 64 * t, p)
    set_f32(scratch + TOP + 4 * r, top)
    set_f32(scratch + TOTAL + 4 * r, sum_lanes(totals))
    return 0


@njit(int64(*[int64] * 7), **HELPER)
def merge(top, total, sums, all_top, all_total, all_sums, padded):
    """Adds a part to all parts before it; addresses of numbers. A part without keys is skipped."""
    new, old = f32_at(top), f32_at(all_top)
    if new == HIDDEN:
        return 0
    largest = max(new, old)
    a, b = (
        first_lane(exp_below(splat(old - largest))),
        first_lane(exp_below(splat(new - largest))),
    )
    set_f32(all_top, largest)
    set_f32(all_total, f32_at(all_total) * a + f32_at(total) * b)
    for i in range(0, padded, 16):
        before = mul(load(all_sums + 4 * i), splat(a))
        store(all_sums + 4 * i, fma(load(sums + 4 * i), splat(b), before))
    return 0
