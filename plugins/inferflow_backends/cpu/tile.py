"""Register tiles: micro-kernels whose IR is emitted by Python loops.

A tile of T tokens does for each token just what a tile of one does, in the same order: its size
changes speed, never bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import F32, F32V, I32, I32V, declare, dot4
from inferflow_backends.cpu.simd import (
    F16V,
    I64,
    const,
    fma_ir,
    i64,
    load_ir,
    operation,
    splat_ir,
    store_ir,
)

STREAM_AHEAD = 4096
"""Bytes ahead of a single token's products at which packed weights are fetched."""

Quads = Callable[[Any, Any], list[Any]]
"""(builder, address of a block of 16 rows x 32 columns) -> 8 vectors of unsigned codes."""


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


def stream_ir(b: Any, address: Any) -> None:
    """Fetches a line that is read once, past the caches that others need."""
    pointer = ir.IntType(8).as_pointer()
    arguments = [pointer, I32, I32, I32]
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), arguments)
    read, once, data = const(I32, 0), const(I32, 0), const(I32, 1)
    b.call(function, [b.inttoptr(address, pointer), read, once, data])


def at_ir(b: Any, base: Any, *terms: tuple[Any, int]) -> Any:
    """base + the sum of value * number."""
    for value, number in terms:
        value = value if isinstance(value, ir.Value) else const(I64, value)
        base = b.add(base, b.mul(value, const(I64, number)))
    return base


def quads_q4(b: Any, address: Any) -> list[Any]:
    """4 planes of 64 bytes: quad 2j in the low nibbles of plane j, quad 2j+1 in the high ones."""
    low = const(I32V, 0x0F0F0F0F)
    found: list[Any] = []
    for plane in range(4):
        codes = load_ir(b, at_ir(b, address, (1, 64 * plane)), I32V)
        found += [b.and_(codes, low), b.and_(b.lshr(codes, const(I32V, 4)), low)]
    return found


def quads_q8(b: Any, address: Any) -> list[Any]:
    """8 quads of 64 bytes, as they are."""
    return [load_ir(b, at_ir(b, address, (1, 64 * quad)), I32V) for quad in range(8)]


def _over_tokens(b: Any, rows: Any, tile: Callable[[int, Any], None]) -> None:
    """`tile(size, first)` for all rows, 8 at a time, then 4, 2 and 1."""
    first = const(I64, 0)
    for shift in (3, 2, 1, 0):
        count = b.lshr(b.sub(rows, first), const(I64, shift))

        def step(i: Any, _: list[Any], first: Any = first, shift: int = shift) -> list[Any]:
            tile(1 << shift, at_ir(b, first, (i, 1 << shift)))
            return []

        with b.if_then(b.icmp_signed(">", count, const(I64, 0))):
            loop_ir(b, count, [], step)
        first = b.add(first, b.shl(count, const(I64, shift)))


def blocks_rows(quads: Quads, block_bytes: int, *, minimum: bool = False) -> Any:
    """16 rows of packed weights times quantized tokens.

    (codes, scales, blocks, rows, high, low, xd, xsum, y, unused): a block has 32 columns. A token's
    numbers are d * (128 * high + low), int8 each; for each block there is d in `xd`, and in `xsum`
    the start of its accumulator, int32. With `minimum` a block has 16 scales and 16 minimums, and
    `xsum` the sum of the token's numbers, float32.
    y[t] f32[16] = over the blocks in order, y = fma(dot of codes, scale * d, y), and then with
    `minimum` y = fma(minimum, sum, y).
    """

    def product(b: Any, codes: Any, scales: Any, blocks: Any, rows: Any, *rest: Any) -> Any:
        high, low, xd, xsum, y, _ = rest

        def tile(size: int, first: Any) -> None:
            tokens = [at_ir(b, first, (1, t)) for t in range(size)]
            columns = [b.mul(b.shl(blocks, const(I64, 5)), t) for t in tokens]
            statistics = [b.mul(b.shl(blocks, const(I64, 2)), t) for t in tokens]

            def block(i: Any, totals: list[Any]) -> list[Any]:
                here = at_ir(b, codes, (i, block_bytes))
                if size == 1:
                    for line in range(0, block_bytes, 64):
                        stream_ir(b, at_ir(b, here, (1, STREAM_AHEAD + line)))
                    stream_ir(b, at_ir(b, scales, (i, stride), (1, STREAM_AHEAD // 8)))
                vectors = quads(b, here)
                scale = b.fpext(load_ir(b, at_ir(b, scales, (i, stride)), F16V), F32V)
                least = const(F32V, 0.0)
                if minimum:
                    least = b.fpext(load_ir(b, at_ir(b, scales, (i, stride), (1, 32)), F16V), F32V)
                done: list[Any] = []
                for column, statistic, total in zip(columns, statistics, totals, strict=True):
                    here, stats = at_ir(b, column, (i, 32)), at_ir(b, statistic, (i, 4))
                    start = const(I32V, 0)
                    if not minimum:
                        start = splat_ir(b, I32V, load_ir(b, b.add(xsum, stats), I32))
                    dots = [const(I32V, 0), start]
                    for j, vector in enumerate(vectors):
                        for part, base in enumerate((high, low)):
                            four = load_ir(b, at_ir(b, base, (here, 1), (1, 4 * j)), I32)
                            dots[part] = dot4(b, dots[part], vector, splat_ir(b, I32V, four))
                    dot = b.add(b.shl(dots[0], const(I32V, 7)), dots[1])
                    d = splat_ir(b, F32V, load_ir(b, b.add(xd, stats), F32))
                    total = fma_ir(b, b.sitofp(dot, F32V), b.fmul(scale, d), total)
                    if minimum:
                        sums = splat_ir(b, F32V, load_ir(b, b.add(xsum, stats), F32))
                        total = fma_ir(b, least, sums, total)
                    done.append(total)
                return done

            totals = loop_ir(b, blocks, [const(F32V, 0.0)] * size, block)
            for t, total in zip(tokens, totals, strict=True):
                store_ir(b, at_ir(b, y, (t, 64)), total)

        _over_tokens(b, rows, tile)
        return rows

    stride = 64 if minimum else 32
    product.__name__ = f"blocks_rows_{block_bytes}_{int(minimum)}"
    return operation(i64, *[i64] * 10)(product)


def dense_rows() -> Any:
    """16 rows of float32 weights [k][16] times tokens.

    (weights, k, rows, x, y, unused): y[t] f32[16] = sum over k, in order, by fma.
    """

    def product(b: Any, w: Any, k: Any, rows: Any, x: Any, y: Any, _: Any) -> Any:
        def tile(size: int, first: Any) -> None:
            tokens = [at_ir(b, first, (1, t)) for t in range(size)]
            homes = [b.add(x, b.mul(at_ir(b, const(I64, 0), (k, 4)), t)) for t in tokens]

            def column(i: Any, totals: list[Any]) -> list[Any]:
                weights = load_ir(b, at_ir(b, w, (i, 64)), F32V)
                numbers = [load_ir(b, at_ir(b, home, (i, 4)), F32) for home in homes]
                return [
                    fma_ir(b, weights, splat_ir(b, F32V, number), total)
                    for number, total in zip(numbers, totals, strict=True)
                ]

            totals = loop_ir(b, k, [const(F32V, 0.0)] * size, column)
            for t, total in zip(tokens, totals, strict=True):
                store_ir(b, at_ir(b, y, (t, 64)), total)

        _over_tokens(b, rows, tile)
        return rows

    product.__name__ = "dense_rows"
    return operation(i64, *[i64] * 6)(product)
