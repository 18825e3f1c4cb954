"""The same products on AMX, the matrix unit of Intel's processors since Sapphire Rapids.

A tile instruction gives the integer dot products of 16 tokens with 16 rows over a scale's columns.
They are exact, and what follows is done in the order of `linear_tile`: the bits are the same.
Source: Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter 20.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import F32, F32V, I32V, declare
from inferflow_backends.cpu.layouts import BLOCK, STATS, TILE, Layout
from inferflow_backends.cpu.linear_tile import sums_of
from inferflow_backends.cpu.simd import (
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

I8 = ir.IntType(8)
POINTER = I8.as_pointer()
HALF = TILE // 2
"""Tokens of a last tile of few: it takes half the time."""
SUM_BYTES = 1024
"""Of a tile."""


def tile_ir(b: Any, name: str, *arguments: Any) -> None:
    """`llvm.x86.NAME`: ints are tile registers, pairs an address and a stride."""
    values: list[Any] = []
    for argument in arguments:
        if isinstance(argument, int):
            values.append(const(I8, argument))
        elif isinstance(argument, tuple):
            address, stride = argument
            values += [b.inttoptr(address, POINTER), stride]
        else:
            values.append(b.inttoptr(argument, POINTER))
    kinds = [value.type for value in values]
    b.call(declare(b, f"llvm.x86.{name}", ir.VoidType(), kinds), values)


@operation(None, i64)
def open_tiles(b: Any, config: Any) -> None:
    """Configures the calling thread's tiles: 64 bytes (`tile_config`)."""
    tile_ir(b, "ldtilecfg", config)


@operation(None)
def close_tiles(b: Any) -> None:
    """Lets go of the tiles."""
    tile_ir(b, "tilerelease")


SUMS, TOKENS, CODES = {TILE: 0, HALF: 1}, {TILE: 4, HALF: 5}, 6
"""Tile registers: by how many tokens they hold, and of the rows' codes."""


def tile_config(columns: int) -> bytes:
    """64 bytes for `ldtilecfg`: sums of 16 rows, tokens of `columns` bytes, codes of 16 rows."""
    shapes = [(0, 0)] * 8
    for size in (TILE, HALF):
        shapes[SUMS[size]], shapes[TOKENS[size]] = (size, 64), (size, columns)
    shapes[CODES] = (columns // 4, 64)
    widths = b"".join(wide.to_bytes(2, "little") for _, wide in shapes)
    return bytes([1]) + bytes(15) + widths + bytes(16) + bytes(n for n, _ in shapes) + bytes(8)


def amx_product(layout: Layout) -> Any:
    """Some unpacked blocks of two groups, signed codes, times quantized tokens.

    (panel, factors, minimums, stride, blocks, first, count, rows, x, stats, y, room): as of
    `linear_tile.panel_product`; `room` has 4 KB on a border of 64. Tokens of the last tile beyond
    `rows` are read and written too.
    """
    width, parts = 16 * layout.columns, layout.parts

    def product(b: Any, panel: Any, factors: Any, minimums: Any, stride: Any, *rest: Any) -> Any:
        blocks, first, count, rows, x, stats, y, room = rest
        row_bytes = b.mul(blocks, const(I64, BLOCK))

        def slot(j: Any, part: int) -> Any:
            inside = b.and_(j, const(I64, 1))
            return at_ir(b, room, (inside, SUM_BYTES * parts), (1, SUM_BYTES * part))

        def multiply(j: Any, tokens: Any, behind: Any, size: int) -> None:
            """The dot products of a block, into its slots."""
            for part in range(parts):
                here = at_ir(b, tokens, (b.add(first, j), BLOCK), (1, part * layout.columns))
                codes = at_ir(b, panel, (behind, 1), (j, TILE * BLOCK), (1, part * width))
                sums = SUMS[size]
                tile_ir(b, "tileloadd64", TOKENS[size], (here, row_bytes))
                tile_ir(b, "tileloadd64", CODES, (codes, const(I64, 64)))
                tile_ir(b, "tilezero", sums)
                tile_ir(b, "tdpbssd", sums, TOKENS[size], CODES)
                tile_ir(b, "tilestored64", sums, (slot(j, part), const(I64, 64)))

        def gather(j: Any, known: Any, behind: Any, part: int, totals: list[Any]) -> list[Any]:
            home = ((behind, 1), (j, 64 * parts), (1, 64 * part))
            scale = load_ir(b, at_ir(b, factors, *home), F32V)
            least = load_ir(b, at_ir(b, minimums, *home), F32V) if layout.minimum else None
            known = at_ir(b, known, (b.add(first, j), STATS))
            done: list[Any] = []
            for t, total in enumerate(totals):
                here = at_ir(b, known, (row_bytes, t))
                d = splat_ir(b, F32V, load_ir(b, here, F32))
                dots = load_ir(b, at_ir(b, slot(j, part), (1, 64 * t)), I32V)
                total = fma_ir(b, b.sitofp(dots, F32V), b.fmul(scale, d), total)
                if least is not None:
                    weight = load_ir(b, at_ir(b, here, (1, sums_of(layout, part)[1])), F32)
                    total = fma_ir(b, least, splat_ir(b, F32V, weight), total)
                done.append(total)
            return done

        begins = b.icmp_signed("==", first, const(I64, 0))

        def unit(n: Any, group: Any, size: int) -> None:
            """A tile of tokens and a group."""
            behind, before = b.mul(stride, group), b.mul(n, row_bytes)
            tokens, known = at_ir(b, x, (before, TILE)), at_ir(b, stats, (before, TILE))
            home = at_ir(b, y, (n, 128 * TILE), (group, 64))
            places = [at_ir(b, home, (1, 128 * t)) for t in range(size)]
            start = [
                b.select(begins, const(F32V, 0.0), load_ir(b, place, F32V)) for place in places
            ]

            def block(j: Any, totals: list[Any]) -> list[Any]:
                multiply(j, tokens, behind, size)
                for part in range(parts):
                    totals = gather(j, known, behind, part, totals)
                return totals

            for place, total in zip(places, loop_ir(b, count, start, block), strict=True):
                store_ir(b, place, total)

        def units(first_tile: Any, tiles: Any, size: int) -> None:
            def each(u: Any, _: list[Any]) -> list[Any]:
                n = at_ir(b, first_tile, (b.lshr(u, const(I64, 1)), 1))
                unit(n, b.and_(u, const(I64, 1)), size)
                return []

            with b.if_then(b.icmp_signed(">", tiles, const(I64, 0))):
                loop_ir(b, b.shl(tiles, const(I64, 1)), [], each)

        whole = b.lshr(b.add(rows, const(I64, HALF - 1)), const(I64, 4))
        left = b.sub(rows, b.mul(whole, const(I64, TILE)))
        units(const(I64, 0), whole, TILE)
        units(whole, b.zext(b.icmp_signed(">", left, const(I64, 0)), I64), HALF)
        return rows

    product.__name__ = "amx_product"
    return operation(i64, *[i64] * 12)(product)
