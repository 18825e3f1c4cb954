"""activation: one function for every number, chosen by a word of the row."""

import numpy as np
from numba import cfunc, njit

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import (
    absolute,
    add,
    div,
    exp,
    fma,
    i64_at,
    load,
    maximum,
    mul,
    splat,
    store,
    sub,
)

CODES = {
    "silu": 0,
    "sigmoid": 1,
    "quick_gelu": 2,
    "tanh": 3,
    "gelu_tanh": 4,
    "gelu": 5,
    "relu": 6,
    "relu2": 7,
}


@njit(**INNER)
def sigmoid(x):
    one = splat(np.float32(1))
    return div(one, add(one, exp(sub(splat(np.float32(0)), x))))


@njit(**INNER)
def gelu(x):
    """x times the share of a normal distribution below it: x above zero, less |x| times the tail.
    Within 8e-8 |x|: with z = |x| / sqrt 2 and t = 1 / (1 + p z), the tail is a polynomial of t
    times e^(-z^2) / 2 (Abramowitz & Stegun 7.1.26)."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    size = absolute(x)
    z = mul(size, splat(np.float32(0.7071067811865476)))
    t = div(one, fma(splat(np.float32(0.3275911)), z, one))
    p = fma(splat(np.float32(1.061405429)), t, splat(np.float32(-1.453152027)))
    p = fma(p, t, splat(np.float32(1.421413741)))
    p = fma(p, t, splat(np.float32(-0.284496736)))
    p = fma(p, t, splat(np.float32(0.254829592)))
    tail = mul(mul(mul(p, t), splat(np.float32(0.5))), exp(sub(zero, mul(z, z))))
    return sub(maximum(x, zero), mul(size, tail))


@njit(**INNER)
def gelu_tanh(x):
    """x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): the same as with a tanh."""
    inner = fma(mul(mul(x, x), x), splat(np.float32(0.044715)), x)
    return mul(x, sigmoid(mul(inner, splat(np.float32(1.5957691216057308)))))


@njit(**INNER)
def activated(code, x):
    if code == 0:
        return mul(x, sigmoid(x))
    if code == 1:
        return sigmoid(x)
    if code == 2:
        return mul(x, sigmoid(mul(x, splat(np.float32(1.702)))))
    if code == 3:
        return sub(mul(splat(np.float32(2)), sigmoid(add(x, x))), splat(np.float32(1)))
    if code == 4:
        return gelu_tanh(x)
    if code == 5:
        return gelu(x)
    positive = maximum(x, splat(np.float32(0)))
    return positive if code == 6 else mul(positive, positive)


@cfunc(OP, **OPTIONS)
def op_activation(row, tid, threads, state):
    """row: size word, numbers a row, x, code of `CODES`, out."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, code, out = i64_at(row + 24), i64_at(row + 32), i64_at(row + 40)
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, activated(code, load(x + 4 * i)))
    return 0
