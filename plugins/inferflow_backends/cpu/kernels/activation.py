"""activation and glu: a function of every number, chosen by a word of the row."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.functions import activated
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    f32_of_bits,
    i64_at,
    load,
    maximum,
    minimum,
    mul,
    splat,
    store,
    sub,
)


@cfunc(OP, **OPTIONS)
def op_activation(row, tid, threads, state):
    """row: size word, numbers a row, x, code of `functions.CODES`, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, code, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, activated(code, load(x + 4 * i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_glu(row, tid, threads, state):
    """act(min(gate, limit)) * (up within +-limit + offset). row: size word, numbers a row, gate,
    up, code of `functions.CODES`, limit, offset, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    gate, up, code = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    limit, offset = splat(f32_of_bits(i64_at(row + 48))), splat(f32_of_bits(i64_at(row + 56)))
    least, out = sub(splat(np.float32(0)), limit), i64_at(row + 64)
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        g = activated(code, minimum(load(gate + 4 * i), limit))
        u = minimum(maximum(load(up + 4 * i), least), limit)
        store(out + 4 * i, mul(g, add(u, offset)))
    return 0
