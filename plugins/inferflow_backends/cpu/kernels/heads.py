"""head_linear: a map for each head."""

from numba import cfunc

from inferflow_backends.cpu.kernels.copies import copy
from inferflow_backends.cpu.kernels.linear import PANEL, SCRATCH, SCRATCH_BYTES
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import call_5, i64_at, load, store_first

SLAB = 16
"""Tokens whose numbers of a head are brought together."""


@cfunc(OP, **OPTIONS)
def op_head_linear(row, tid, threads, state):
    """row: size word, heads, weights [heads][out / 16][in][16], in, out, product, x, y."""
    tokens, heads = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    weights, k, n = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    product, x, y = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64)
    scratch = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES)
    groups, room = (n + 15) // 16, scratch + PANEL
    first, last = heads * groups * tid // threads, heads * groups * (tid + 1) // threads
    for t in range(0, tokens, SLAB):
        count = min(SLAB, tokens - t)
        for place in range(first, last):
            head, group = place // groups, place % groups
            if group == 0 or place == first:
                for i in range(count):
                    copy(x + 4 * k * (heads * (t + i) + head), room + 4 * k * i, k)
            call_5(product, weights + 64 * k * place, k, count, room, scratch)
            for i in range(count):
                target = y + 4 * (n * (heads * (t + i) + head) + 16 * group)
                store_first(target, load(scratch + 64 * i), min(16, n - 16 * group))
    return 0
