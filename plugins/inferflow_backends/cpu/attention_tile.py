"""Register tiles of attention: micro-kernels whose IR is emitted by Python loops.

A tile of several queries does for each just what a tile of one does, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferflow_backends.cpu.isa import F32, F32V
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
from inferflow_backends.cpu.tile import at_ir, loop_ir

QUERY_TILES = (1, 4, 8)
"""How many queries the attention tiles take at once; fewer are taken with rows of no meaning."""


def _vector_ir(b: Any, address: Any, half: bool) -> Any:
    """16 float32 from memory, or 16 float16 widened."""
    return b.fpext(load_ir(b, address, F16V), F32V) if half else load_ir(b, address, F32V)


def _query_tiles(b: Any, rows: Any) -> Iterator[tuple[int, Any]]:
    """Every size, and whether it is the smallest that holds `rows`."""
    smaller = 0
    for size in QUERY_TILES:
        above = b.icmp_signed(">", rows, const(I64, smaller))
        yield size, b.and_(above, b.icmp_signed("<=", rows, const(I64, size)))
        smaller = size


def scores_tile(*, half: bool) -> Any:
    """(rows, q, q_stride, keys, channels, s): s[r] f32[16] = q[r] . key, for 16 keys.

    `rows` is at most 8, and s and q have room for 8; keys are [channels][16], float16 with `half`.
    Two sums, over the first and the second half of the channels (an even number), each in order.
    """

    def scores(b: Any, rows: Any, q: Any, q_stride: Any, keys: Any, channels: Any, s: Any) -> Any:
        middle = b.lshr(channels, const(I64, 1))
        for size, fits in _query_tiles(b, rows):
            with b.if_then(fits):
                queries = [b.add(q, b.mul(q_stride, const(I64, r))) for r in range(size)]

                def channel(i: Any, totals: list[Any], queries: list[Any] = queries) -> list[Any]:
                    places = [i, b.add(i, middle)]
                    vectors = [
                        _vector_ir(b, at_ir(b, keys, (place, 32 if half else 64)), half)
                        for place in places
                    ]
                    done: list[Any] = []
                    for r, query in enumerate(queries):
                        for part in range(2):
                            x = load_ir(b, at_ir(b, query, (places[part], 4)), F32)
                            total = totals[2 * r + part]
                            done.append(fma_ir(b, splat_ir(b, F32V, x), vectors[part], total))
                    return done

                totals = loop_ir(b, middle, [const(F32V, 0.0)] * (2 * size), channel)
                for r in range(size):
                    store_ir(b, at_ir(b, s, (1, 64 * r)), b.fadd(totals[2 * r], totals[2 * r + 1]))
        return rows

    scores.__name__ = f"scores_tile_{int(half)}"
    return operation(i64, *[i64] * 6)(scores)


def values_tile(*, half: bool) -> Any:
    """(rows, p [rows][16], scale [rows], v, count, o [rows][channels], channels, unused).

    For each row and channel: o = o * scale, then for each of `count` values in order
    fma(p[j], v[j], o). Values are [count][channels], float16 with `half`; `channels` is a multiple
    of 16, `rows` at most 8; o, p and scale have room for 8.
    """

    def values(b: Any, rows: Any, p: Any, scale: Any, v: Any, *rest: Any) -> Any:
        count, o, channels, _ = rest
        bytes_of = 2 if half else 4
        for size, fits in _query_tiles(b, rows):
            with b.if_then(fits):
                wide = 4 if size <= 4 else 2
                whole = b.udiv(channels, const(I64, 16 * wide))
                begin = b.mul(whole, const(I64, 16 * wide))
                left = b.lshr(b.sub(channels, begin), const(I64, 4))
                for vectors, first, times in ((wide, const(I64, 0), whole), (1, begin, left)):

                    def columns(
                        i: Any,
                        _: list[Any],
                        size: int = size,
                        vectors: int = vectors,
                        first: Any = first,
                    ) -> list[Any]:
                        at = at_ir(b, first, (i, 16 * vectors))
                        homes = [
                            at_ir(b, o, (at, 4), (b.mul(channels, const(I64, 4)), r))
                            for r in range(size)
                        ]
                        start: list[Any] = []
                        for r, home in enumerate(homes):
                            factor = splat_ir(b, F32V, load_ir(b, at_ir(b, scale, (1, 4 * r)), F32))
                            for n in range(vectors):
                                here = load_ir(b, at_ir(b, home, (1, 64 * n)), F32V)
                                start.append(b.fmul(here, factor))

                        def key(j: Any, totals: list[Any]) -> list[Any]:
                            row = at_ir(b, v, (b.mul(j, channels), bytes_of), (at, bytes_of))
                            numbers = [
                                _vector_ir(b, at_ir(b, row, (1, 16 * bytes_of * n)), half)
                                for n in range(vectors)
                            ]
                            done: list[Any] = []
                            for r in range(size):
                                weight = load_ir(b, at_ir(b, p, (1, 64 * r), (j, 4)), F32)
                                weight = splat_ir(b, F32V, weight)
                                for n in range(vectors):
                                    total = totals[r * vectors + n]
                                    done.append(fma_ir(b, weight, numbers[n], total))
                            return done

                        totals = loop_ir(b, count, start, key)
                        for r, home in enumerate(homes):
                            for n in range(vectors):
                                store_ir(b, at_ir(b, home, (1, 64 * n)), totals[r * vectors + n])
                        return []

                    with b.if_then(b.icmp_signed(">", times, const(I64, 0))):
                        loop_ir(b, times, [], columns)
        return rows

    values.__name__ = f"values_tile_{int(half)}"
    return operation(i64, *[i64] * 8)(values)
