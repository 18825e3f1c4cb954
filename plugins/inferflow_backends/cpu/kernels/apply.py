"""Functions of one number that are no activation."""

from numba import cfunc

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.functions import computed
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.simd import f32_of_bits, i64_at, load, store


@cfunc(OP, **OPTIONS)
def op_apply(row, tid, threads, state):
    """row: size word, numbers a row, x, code of `functions.CODES`, low, high, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, code, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 56)
    low, high = f32_of_bits(i64_at(row + 40)), f32_of_bits(i64_at(row + 48))
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, computed(code, load(x + 4 * i), low, high))
    return 0
