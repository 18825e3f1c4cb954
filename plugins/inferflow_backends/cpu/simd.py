"""A small SIMD layer for numba: vectors of 16 lanes, and the operations on them.

Kernels are written in Python with these; each operation is one or a few LLVM instructions. Nothing
here may reassociate: sums have one order (the numeric law).
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from inferflow_backends.cpu import isa
from inferflow_backends.cpu.isa import F32, F32V, I32, I32V, LANES, declare

I64 = ir.IntType(64)
I8V = ir.VectorType(ir.IntType(8), LANES)
F16V = ir.VectorType(ir.HalfType(), LANES)
I16V = ir.VectorType(ir.IntType(16), LANES)


LOG2E = 1.4426950408889634
POWERS = [log(2) ** n / factorial(n) for n in range(8)]
"""Coefficients of 2^r."""


class Vector(types.Type):
    """16 lanes of float32 or int32."""

    def __init__(self, element: str) -> None:
        self.element = element
        super().__init__(name=f"{element}x{LANES}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Lives in registers as an LLVM vector."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, F32V if kind.element == "f32" else I32V)


f32v, i32v = Vector("f32"), Vector("i32")
f32, i32, i64 = types.float32, types.int32, types.int64


def operation(result: Any, *arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """Makes an intrinsic of an IR generator `f(builder, *values)`; None as a result is no value."""

    def decorate(generate: Callable[..., Any]) -> Any:
        signature = (types.none if result is None else result)(*arguments)

        def codegen(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            made = generate(builder, *values)
            return context.get_dummy_value() if result is None else made

        typings: dict[int, Callable[..., Any]] = {
            0: lambda typing: (signature, codegen),
            1: lambda typing, a: (signature, codegen),
            2: lambda typing, a, b: (signature, codegen),
            3: lambda typing, a, b, c: (signature, codegen),
            4: lambda typing, a, b, c, d: (signature, codegen),
            5: lambda typing, a, b, c, d, e: (signature, codegen),
            6: lambda typing, a, b, c, d, e, f: (signature, codegen),
            7: lambda typing, a, b, c, d, e, f, g: (signature, codegen),
            8: lambda typing, a, b, c, d, e, f, g, h: (signature, codegen),
            9: lambda typing, a, b, c, d, e, f, g, h, i: (signature, codegen),
            10: lambda typing, a, b, c, d, e, f, g, h, i, j: (signature, codegen),
            12: lambda typing, a, b, c, d, e, f, g, h, i, j, k, m: (signature, codegen),
            14: lambda typing, a, b, c, d, e, f, g, h, i, j, k, m, n, o: (signature, codegen),
        }
        typing = typings[len(arguments)]
        typing.__name__ = generate.__name__
        typing.__doc__ = generate.__doc__
        return intrinsic(typing)

    return decorate


# --- IR helpers, for generators --------------------------------------------------------------


def const(kind: Any, value: float) -> ir.Constant:
    """A constant; every lane of it for a vector type."""
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def load_ir(b: ir.IRBuilder, address: Any, kind: Any) -> Any:
    instruction: Any = b.load(b.inttoptr(address, kind.as_pointer()))
    instruction.align = 1
    return instruction


def store_ir(b: ir.IRBuilder, address: Any, value: Any) -> None:
    instruction: Any = b.store(value, b.inttoptr(address, value.type.as_pointer()))
    instruction.align = 1


def splat_ir(b: ir.IRBuilder, kind: Any, scalar: Any) -> Any:
    undefined = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(undefined, scalar, const(I32, 0))
    return b.shuffle_vector(first, undefined, const(ir.VectorType(I32, LANES), 0))


def fma_ir(b: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    return b.call(declare(b, "llvm.fma.v16f32", F32V, [F32V] * 3), [x, y, z])


def tree_ir(b: ir.IRBuilder, v: Any, join: Callable[[Any, Any], Any]) -> Any:
    """Joins the lanes in pairs at distance 8, 4, 2, 1: the one order of a horizontal result."""
    for distance in (8, 4, 2, 1):
        turned = ir.Constant(ir.VectorType(I32, LANES), [(i + distance) % 16 for i in range(16)])
        v = join(v, b.shuffle_vector(v, ir.Constant(v.type, ir.Undefined), turned))
    return b.extract_element(v, const(I32, 0))


# --- memory ----------------------------------------------------------------------------------


@operation(f32v, i64)
def load(b: Any, address: Any) -> Any:
    return load_ir(b, address, F32V)


@operation(f32v, i64, i64)
def load_first(b: Any, address: Any, count: Any) -> Any:
    """The first `count` lanes from memory (all 16 are read), the others 0."""
    lanes = ir.Constant(I32V, list(range(LANES)))
    inside = b.icmp_signed("<", lanes, splat_ir(b, I32V, b.trunc(count, I32)))
    return b.select(inside, load_ir(b, address, F32V), const(F32V, 0.0))


@operation(None, i64, f32v)
def store(b: Any, address: Any, v: Any) -> None:
    store_ir(b, address, v)


@operation(None, i64, f32v, i64)
def store_first(b: Any, address: Any, v: Any, count: Any) -> None:
    """The first `count` lanes to memory; nothing behind them is touched."""
    slot = cgutils.alloca_once_value(b, v)
    pointer = ir.IntType(8).as_pointer()
    size = b.shl(count, const(I64, 2))
    cgutils.raw_memcpy(b, b.inttoptr(address, pointer), b.bitcast(slot, pointer), size, 1)


@operation(None, i64, i32v)
def store_i8(b: Any, address: Any, v: Any) -> None:
    """16 int32, cut to bytes."""
    store_ir(b, address, b.trunc(v, I8V))


@operation(None, i64, f32v)
def store_f16(b: Any, address: Any, v: Any) -> None:
    """16 numbers, rounded to float16."""
    store_ir(b, address, b.fptrunc(v, F16V))


@operation(None, i64, f32v)
def store_bf16(b: Any, address: Any, v: Any) -> None:
    """16 numbers, rounded to bfloat16, halves to even; a NaN stays one."""
    bits = b.bitcast(v, I32V)
    odd = b.and_(b.lshr(bits, const(I32V, 16)), const(I32V, 1))
    rounded = b.add(bits, b.add(odd, const(I32V, 0x7FFF)))
    kept = b.select(b.fcmp_unordered("uno", v, v), b.or_(bits, const(I32V, 0x400000)), rounded)
    store_ir(b, address, b.trunc(b.lshr(kept, const(I32V, 16)), I16V))


@operation(f32, i64)
def f32_at(b: Any, address: Any) -> Any:
    return load_ir(b, address, F32)


@operation(i64, i64)
def i32_at(b: Any, address: Any) -> Any:
    """An int32, widened."""
    return b.sext(load_ir(b, address, I32), I64)


@operation(i64, i64)
def i64_at(b: Any, address: Any) -> Any:
    return load_ir(b, address, I64)


@operation(i64, i64)
def u8_at(b: Any, address: Any) -> Any:
    return b.zext(load_ir(b, address, ir.IntType(8)), I64)


@operation(i64, i64)
def u16_at(b: Any, address: Any) -> Any:
    return b.zext(load_ir(b, address, ir.IntType(16)), I64)


@operation(i64, i64)
def u32_at(b: Any, address: Any) -> Any:
    return b.zext(load_ir(b, address, I32), I64)


@operation(f32, i64)
def f16_at(b: Any, address: Any) -> Any:
    return b.fpext(load_ir(b, address, ir.HalfType()), F32)


@operation(None, i64, f32)
def set_f32(b: Any, address: Any, value: Any) -> None:
    store_ir(b, address, value)


@operation(None, i64, i64)
def set_u8(b: Any, address: Any, value: Any) -> None:
    store_ir(b, address, b.trunc(value, ir.IntType(8)))


@operation(None, i64, i64)
def set_u16(b: Any, address: Any, value: Any) -> None:
    store_ir(b, address, b.trunc(value, ir.IntType(16)))


@operation(None, i64, i64)
def set_i32(b: Any, address: Any, value: Any) -> None:
    store_ir(b, address, b.trunc(value, I32))


@operation(None, i64, i64)
def set_i64(b: Any, address: Any, value: Any) -> None:
    store_ir(b, address, value)


@operation(f32, i64)
def f32_of_bits(b: Any, word: Any) -> Any:
    """The float32 whose bits are the low half of a tape word."""
    return b.bitcast(b.trunc(word, I32), F32)


def turn_ir(b: Any, kind: Any, rows: Any, stride: Any, target: Any) -> None:
    """16 rows of 16 numbers, `stride` bytes apart, written as columns one behind the other: in four
    steps each vector changes halves, quarters … with the one 8, 4, 2 and 1 places on."""
    vector = ir.VectorType(kind, LANES)
    lines = [load_ir(b, b.add(rows, b.mul(stride, const(I64, r))), vector) for r in range(LANES)]
    for distance in (8, 4, 2, 1):
        low = [i if not i & distance else LANES + (i ^ distance) for i in range(LANES)]
        high = [i ^ distance if not i & distance else LANES + i for i in range(LANES)]
        for i in (i for i in range(LANES) if not i & distance):
            pair = lines[i], lines[i + distance]
            lines[i], lines[i + distance] = (
                b.shuffle_vector(*pair, ir.Constant(I32V, lanes)) for lanes in (low, high)
            )
    for column, line in enumerate(lines):
        home = b.add(target, const(I64, column * LANES * kind.width // 8))
        store_ir(b, home, line)


@operation(None, i64, i64, i64)
def turn_halves(b: Any, rows: Any, stride: Any, target: Any) -> None:
    """16 rows of 16 numbers of 2 bytes -> 16 columns."""
    turn_ir(b, ir.IntType(16), rows, stride, target)


@operation(None, i64, i64, i64)
def turn_floats(b: Any, rows: Any, stride: Any, target: Any) -> None:
    """16 rows of 16 numbers of 4 bytes -> 16 columns."""
    turn_ir(b, I32, rows, stride, target)


# --- arithmetic ------------------------------------------------------------------------------


@operation(f32v, f32)
def splat(b: Any, x: Any) -> Any:
    return splat_ir(b, F32V, x)


@operation(f32v, f32v, f32v)
def add(b: Any, x: Any, y: Any) -> Any:
    return b.fadd(x, y)


@operation(f32v, f32v, f32v)
def sub(b: Any, x: Any, y: Any) -> Any:
    return b.fsub(x, y)


@operation(f32v, f32v, f32v)
def mul(b: Any, x: Any, y: Any) -> Any:
    return b.fmul(x, y)


@operation(f32v, f32v, f32v)
def div(b: Any, x: Any, y: Any) -> Any:
    return b.fdiv(x, y)


@operation(f32v, f32v, f32v, f32v)
def fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once."""
    return fma_ir(b, x, y, z)


