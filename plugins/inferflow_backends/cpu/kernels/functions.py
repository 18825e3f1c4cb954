"""Functions of one number, for 16 at a time; a code chooses one."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit

from inferflow_backends.cpu.isa import F32V, I32V, LANES, declare
from inferflow_backends.cpu.kernels.options import INNER
from inferflow_backends.cpu.simd import (
    absolute,
    add,
    const,
    div,
    exp,
    f32v,
    fma,
    fma_ir,
    maximum,
    minimum,
    mul,
    operation,
    root,
    splat,
    sub,
    where_less,
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
    "exp": 8,
    "log": 9,
    "sqrt": 10,
    "erf": 11,
    "sin": 12,
    "cos": 13,
    "softcap": 14,
    "clamp": 15,
    "to_float": 16,
    "to_int": 17,
}
"""An activation, or an op."""

F64V = ir.VectorType(ir.DoubleType(), LANES)
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
       -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip
"""Coefficients of Cephes, the highest power first."""


def _polynomial(b: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    total = const(F32V, coefficients[0])
    for c in coefficients[1:]:
        total = fma_ir(b, total, x, const(F32V, c))
    return total


def _turned(b: Any, x: Any, quarters: int) -> Any:
    """sin(x + quarters * pi / 2) within 1e-7 for |x| up to 1e9: quarter turns are taken off in
    float64."""
    wide = b.fpext(x, F64V)
    rint = declare(b, "llvm.rint.v16f64", F64V, [F64V])
    fused = declare(b, "llvm.fma.v16f64", F64V, [F64V] * 3)
    turns = b.call(rint, [b.fmul(wide, const(F64V, 0.6366197723675814))])
    rest = b.call(fused, [turns, const(F64V, -1.5707963267948966), wide])
    r = b.fptrunc(b.call(fused, [turns, const(F64V, -6.123233995736766e-17), rest]), F32V)
    square = b.fmul(r, r)
    sine = fma_ir(b, b.fmul(_polynomial(b, square, SINE), square), r, r)
    cosine = fma_ir(b, square, const(F32V, -0.5), const(F32V, 1.0))
    cosine = fma_ir(b, b.fmul(square, square), _polynomial(b, square, COSINE), cosine)
    quarter = b.add(b.fptosi(turns, I32V), const(I32V, quarters))
    odd = b.icmp_signed("!=", b.and_(quarter, const(I32V, 1)), const(I32V, 0))
    below = b.icmp_signed("!=", b.and_(quarter, const(I32V, 2)), const(I32V, 0))
    value = b.select(odd, cosine, sine)
    return b.select(below, b.fsub(const(F32V, -0.0), value), value)


@operation(f32v, f32v)
def sine(b: Any, x: Any) -> Any:
    return _turned(b, x, 0)


@operation(f32v, f32v)
def cosine(b: Any, x: Any) -> Any:
    return _turned(b, x, 1)


@operation(f32v, f32v)
def log(b: Any, x: Any) -> Any:
    """The natural logarithm within 2 ulp of normal numbers; of 0 it is -inf, below it NaN."""
    bits = b.bitcast(x, I32V)
    power = b.sub(b.lshr(bits, const(I32V, 23)), const(I32V, 126))
    half = b.or_(b.and_(bits, const(I32V, 0x007FFFFF)), const(I32V, 0x3F000000))
    m = b.bitcast(half, F32V)  # 0.5 to 1
    small = b.fcmp_ordered("<", m, const(F32V, 0.70710678))
    m = b.fsub(b.select(small, b.fadd(m, m), m), const(F32V, 1.0))
    n = b.sitofp(b.select(small, b.sub(power, const(I32V, 1)), power), F32V)
    square = b.fmul(m, m)
    y = b.fmul(b.fmul(_polynomial(b, m, LOG), m), square)
    y = fma_ir(b, n, const(F32V, -2.12194440e-4), y)
    y = b.fadd(m, fma_ir(b, square, const(F32V, -0.5), y))
    y = fma_ir(b, n, const(F32V, 0.693359375), y)
    infinite = b.fcmp_ordered("==", x, const(F32V, float("inf")))
    y = b.select(infinite, x, y)
    y = b.select(b.fcmp_ordered("==", x, const(F32V, 0.0)), const(F32V, float("-inf")), y)
    return b.select(b.fcmp_unordered("<", x, const(F32V, 0.0)), const(F32V, float("nan")), y)


@operation(f32v, f32v)
def to_float(b: Any, x: Any) -> Any:
    """Lanes whose bits are int32, as numbers."""
    return b.sitofp(b.bitcast(x, I32V), F32V)


@operation(f32v, f32v)
def to_int(b: Any, x: Any) -> Any:
    """Numbers, towards zero; lanes whose bits are int32."""
    return b.bitcast(b.fptosi(x, I32V), F32V)


@njit(**INNER)
def sigmoid(x):
    one = splat(np.float32(1))
    return div(one, add(one, exp(sub(splat(np.float32(0)), x))))


@njit(**INNER)
def signed(size, x):
    """`size` with the sign of x."""
    zero = splat(np.float32(0))
    return where_less(x, zero, sub(zero, size), size)


@njit(**INNER)
def tail(z):
    """1 - erf(z) for z >= 0, within 4e-7: with t = 1 / (1 + p z), a polynomial of t times e^(-z^2)
    (Abramowitz & Stegun 7.1.26)."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    t = div(one, fma(splat(np.float32(0.3275911)), z, one))
    p = fma(splat(np.float32(1.061405429)), t, splat(np.float32(-1.453152027)))
    p = fma(p, t, splat(np.float32(1.421413741)))
    p = fma(p, t, splat(np.float32(-0.284496736)))
    p = fma(p, t, splat(np.float32(0.254829592)))
    return mul(mul(p, t), exp(sub(zero, mul(z, z))))


