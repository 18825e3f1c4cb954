"""rope: rotates pairs of channels by angles from a table [position][pairs] of cosines and sines."""

from numba import cfunc

from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    f32_at,
    i32_at,
    i64_at,
    load,
    mul,
    set_f32,
    store,
    sub,
)
from inferflow_backends.cpu.tape import State

POSITIONS = 8 * State.POSITIONS


@cfunc(OP, **OPTIONS)
def op_rope(row, tid, threads, state):
    """row: size word, heads, width, pairs, interleaved, cosines, sines, x, out.

    Pair i is (i, i + pairs), or interleaved (2i, 2i + 1); channels beyond the pairs are copied.
    """
    tokens, heads, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16), i64_at(row + 24)
    pairs, interleaved = i64_at(row + 32), i64_at(row + 40)
    cosines, sines, x, out = i64_at(row + 48), i64_at(row + 56), i64_at(row + 64), i64_at(row + 72)
    positions = i64_at(state + POSITIONS)
    vectors = 0 if interleaved else pairs // 16 * 16
    rows = tokens * heads
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        angle = 4 * pairs * i32_at(positions + 4 * (r // heads))
        cos, sin = cosines + angle, sines + angle
        a, y = x + 4 * width * r, out + 4 * width * r
        b, z = a + 4 * pairs, y + 4 * pairs
        for i in range(0, vectors, 16):
            c, s, p, q = load(cos + 4 * i), load(sin + 4 * i), load(a + 4 * i), load(b + 4 * i)
            store(y + 4 * i, sub(mul(p, c), mul(q, s)))
            store(z + 4 * i, add(mul(q, c), mul(p, s)))
        for i in range(vectors, pairs):
            first = 8 * i if interleaved else 4 * i
            second = first + 4 if interleaved else first + 4 * pairs
            c, s = f32_at(cos + 4 * i), f32_at(sin + 4 * i)
            p, q = f32_at(a + first), f32_at(a + second)
            set_f32(y + first, p * c - q * s)
            set_f32(y + second, q * c + p * s)
        for i in range(2 * pairs, width):
            set_f32(y + 4 * i, f32_at(a + 4 * i))
    return 0
