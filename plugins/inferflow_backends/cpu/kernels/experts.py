"""expert_linear: each token times the matrices of its own experts.

A pair is a token and one of its ranks, numbered token * ranks + rank. Pairs are sorted by expert,
and each expert multiplies its own as `linear` multiplies tokens, with the same products: so the
bits of a pair do not depend on who shares its expert.
"""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.copies import copy
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
    multiply_pair,
)
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    call_5,
    call_7,
    call_address,
    i32_at,
    i64_at,
    load,
    set_i32,
    store,
    store_first,
)


@njit(int64(int64, int64, int64), **INNER)
def expert(index, pair, experts):
    """A pair's expert, one that there is."""
    return min(max(i32_at(index + 4 * pair), 0), experts - 1)


@cfunc(OP, **OPTIONS)
def op_sort(row, tid, threads, state):
    """Pairs by expert, those of an expert in order. row: size word, ranks, experts, index
    [tokens, ranks], and where to: where each expert's pairs begin [experts + 1], then the pairs,
    then room [experts], all int32."""
    if tid:
        return 0
    pairs, experts = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16), i64_at(row + 24)
    index, starts = i64_at(row + 32), i64_at(row + 40)
    order = starts + 4 * (experts + 1)
    free = order + 4 * pairs
    for e in range(experts + 1):
        set_i32(starts + 4 * e, 0)
    for p in range(pairs):
        count = starts + 4 * expert(index, p, experts) + 4
        set_i32(count, i32_at(count) + 1)
    for e in range(experts):
        begin = i32_at(starts + 4 * e)
        set_i32(free + 4 * e, begin)
        set_i32(starts + 4 * e + 4, begin + i32_at(starts + 4 * e + 4))
    for p in range(pairs):
        place = free + 4 * expert(index, p, experts)
        set_i32(order + 4 * i32_at(place), p)
        set_i32(place, i32_at(place) + 1)
    return 0


@cfunc(OP, **OPTIONS)
def op_bring(row, tid, threads, state):
    """A row for each pair, in the pairs' order. row: size word, ranks, experts, starts, pairs to a
    row of x, numbers (of 32 bits) of a row, x, out."""
    pairs, experts = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16), i64_at(row + 24)
    order, each = i64_at(row + 32) + 4 * (experts + 1), i64_at(row + 40)
    width, x, out = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    for p in range(pairs * tid // threads, pairs * (tid + 1) // threads):
        source = i32_at(order + 4 * p) // each
        copy(x + 4 * width * source, out + 4 * width * p, width)
    return 0


@njit(int64(*[int64] * 8), **INNER)
def spread(count, y, stride, out, order, group, bias, n):
    """Adds the bias (0: none) to the group's columns and writes them to their pairs:
    y [count][16], rows `stride` bytes apart -> out [pairs][n]."""
    width = min(16, n - 16 * group)
    for i in range(count):
        v = load(y + stride * i)
        if bias:
            v = add(v, load(bias + 64 * group))
        target = out + 4 * (n * i32_at(order + 4 * i) + 16 * group)
        if width == 16:
            store(target, v)
        else:
            store_first(target, v, width)
    return 0


@cfunc(OP, **OPTIONS)
def op_experts_float(row, tid, threads, state):
    """float32 tokens. row: starts, experts, weights, scales, bytes of a group's weights and scales,
    in, out, form of packed weights (0: none), x (a row for each pair), product, bias (0: none), y.
    """
    starts, experts, weights = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24)
    scales, size, scale_bytes = i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    k, n, form, x = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72), i64_at(row + 80)
    product, bias, y = i64_at(row + 88), i64_at(row + 96), i64_at(row + 104)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    order, groups = starts + 4 * (experts + 1), (n + 15) // 16
    for e in range(experts):
        first, last = i32_at(starts + 4 * e), i32_at(starts + 4 * e + 4)
        if first == last:
            continue
        added = bias + 4 * n * e if bias else 0
        for group in range(groups * tid // threads, groups * (tid + 1) // threads):
            place = groups * e + group
            w = weights + size * place
            if form:
                s = scales + scale_bytes * place
                call_address(i64_at(form + FLOATS), w, s, k // 32, scratch + PANEL)
                w = scratch + PANEL
            for p in range(first, last, SLAB):
                count = min(SLAB, last - p)
                call_5(product, w, k, count, x + 4 * k * p, scratch)
                spread(count, scratch, 64, y, order + 4 * p, group, added, n)
    return 0


@njit(int64(*[int64] * 8), **INNER)
def many(row, e, scratch, first, last, bias, begin, end):
    """Pairs first..last of an expert, more than `few` takes, times pairs of groups begin..end."""
    starts, experts, codes = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24)
    scales, code_bytes, scale_bytes = i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    k, n, form, x = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72), i64_at(row + 80)
    stats, y, order = i64_at(row + 88), i64_at(row + 104), starts + 4 * (experts + 1)
    groups, slab = (n + 15) // 16, scratch + ROOM
    for pair in range(begin, end):
        place = groups * e + 2 * pair
        c, s = codes + code_bytes * place, scales + scale_bytes * place
        both = 32 * pair + 16 < n
        d, t = (c + code_bytes, s + scale_bytes) if both else (int64(0), int64(0))
        for p in range(first, last, SLAB):
            count, here, known = min(SLAB, last - p), x + k * p, stats + k * p
            multiply_pair(form, c, s, d, t, k // 32, count, here, known, slab, scratch)
            spread(count, slab, 128, y, order + 4 * p, 2 * pair, bias, n)
            if both:
                spread(count, slab + 64, 128, y, order + 4 * p, 2 * pair + 1, bias, n)
    return 0


@cfunc(OP, **OPTIONS)
def op_experts_packed(row, tid, threads, state):
    """row: starts, experts, codes, scales, bytes of a group's codes and scales, in, out, form, x
    (int8 codes, a row for each pair), stats, bias (0: none), y.

    Behind the last pair there is room to read a tile of 16.
    """
    starts, experts, codes = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24)
    scales, code_bytes, scale_bytes = i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    k, n, form, x = i64_at(row + 56), i64_at(row + 64), i64_at(row + 72), i64_at(row + 80)
    stats, bias, y = i64_at(row + 88), i64_at(row + 96), i64_at(row + 104)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    order, groups, blocks = starts + 4 * (experts + 1), (n + 15) // 16, k // 32
    few, limit, config = i64_at(form + FEW), i64_at(form + LIMIT), i64_at(form + CONFIG)
    pairs, opened = (groups + 1) // 2, False
    for e in range(experts):
        first, last = i32_at(starts + 4 * e), i32_at(starts + 4 * e + 4)
        if first == last:
            continue
        added, count = bias + 4 * n * e if bias else 0, last - first
        if count > limit:
            if config and not opened:
                call_address(i64_at(form + OPEN), config, 0, 0, 0)
                opened = True
            begin, end = pairs * tid // threads, pairs * (tid + 1) // threads
            many(row, e, scratch, first, last, added, begin, end)
            continue
        for group in range(groups * tid // threads, groups * (tid + 1) // threads):
            place = groups * e + group
            c, s = codes + code_bytes * place, scales + scale_bytes * place
            call_7(few, c, s, blocks, count, x + k * first, stats + k * first, scratch)
            spread(count, scratch, 64, y, order + 4 * first, group, added, n)
    if opened:
        call_address(i64_at(form + CLOSE), config, 0, 0, 0)
    return 0
