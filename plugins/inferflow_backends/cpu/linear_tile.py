"""Register tiles of the linear layers: micro-kernels whose IR is emitted by Python loops.

All of them compute one token's 16 outputs in one order, whatever the number of tokens at once, and
whether the integers come from one instruction or another: over the scales' columns in order,
y = fma(dot of codes, scale * d, y), and then with a minimum y = fma(minimum, d * sum, y). So tiles
differ in speed, never in bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import F32, F32V, I32, I32V, dot4
from inferflow_backends.cpu.layouts import (
    HALVES,
    PLANES,
    SCALED_HALVES,
    SCALED_SUM,
    STATS,
    SUM,
    Layout,
)
from inferflow_backends.cpu.simd import (
    F16V,
    I8V,
    I64,
    const,
    fma_ir,
    i64,
    load_ir,
    operation,
    splat_ir,
    store_ir,
)
from inferflow_backends.cpu.tile import at_ir, loop_ir, stream_ir

FEW = (8, 4, 2, 1)
"""Tokens that the products on packed weights take at once."""
MANY = (5, 3, 1)
"""Tokens that the products on two unpacked groups take at once: 5 x 2 sums of integers and as many
of floats fill the 32 registers of AVX-512."""


def codes_ir(b: Any, bits: int, address: Any) -> list[Any]:
    """The 8 quads of a block, i32[16] of 4 unsigned codes each."""
    quads: list[Any] = [None] * 8
    place, shift = 0, 0
    for width in PLANES[bits]:
        each = 8 // width
        for plane in range(width):
            whole = load_ir(b, at_ir(b, address, (1, place + 64 * plane)), I32V)
            for i in range(each):
                # Nibbles alternate (quads 2p, 2p + 1); smaller parts count up within a plane.
                quad = each * plane + i
                part = whole
                if width < 8:
                    moved = width * i - shift
                    if moved > 0:
                        part = b.lshr(part, const(I32V, moved))
                    elif moved < 0:
                        part = b.shl(part, const(I32V, -moved))
                    mask = ((1 << width) - 1) << shift
                    part = b.and_(part, const(I32V, mask * 0x01010101))
                quads[quad] = part if quads[quad] is None else b.or_(quads[quad], part)
        place, shift = place + 64 * width, shift + width
    return quads


def scales_ir(b: Any, layout: Layout, scales: Any, block: Any) -> list[tuple[Any, Any]]:
    """(scale, minimum) f32[16] of each part of a block; the minimum is None where there is none."""
    parts: list[tuple[Any, Any]] = []
    if not layout.two_levels:
        home = at_ir(b, scales, (block, layout.record))
        scale = b.fpext(load_ir(b, home, F16V), F32V)
        least = None
        if layout.minimum:
            least = b.fpext(load_ir(b, at_ir(b, home, (1, 32)), F16V), F32V)
        return [(scale, least)]
    home = at_ir(b, scales, (b.lshr(block, const(I64, 3)), layout.record))
    d = b.fpext(load_ir(b, home, F16V), F32V)
    least_d = None
    integers = at_ir(b, home, (1, 32))
    if layout.minimum:
        least_d = b.fpext(load_ir(b, integers, F16V), F32V)
        integers = at_ir(b, integers, (1, 32))
    inside = b.and_(block, const(I64, 7))
    for part in range(layout.parts):
        here = at_ir(b, integers, (inside, layout.parts * layout.small), (1, part * layout.small))
        bytes_ = load_ir(b, here, I8V)
        scale, least = bytes_, None
        if layout.minimum:
            least = load_ir(b, at_ir(b, here, (1, 16)), I8V)
            if layout.nibbles:
                scale, least = b.and_(bytes_, const(I8V, 15)), b.lshr(bytes_, const(I8V, 4))
            least = b.fmul(least_d, b.sitofp(least, F32V))
        parts.append((b.fmul(d, b.sitofp(scale, F32V)), least))
    return parts


@dataclass(frozen=True)
class Tokens:
    """The addresses of some quantized tokens: their codes and what is known of each block."""

    codes: list[Any]
    stats: list[Any]


def tokens_ir(b: Any, x: Any, stats: Any, blocks: Any, first: Any, size: int) -> Tokens:
    """`size` tokens from `first` on."""
    places = [b.mul(at_ir(b, first, (1, t)), blocks) for t in range(size)]
    return Tokens(
        [at_ir(b, x, (place, 32)) for place in places],
        [at_ir(b, stats, (place, STATS)) for place in places],
    )


def sums_of(layout: Layout, part: int) -> tuple[int, int]:
    """Where the sum of a part's codes and its product with the factor stand in the stats."""
    if layout.parts == 1:
        return SUM, SCALED_SUM
    return HALVES + 4 * part, SCALED_HALVES + 4 * part