def max_ir(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered(">", x, y), x, y)


@operation(f32v, f32v, f32v)
def maximum(b: Any, x: Any, y: Any) -> Any:
    return max_ir(b, x, y)


@operation(f32v, f32v, f32v)
def minimum(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered("<", x, y), x, y)


@operation(f32v, f32v, f32v, f32v, f32v)
def where_less(b: Any, x: Any, y: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes where x < y, else `no`."""
    return b.select(b.fcmp_ordered("<", x, y), yes, no)


@operation(f32v, f32v)
def root(b: Any, x: Any) -> Any:
    return b.call(declare(b, "llvm.sqrt.v16f32", F32V, [F32V]), [x])


@operation(f32v, f32v)
def absolute(b: Any, x: Any) -> Any:
    return b.call(declare(b, "llvm.fabs.v16f32", F32V, [F32V]), [x])


@operation(f32, f32v)
def sum_lanes(b: Any, v: Any) -> Any:
    return tree_ir(b, v, b.fadd)


@operation(f32, f32v)
def first_lane(b: Any, v: Any) -> Any:
    return b.extract_element(v, const(I32, 0))


@operation(f32, f32v)
def max_lanes(b: Any, v: Any) -> Any:
    return tree_ir(b, v, lambda x, y: max_ir(b, x, y))


@operation(i64, i32v)
def sum_lanes_i32(b: Any, v: Any) -> Any:
    return b.sext(tree_ir(b, v, b.add), I64)


@operation(i32v, f32v)
def round_i32(b: Any, v: Any) -> Any:
    """To the nearest integer, halves to even."""
    return b.fptosi(b.call(declare(b, "llvm.rint.v16f32", F32V, [F32V]), [v]), I32V)


@operation(f32v, f32v)
def exp(b: Any, x: Any) -> Any:
    """e^x within 2 ulp for x in [-87, 88], clamped outside: 2^n times a polynomial of degree 6
    on the rest (Cephes' constants). exp(-inf) is e^-87, about 1e-38."""
    low, high = const(F32V, -87.0), const(F32V, 88.0)
    x = max_ir(b, x, low)
    x = b.select(b.fcmp_ordered("<", x, high), x, high)
    rint = declare(b, "llvm.rint.v16f32", F32V, [F32V])
    n = b.call(rint, [b.fmul(x, const(F32V, 1.4426950408889634))])
    r = fma_ir(b, n, const(F32V, -0.693359375), x)
    r = fma_ir(b, n, const(F32V, 2.12194440e-4), r)
    p = const(F32V, 1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = fma_ir(b, p, r, const(F32V, c))
    p = b.fadd(fma_ir(b, b.fmul(r, r), p, r), const(F32V, 1.0))
    power = b.shl(b.add(b.fptosi(n, I32V), const(I32V, 127)), const(I32V, 23))
    return b.fmul(p, b.bitcast(power, F32V))


@operation(f32v, f32v)
def exp_below(b: Any, x: Any) -> Any:
    """e^x within 2 ulp for x in [-87, 0], clamped below: 2^n times 2^r, |r| at most a half, by
    the first terms of its series."""
    t = max_ir(b, b.fmul(x, const(F32V, LOG2E)), const(F32V, -126.0))
    n = b.call(declare(b, "llvm.rint.v16f32", F32V, [F32V]), [t])
    r = b.fsub(t, n)
    p = const(F32V, POWERS[-1])
    for c in POWERS[-2::-1]:
        p = fma_ir(b, p, r, const(F32V, c))
    return b.bitcast(b.add(b.bitcast(p, I32V), b.shl(b.fptosi(n, I32V), const(I32V, 23))), F32V)


@operation(f32v, f32v, i64, i64, f32)
def keep_lanes(b: Any, v: Any, first: Any, last: Any, other: Any) -> Any:
    """Lanes first <= i < last as they are, the others `other`."""
    lanes = ir.Constant(I32V, list(range(LANES)))
    above = b.icmp_signed(">=", lanes, splat_ir(b, I32V, b.trunc(first, I32)))
    below = b.icmp_signed("<", lanes, splat_ir(b, I32V, b.trunc(last, I32)))
    return b.select(b.and_(above, below), v, splat_ir(b, F32V, other))


# --- threads ---------------------------------------------------------------------------------


@operation(i64, i64)
def atomic_load(b: Any, address: Any) -> Any:
    return b.load_atomic(b.inttoptr(address, I64.as_pointer()), "acquire", 8)


@operation(None, i64, i64)
def atomic_store(b: Any, address: Any, value: Any) -> None:
    b.store_atomic(value, b.inttoptr(address, I64.as_pointer()), "release", 8)


@operation(i64, i64, i64)
def atomic_add(b: Any, address: Any, value: Any) -> Any:
    """Adds; the value before."""
    return b.atomic_rmw("add", b.inttoptr(address, I64.as_pointer()), value, "acq_rel")


@operation(None)
def pause(b: Any) -> None:
    isa.relax(b)


@operation(i64)
def ticks(b: Any) -> Any:
    """A clock that runs evenly, in a unit of its own."""
    return isa.ticks(b)


@operation(None)
def yield_thread(b: Any) -> None:
    """Lets another thread have the processor (`sched_yield`)."""
    b.call(declare(b, "sched_yield", I32, []), [])


def call_ir(b: Any, address: Any, *arguments: Any) -> Any:
    """Calls a compiled function of int64 arguments at an address."""
    kind = ir.FunctionType(I64, [I64] * len(arguments))
    return b.call(b.inttoptr(address, kind.as_pointer()), arguments)


call_address = operation(i64, *[i64] * 5)(call_ir)
"""A tape op, `int64 op(row, tid, threads, state)`, or another function of four numbers."""
call_5 = operation(i64, *[i64] * 6)(call_ir)
call_7 = operation(i64, *[i64] * 8)(call_ir)
call_13 = operation(i64, *[i64] * 14)(call_ir)