@njit(**INNER)
def gelu(x):
    """x times the share of a normal distribution below it: x above zero, less |x| times the tail.
    Within 8e-8 |x|."""
    size = absolute(x)
    share = mul(tail(mul(size, splat(np.float32(0.7071067811865476)))), splat(np.float32(0.5)))
    return sub(maximum(x, splat(np.float32(0))), mul(size, share))


@njit(**INNER)
def gelu_tanh(x):
    """x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): the same as with a tanh."""
    inner = fma(mul(mul(x, x), x), splat(np.float32(0.044715)), x)
    return mul(x, sigmoid(mul(inner, splat(np.float32(1.5957691216057308)))))


@njit(**INNER)
def tanh(x):
    """Within 2 ulp: x times a polynomial of its square (Cephes) near zero, else by e^2x."""
    one, two = splat(np.float32(1)), splat(np.float32(2))
    size, square = absolute(x), mul(x, x)
    p = fma(splat(np.float32(-5.70498872745e-3)), square, splat(np.float32(2.06390887954e-2)))
    p = fma(p, square, splat(np.float32(-5.37397155531e-2)))
    p = fma(p, square, splat(np.float32(1.33314422036e-1)))
    p = fma(p, square, splat(np.float32(-3.33332819422e-1)))
    near = fma(mul(p, square), x, x)
    far = signed(sub(one, div(two, add(exp(add(size, size)), one))), x)
    return where_less(size, splat(np.float32(0.625)), near, far)


@njit(**INNER)
def activated(code, x):
    """One of the activations."""
    if code == 0:
        return mul(x, sigmoid(x))
    if code == 1:
        return sigmoid(x)
    if code == 2:
        return mul(x, sigmoid(mul(x, splat(np.float32(1.702)))))
    if code == 3:
        return tanh(x)
    if code == 4:
        return gelu_tanh(x)
    if code == 5:
        return gelu(x)
    positive = maximum(x, splat(np.float32(0)))
    return positive if code == 6 else mul(positive, positive)


@njit(**INNER)
def computed(code, x, low, high):
    """One of the functions that are no activation; `low` and `high` are what some of them take."""
    if code == 8:
        return exp(x)
    if code == 9:
        return log(x)
    if code == 10:
        return root(x)
    if code == 11:
        return signed(sub(splat(np.float32(1)), tail(absolute(x))), x)
    if code == 12:
        return sine(x)
    if code == 13:
        return cosine(x)
    if code == 14:
        return mul(tanh(div(x, splat(high))), splat(high))
    if code == 15:
        return minimum(maximum(x, splat(low)), splat(high))
    return to_float(x) if code == 16 else to_int(x)