def products_ir(
    b: Any,
    layout: Layout,
    offset: Any,
    tokens: Tokens,
    block: Any,
    groups: list[tuple[list[Any], list[tuple[Any, Any]]]],
    totals: list[Any],
) -> list[Any]:
    """A block's products added to totals [token][group]. A group is its quads and its scales;
    `offset` (i32 or 0) is what codes have too much."""
    totals, each = list(totals), 8 // layout.parts
    homes = [at_ir(b, codes, (block, 32)) for codes in tokens.codes]
    stats = [at_ir(b, known, (block, STATS)) for known in tokens.stats]
    factors = [splat_ir(b, F32V, load_ir(b, known, F32)) for known in stats]
    for part in range(layout.parts):
        whole, scaled = sums_of(layout, part)
        dots: list[Any] = []
        for known in stats:
            start = const(I32V, 0)
            if layout.offset:
                total = load_ir(b, at_ir(b, known, (1, whole)), I32)
                start = splat_ir(b, I32V, b.mul(total, offset))
            dots += [start] * len(groups)
        for j in range(each * part, each * (part + 1)):
            for t, home in enumerate(homes):
                four = splat_ir(b, I32V, load_ir(b, at_ir(b, home, (1, 4 * j)), I32))
                for g, (quads, _) in enumerate(groups):
                    place = t * len(groups) + g
                    dots[place] = dot4(b, dots[place], quads[j], four)
        for t, known in enumerate(stats):
            for g, (_, scales) in enumerate(groups):
                place, (scale, least) = t * len(groups) + g, scales[part]
                number = b.sitofp(dots[place], F32V)
                totals[place] = fma_ir(b, number, b.fmul(scale, factors[t]), totals[place])
                if least is not None:
                    weight = splat_ir(b, F32V, load_ir(b, at_ir(b, known, (1, scaled)), F32))
                    totals[place] = fma_ir(b, least, weight, totals[place])
    return totals


def over_tokens(
    b: Any, rows: Any, sizes: tuple[int, ...], tile: Callable[[int, Any], None]
) -> None:
    """`tile(size, first)` for all rows: as many as fit of each size, the largest first."""
    first = const(I64, 0)
    for size in sizes:
        count = b.udiv(b.sub(rows, first), const(I64, size))

        def step(i: Any, _: list[Any], first: Any = first, size: int = size) -> list[Any]:
            tile(size, at_ir(b, first, (i, size)))
            return []

        with b.if_then(b.icmp_signed(">", count, const(I64, 0))):
            loop_ir(b, count, [], step)
        first = at_ir(b, first, (count, size))


def few_product(layout: Layout) -> Any:
    """16 rows of packed weights times quantized tokens.

    (codes, scales, blocks, rows, x, stats, y): y[t] f32[16], for each of `rows` tokens.
    """
    offset = const(I32, -layout.offset)

    def product(b: Any, codes: Any, scales: Any, blocks: Any, rows: Any, *rest: Any) -> Any:
        x, stats, y = rest

        def tile(size: int, first: Any) -> None:
            tokens = tokens_ir(b, x, stats, blocks, first, size)

            def block(i: Any, totals: list[Any]) -> list[Any]:
                here = at_ir(b, codes, (i, layout.code_bytes))
                stream_ir(b, here, layout.code_bytes)
                quads = codes_ir(b, layout.bits, here)
                groups = [(quads, scales_ir(b, layout, scales, i))]
                return products_ir(b, layout, offset, tokens, i, groups, totals)

            totals = loop_ir(b, blocks, [const(F32V, 0.0)] * size, block)
            for t, total in enumerate(totals):
                store_ir(b, at_ir(b, y, (first, 64), (1, 64 * t)), total)

        over_tokens(b, rows, FEW, tile)
        return rows

    product.__name__ = "few_product"
    return operation(i64, *[i64] * 7)(product)


