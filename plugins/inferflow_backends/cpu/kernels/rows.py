"""rows: embedding rows, from float weights or from packed ones, [out / 16] groups."""

from numba import cfunc

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.linear import PANEL
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import (
    call_address,
    f16_at,
    f32_at,
    f32_of_bits,
    i32_at,
    i64_at,
    set_f32,
    u16_at,
)
from inferflow_backends.cpu.tape import Form, State

SCRATCH, SCRATCH_BYTES, FLOATS = 8 * State.SCRATCH, 8 * State.SCRATCH_BYTES, 8 * Form.FLOATS
F16, BF16 = 1, 2


@cfunc(OP, **OPTIONS)
def op_rows_dense(row, tid, threads, state):
    """row: size word, width, weights [n / 16][width][16], ids, kind (0: float32, 1: float16,
    2: bfloat16), out."""
    count, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    weights, ids = i64_at(row + 24), i64_at(row + 32)
    kind, out = i64_at(row + 40), i64_at(row + 48)
    for t in range(count):
        n = i32_at(ids + 4 * t)
        place = 16 * width * (n // 16) + n % 16
        for i in range(begin(width, tid, threads), begin(width, tid + 1, threads)):
            target = out + 4 * (width * t + i)
            if kind == F16:
                set_f32(target, f16_at(weights + 2 * (place + 16 * i)))
            elif kind == BF16:
                set_f32(target, f32_of_bits(u16_at(weights + 2 * (place + 16 * i)) << 16))
            else:
                set_f32(target, f32_at(weights + 4 * (place + 16 * i)))
    return 0


@cfunc(OP, **OPTIONS)
def op_rows_packed(row, tid, threads, state):
    """row: size word, width, codes, scales, bytes of a group's codes and scales, ids, form,
    out."""
    count, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    codes, scales, code_bytes = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    scale_bytes, ids = i64_at(row + 48), i64_at(row + 56)
    floats, out = i64_at(i64_at(row + 64) + FLOATS), i64_at(row + 72)
    group_of_floats = i64_at(state + SCRATCH) + tid * i64_at(state + SCRATCH_BYTES) + PANEL
    for t in range(count * tid // threads, count * (tid + 1) // threads):
        n = i32_at(ids + 4 * t)
        c, s = codes + code_bytes * (n // 16), scales + scale_bytes * (n // 16)
        call_address(floats, c, s, width // 32, group_of_floats)
        for i in range(width):
            set_f32(out + 4 * (width * t + i), f32_at(group_of_floats + 64 * i + 4 * (n % 16)))
    return 0
