"""Register tiles of attention: micro-kernels whose IR is emitted by Python loops.

A tile of several queries or keys does for each just what a tile of one does, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.attention_words import PART
from inferflow_backends.cpu.isa import F32, F32V, I32, I32V, declare, features
from inferflow_backends.cpu.simd import (
    F16V,
    I8V,
    I16V,
    I64,
    const,
    fma_ir,
    i64,
    load_ir,
    operation,
    splat_ir,
    store_ir,
    tree_ir,
)
from inferflow_backends.cpu.tile import at_ir, loop_ir

WIDE = "avx512f" in features()
SCORE_SUMS, VALUE_SUMS = (16, 24) if WIDE else (6, 6)
"""Accumulators of 16 lanes that a tile may have beside its operands, so that none is spilled."""
SIZES = (1, 2, 3, 4, 6, 8) if WIDE else (1, 2, 3, 4, 6)
"""How many queries a tile takes at once; fewer are taken with rows of no meaning."""
MOST_QUERIES = SIZES[-1]
TOGETHER = 4
"""Tiles of keys that a tile of few queries takes at once."""
ROW = 4 * PART
"""Bytes from a query's weights to the next one's."""

Load = Callable[[Any, Any], Any]
"""(builder, address) -> 16 float32, widened from 16 numbers of a format."""


def load_f32(b: Any, address: Any) -> Any:
    return load_ir(b, address, F32V)


def load_f16(b: Any, address: Any) -> Any:
    return b.fpext(load_ir(b, address, F16V), F32V)


def load_bf16(b: Any, address: Any) -> Any:
    high = b.shl(b.zext(load_ir(b, address, I16V), I32V), const(I32V, 16))
    return b.bitcast(high, F32V)


def load_int8(b: Any, address: Any) -> Any:
    return b.sitofp(load_ir(b, address, I8V), F32V)


def _over_sizes(b: Any, rows: Any) -> Iterator[int]:
    """Every size; what is emitted for it runs if it is the smallest that holds `rows`."""
    smaller = 0
    for size in SIZES:
        above = b.icmp_signed(">", rows, const(I64, smaller))
        with b.if_then(b.and_(above, b.icmp_signed("<=", rows, const(I64, size)))):
            yield size
        smaller = size


def widen(load: Load, number_bytes: int) -> Any:
    """(from, to, count, ...): `count` vectors of 16 numbers of a format, as float32."""

    def widen(b: Any, start: Any, to: Any, count: Any, *_: Any) -> Any:
        def vector(i: Any, _: list[Any]) -> list[Any]:
            store_ir(b, at_ir(b, to, (i, 64)), load(b, at_ir(b, start, (i, 16 * number_bytes))))
            return []

        loop_ir(b, count, [], vector)
        return count

    widen.__name__ = f"widen_{load.__name__}"
    return operation(i64, *[i64] * 7)(widen)


def scores_of_tiles(load: Load, number_bytes: int) -> Any:
    """(rows, q, q_bytes, tiles, count, channels, s): s[r][16 t ...] = q[r] . the keys of tile t.

    `tiles` are addresses of keys, [channels][16], as many as `count` rounded up to a multiple of
    TOGETHER. The queries are `q_bytes` apart. A sum goes over the channels in order.
    """

    def scores(b: Any, rows: Any, *arguments: Any) -> Any:
        for size in _over_sizes(b, rows):
            _tiles_times(b, size, load, number_bytes, *arguments)
        return rows

    scores.__name__ = f"scores_of_tiles_{load.__name__}"
    return operation(i64, *[i64] * 7)(scores)


def _tiles_times(
    b: Any, size: int, load: Load, number_bytes: int,
    q: Any, q_bytes: Any, tiles: Any, count: Any, channels: Any, s: Any,
) -> None:  # fmt: skip
    """`scores_of_tiles` for `size` queries."""
    together = max(n for n in (1, 2, TOGETHER) if n == 1 or n * size <= SCORE_SUMS)
    queries = [b.add(q, b.mul(q_bytes, const(I64, r))) for r in range(size)]

    def group(i: Any, _: list[Any]) -> list[Any]:
        places = [at_ir(b, const(I64, n), (i, together)) for n in range(together)]
        homes = [load_ir(b, at_ir(b, tiles, (place, 8)), I64) for place in places]
        following = [load_ir(b, at_ir(b, tiles, (p, 8), (1, 8 * together)), I64) for p in places]

        def channel(c: Any, totals: list[Any]) -> list[Any]:
            for home in following:
                ahead_ir(b, at_ir(b, home, (c, 16 * number_bytes)))
            vectors = [load(b, at_ir(b, home, (c, 16 * number_bytes))) for home in homes]
            numbers = [load_ir(b, at_ir(b, query, (c, 4)), F32) for query in queries]
            return _outer(b, [splat_ir(b, F32V, x) for x in numbers], vectors, totals)

        totals = loop_ir(b, channels, [const(F32V, 0.0)] * (size * together), channel)
        for r in range(size):
            for n, place in enumerate(places):
                store_ir(b, at_ir(b, s, (place, 64), (1, ROW * r)), totals[r * together + n])
        return []

    loop_ir(b, b.udiv(at_ir(b, count, (1, together - 1)), const(I64, together)), [], group)


def ahead_ir(b: Any, address: Any) -> None:
    """Fetches the line of an address that a later tile will read; any address will do."""
    pointer = ir.IntType(8).as_pointer()
    arguments = [pointer, I32, I32, I32]
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), arguments)
    hints = [const(I32, 0), const(I32, 3), const(I32, 1)]
    b.call(function, [b.inttoptr(address, pointer), *hints])


def _outer(b: Any, xs: list[Any], ys: list[Any], totals: list[Any]) -> list[Any]:
    """totals[i][j] + xs[i] * ys[j], row by row."""
    pairs = [(x, y) for x in xs for y in ys]
    return [fma_ir(b, x, y, total) for (x, y), total in zip(pairs, totals, strict=True)]


def scores_of_rows(load: Load, number_bytes: int) -> Any:
    """As `scores_of_tiles`, for tiles of rows: [16][channels], a multiple of 16.

    Lane l of a sum has the channels l, l + 16, ... in order; then the lanes are summed.
    """

    def scores(b: Any, rows: Any, *arguments: Any) -> Any:
        for size in _over_sizes(b, rows):
            for first in range(0, size, 4):
                few = range(first, min(first + 4, size))
                _rows_times(b, few, load, number_bytes, *arguments)
        return rows

    scores.__name__ = f"scores_of_rows_{load.__name__}"
    return operation(i64, *[i64] * 7)(scores)


def _rows_times(
    b: Any, few: range, load: Load, number_bytes: int,
    q: Any, q_bytes: Any, tiles: Any, count: Any, channels: Any, s: Any,
) -> None:  # fmt: skip
    """`scores_of_rows` for a few queries."""
    keys = max(n for n in (1, 2, 4) if n == 1 or n * len(few) <= SCORE_SUMS)
    queries = [b.add(q, b.mul(q_bytes, const(I64, r))) for r in few]
    steps = const(I64, 16 // keys)

    def group(i: Any, _: list[Any]) -> list[Any]:
        tile = load_ir(b, at_ir(b, tiles, (b.udiv(i, steps), 8)), I64)
        first = b.mul(b.urem(i, steps), const(I64, keys))
        places = [b.mul(b.add(first, const(I64, n)), channels) for n in range(keys)]
        homes = [at_ir(b, tile, (place, number_bytes)) for place in places]

        def vector(c: Any, totals: list[Any]) -> list[Any]:
            vectors = [load(b, at_ir(b, home, (c, 16 * number_bytes))) for home in homes]
            numbers = [load_ir(b, at_ir(b, query, (c, 64)), F32V) for query in queries]
            return _outer(b, numbers, vectors, totals)

        start = [const(F32V, 0.0)] * (len(few) * keys)
        totals = loop_ir(b, b.lshr(channels, const(I64, 4)), start, vector)
        for place, r in enumerate(few):
            for n in range(keys):
                home = at_ir(b, s, (i, 4 * keys), (1, 4 * n + ROW * r))
                store_ir(b, home, tree_ir(b, totals[place * keys + n], b.fadd))
        return []

    loop_ir(b, b.mul(count, steps), [], group)


def values_of_rows(load: Load, number_bytes: int) -> Any:
    """(rows, p, tiles, first, last, channels, o): o[r] += the values weighted by p[r].

    `tiles` are addresses of values, [16][channels], a multiple of 16; keys first <= j < last count,
    from the first tile on, 0 <= first < 16. For each channel o = fma(p[r][j], v[j], o), key after
    key. Rows of o lie `channels` apart.
    """

    def values(b: Any, rows: Any, *arguments: Any) -> Any:
        channels = arguments[-2]
        for size in _over_sizes(b, rows):
            wide = max(n for n in (1, 2, 4) if n == 1 or n * size <= VALUE_SUMS)
            whole = b.udiv(channels, const(I64, 16 * wide))
            left = b.lshr(b.urem(channels, const(I64, 16 * wide)), const(I64, 4))
            begin = b.mul(whole, const(I64, 16 * wide))
            for vectors, first, times in ((wide, const(I64, 0), whole), (1, begin, left)):
                with b.if_then(b.icmp_signed(">", times, const(I64, 0))):
                    _weighted(b, size, vectors, first, times, load, number_bytes, *arguments)
        return rows

    values.__name__ = f"values_of_rows_{load.__name__}"
    return operation(i64, *[i64] * 7)(values)


def _weighted(
    b: Any, size: int, vectors: int, begin: Any, times: Any, load: Load, number_bytes: int,
    p: Any, tiles: Any, first: Any, last: Any, channels: Any, o: Any,
) -> None:  # fmt: skip
    """`values_of_rows` for `size` queries and the channels from `begin` on, `times` times so many
    vectors."""
    count = b.lshr(b.add(last, const(I64, 15)), const(I64, 4))

    def columns(i: Any, _: list[Any]) -> list[Any]:
        at = at_ir(b, begin, (i, 16 * vectors))
        homes = [
            at_ir(b, o, (at, 4), (b.mul(channels, const(I64, r)), 4), (1, 64 * n))
            for r in range(size)
            for n in range(vectors)
        ]

        def tile(t: Any, totals: list[Any]) -> list[Any]:
            home, base = load_ir(b, at_ir(b, tiles, (t, 8)), I64), b.mul(t, const(I64, 16))
            low, high = b.sub(first, base), b.sub(last, base)
            low = b.select(b.icmp_signed(">", low, const(I64, 0)), low, const(I64, 0))
            high = b.select(b.icmp_signed("<", high, const(I64, 16)), high, const(I64, 16))
            following = load_ir(b, at_ir(b, tiles, (t, 8), (1, 8)), I64)

            def key(j: Any, totals: list[Any]) -> list[Any]:
                j = b.add(j, low)
                place = b.mul(b.add(b.mul(j, channels), at), const(I64, number_bytes))
                row = b.add(home, place)
                for line in range(0, 16 * number_bytes * vectors, 64):
                    ahead_ir(b, at_ir(b, following, (place, 1), (1, line)))
                weights = at_ir(b, p, (b.add(base, j), 4))
                numbers = [load_ir(b, at_ir(b, weights, (1, ROW * r)), F32) for r in range(size)]
                found = [load(b, at_ir(b, row, (1, 16 * number_bytes * n))) for n in range(vectors)]
                return _outer(b, [splat_ir(b, F32V, x) for x in numbers], found, totals)

            return loop_ir(b, b.sub(high, low), totals, key)

        totals = loop_ir(b, count, [load_ir(b, home, F32V) for home in homes], tile)
        for home, total in zip(homes, totals, strict=True):
            store_ir(b, home, total)
        return []

    loop_ir(b, times, [], columns)
