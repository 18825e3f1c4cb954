"""rows: embedding rows, from float32 or from packed weights [out / 16] groups."""

import numpy as np
from numba import cfunc

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.forms import Q4_0, Q4_1, Q8_0, code_bytes, scale_bytes
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import f16_at, f32_at, i32_at, i64_at, set_f32, u8_at


@cfunc(OP, **OPTIONS)
def op_rows_f32(row, tid, threads, state):
    """row: size word, width, weights [n / 16][width][16], scales (unused), ids (word), out."""
    count, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    weights, ids, out = i64_at(row + 24), i64_at(state + 8 * i64_at(row + 40)), i64_at(row + 48)
    for t in range(count):
        n = i32_at(ids + 4 * t)
        source = weights + 64 * width * (n // 16) + 4 * (n % 16)
        for i in range(begin(width, tid, threads), begin(width, tid + 1, threads)):
            set_f32(out + 4 * (width * t + i), f32_at(source + 64 * i))
    return 0


@cfunc(OP, **OPTIONS)
def op_rows_packed(row, tid, threads, state):
    """row: size word, width, codes, scales, ids (word), out, form."""
    count, width = i64_at(state + 8 * i64_at(row + 8)), i64_at(row + 16)
    codes, scales = i64_at(row + 24), i64_at(row + 32)
    ids, out, form = i64_at(state + 8 * i64_at(row + 40)), i64_at(row + 48), i64_at(row + 56)
    blocks = width // 32
    for t in range(count):
        n = i32_at(ids + 4 * t)
        for block in range(blocks * tid // threads, blocks * (tid + 1) // threads):
            place = (n // 16) * blocks + block
            home = codes + code_bytes(form) * place + 4 * (n % 16)
            d = f16_at(scales + scale_bytes(form) * place + 2 * (n % 16))
            least = np.float32(0)
            if form == Q4_1:
                least = f16_at(scales + scale_bytes(form) * place + 32 + 2 * (n % 16))
            for i in range(32):
                quad = i // 4
                if form == Q8_0:
                    code = u8_at(home + 64 * quad + i % 4) - 128
                else:
                    byte = u8_at(home + 64 * (quad // 2) + i % 4)
                    code = (byte >> 4) if quad % 2 else (byte & 15)
                    code -= 8 if form == Q4_0 else 0
                number = d * np.float32(code) + least
                set_f32(out + 4 * (width * t + 32 * block + i), number)
    return 0
