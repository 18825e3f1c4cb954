"""rms_norm and layer_norm: a row is summed in 16 lanes, the lanes by a tree."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    add,
    f32_at,
    f32_of_bits,
    fma,
    i64_at,
    keep_lanes,
    load_first,
    mul,
    set_f32,
    splat,
    store,
    sub,
    sum_lanes,
)


@cfunc(OP, **OPTIONS)
def op_rms_norm(row, tid, threads, state):
    """row: size word, rows a unit of it, width, x, weights (0: none), eps, unit offset, out,
    how many weights take turns."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, x, weights = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    eps, offset, out = f32_of_bits(i64_at(row + 48)), i64_at(row + 56), i64_at(row + 64)
    turns = i64_at(row + 72)
    whole = width // 16 * 16
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        source, target = x + 4 * width * r, out + 4 * width * r
        weight = weights + 4 * width * (r % turns) if weights else 0
        total = splat(np.float32(0))
        for i in range(0, width, 16):
            v = load_first(source + 4 * i, min(16, width - i))
            total = fma(v, v, total)
        mean = sum_lanes(total) / np.float32(width)
        scale = splat(np.float32(1) / np.sqrt(mean + eps))
        one = splat(np.float32(offset))
        for i in range(0, whole, 16):
            y = mul(load_first(source + 4 * i, 16), scale)
            if weight:
                y = mul(y, add(load_first(weight + 4 * i, 16), one))
            store(target + 4 * i, y)
        for i in range(whole, width):
            number = f32_at(source + 4 * i) * (np.float32(1) / np.sqrt(mean + eps))
            if weight:
                number = number * (f32_at(weight + 4 * i) + np.float32(offset))
            set_f32(target + 4 * i, number)
    return 0


@cfunc(OP, **OPTIONS)
def op_layer_norm(row, tid, threads, state):
    """row: size word, rows a unit of it, width, x, weights (0: none), biases (0: none), eps, unit
    offset, out, how many weights take turns."""
    rows = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    width, x, weights, biases = (
        i64_at(row + 24), i64_at(row + 32), i64_at(row + 40), i64_at(row + 48)
    )  # fmt: skip
    eps, offset, out = f32_of_bits(i64_at(row + 56)), i64_at(row + 64), i64_at(row + 72)
    turns = i64_at(row + 80)
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        source, target = x + 4 * width * r, out + 4 * width * r
        weight = weights + 4 * width * (r % turns) if weights else 0
        bias = biases + 4 * width * (r % turns) if biases else 0
        total = splat(np.float32(0))
        for i in range(0, width, 16):
            total = add(total, load_first(source + 4 * i, min(16, width - i)))
        mean = sum_lanes(total) / np.float32(width)
        centre = splat(mean)
        squares = splat(np.float32(0))
        for i in range(0, width, 16):
            count = min(16, width - i)
            v = keep_lanes(sub(load_first(source + 4 * i, count), centre), 0, count, np.float32(0))
            squares = fma(v, v, squares)
        scale = np.float32(1) / np.sqrt(sum_lanes(squares) / np.float32(width) + eps)
        for i in range(width):
            number = (f32_at(source + 4 * i) - mean) * scale
            if weight:
                number = number * (f32_at(weight + 4 * i) + np.float32(offset))
            if bias:
                number = number + f32_at(bias + 4 * i)
            set_f32(target + 4 * i, number)
    return 0
