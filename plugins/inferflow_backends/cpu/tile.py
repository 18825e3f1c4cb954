"""What generators of micro-kernels share: loops, addresses, fetching ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import I32, declare, stream_hint
from inferflow_backends.cpu.simd import (
    I64,
    const,
)


def loop_ir(
    b: ir.IRBuilder,
    count: Any,
    start: list[Any],
    body: Callable[[Any, list[Any]], list[Any]],
) -> list[Any]:
    """`for i in range(count)`, carrying values; `count` must be at least 1."""
    before = b.block
    loop, end = b.append_basic_block("loop"), b.append_basic_block("end")
    b.branch(loop)
    b.position_at_end(loop)
    i = b.phi(I64)
    i.add_incoming(const(I64, 0), before)
    carried = [b.phi(value.type) for value in start]
    for phi, value in zip(carried, start, strict=True):
        phi.add_incoming(value, before)
    values = body(i, carried)
    inside = b.block
    following = b.add(i, const(I64, 1))
    i.add_incoming(following, inside)
    for phi, value in zip(carried, values, strict=True):
        phi.add_incoming(value, inside)
    b.cbranch(b.icmp_signed("<", following, count), loop, end)
    b.position_at_end(end)
    return values


def stream_ir(b: Any, address: Any, count: int) -> None:
    """Fetches what will be read once, `count` bytes some way behind `address`."""
    pointer = ir.IntType(8).as_pointer()
    arguments = [pointer, I32, I32, I32]
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), arguments)
    locality, ahead = stream_hint()
    for line in range(0, count, 64):
        place = b.inttoptr(at_ir(b, address, (1, ahead + line)), pointer)
        b.call(function, [place, const(I32, 0), const(I32, locality), const(I32, 1)])


def at_ir(b: Any, base: Any, *terms: tuple[Any, int]) -> Any:
    """base + the sum of value * number."""
    for value, number in terms:
        value = value if isinstance(value, ir.Value) else const(I64, value)
        base = b.add(base, b.mul(value, const(I64, number)))
    return base