def panel_product(layout: Layout) -> Any:
    """Some unpacked blocks of two groups times quantized tokens; of the layout only `parts`,
    `minimum` and whether there is an offset count.

    (panel, factors, minimums, stride, blocks, first, count, rows, x, stats, offset, y): `count`
    blocks from the row's block `first` on, of `blocks`; the second group's panel, factors and
    minimums lie `stride` bytes behind the first's. Adds to y [token][32] float32, which begins anew
    with block 0.
    """

    def product(b: Any, panel: Any, factors: Any, minimums: Any, stride: Any, *rest: Any) -> Any:
        blocks, first, count, rows, x, stats, offset, y = rest
        minus = b.sub(const(I32, 0), b.trunc(offset, I32))

        begins = b.icmp_signed("==", first, const(I64, 0))

        def tile(size: int, token: Any) -> None:
            tokens = tokens_ir(b, x, stats, blocks, token, size)
            places = [at_ir(b, y, (token, 128), (1, 64 * place)) for place in range(2 * size)]

            def block(i: Any, totals: list[Any]) -> list[Any]:
                groups: list[tuple[list[Any], list[tuple[Any, Any]]]] = []
                for g in range(2):
                    behind = (stride, g)
                    home = at_ir(b, panel, (i, 512), behind)
                    quads = [load_ir(b, at_ir(b, home, (1, 64 * j)), I32V) for j in range(8)]
                    scales: list[tuple[Any, Any]] = []
                    for part in range(layout.parts):
                        place = ((i, 64 * layout.parts), (1, 64 * part), behind)
                        least = None
                        if layout.minimum:
                            least = load_ir(b, at_ir(b, minimums, *place), F32V)
                        scales.append((load_ir(b, at_ir(b, factors, *place), F32V), least))
                    groups.append((quads, scales))
                return products_ir(b, layout, minus, tokens, b.add(first, i), groups, totals)

            start = [
                b.select(begins, const(F32V, 0.0), load_ir(b, place, F32V)) for place in places
            ]
            for place, total in zip(places, loop_ir(b, count, start, block), strict=True):
                store_ir(b, place, total)

        over_tokens(b, rows, MANY, tile)
        return rows

    product.__name__ = "panel_product"
    return operation(i64, *[i64] * 12)(product)


def dense_product(format: str) -> Any:
    """16 rows of f32, f16 or bf16 weights [k][16] times float32 tokens.

    (weights, k, rows, x, y): y[t] f32[16] = sum over k, in order, by fma.
    """
    width = 4 if format == "f32" else 2

    def weights_ir(b: Any, address: Any) -> Any:
        if format == "f32":
            return load_ir(b, address, F32V)
        if format == "f16":
            return b.fpext(load_ir(b, address, F16V), F32V)
        words = load_ir(b, address, ir.VectorType(ir.IntType(16), 16))
        return b.bitcast(b.shl(b.zext(words, I32V), const(I32V, 16)), F32V)

    def product(b: Any, w: Any, k: Any, rows: Any, x: Any, y: Any) -> Any:
        def tile(size: int, first: Any) -> None:
            homes = [at_ir(b, x, (b.mul(at_ir(b, first, (1, t)), k), 4)) for t in range(size)]

            def column(i: Any, totals: list[Any]) -> list[Any]:
                here = at_ir(b, w, (i, 16 * width))
                stream_ir(b, here, 16 * width)
                weights = weights_ir(b, here)
                numbers = [load_ir(b, at_ir(b, home, (i, 4)), F32) for home in homes]
                return [
                    fma_ir(b, weights, splat_ir(b, F32V, number), total)
                    for number, total in zip(numbers, totals, strict=True)
                ]

            totals = loop_ir(b, k, [const(F32V, 0.0)] * size, column)
            for t, total in enumerate(totals):
                store_ir(b, at_ir(b, y, (first, 64), (1, 64 * t)), total)

        over_tokens(b, rows, FEW, tile)
        return rows

    product.__name__ = "dense_product"
    return operation(i64, *[i64] * 5)(product)
