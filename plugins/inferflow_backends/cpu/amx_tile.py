"""The same products on AMX, the matrix unit of Intel's processors since Sapphire Rapids.

A tile instruction gives the integer dot products of 16 tokens with 16 rows over a scale's columns.
They are exact, and what follows is done in the order of `linear_tile`: the bits are the same.
Source: Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter 20.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import F32, F32V, I32V, declare
from inferflow_backends.cpu.layouts import BLOCK, TILE, TILE_STATS, Layout
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
SUMS = 1024
"""Bytes of the sums of a tile."""
AT_ONCE = 8
"""Blocks that are taken by all tokens before the next."""


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


def tile_config(columns: int) -> bytes:
    """Tiles 0..3: sums of 16 tokens x 16 rows; 4, 5: tokens x columns; 6, 7: columns / 4 x 64."""
    shapes = [(TILE, 64)] * 4 + [(TILE, columns)] * 2 + [(columns // 4, 64)] * 2
    widths = b"".join(wide.to_bytes(2, "little") for _, wide in shapes)
    return (
        bytes([1]) + bytes(15) + widths + bytes(16) + bytes(rows for rows, _ in shapes) + bytes(8)
    )


def amx_product(layout: Layout) -> Any:
    """Two unpacked groups of signed codes times quantized tokens.

    (panel, factors, minimums, stride, blocks, rows, x, stats, y, room): the second group's panel,
    factors and minimums lie `stride` bytes behind the first's; x and stats lie in tiles; y is
    [token][32] float32, written for all tokens of the last tile; `room` has 4 KB on a border of 64.
    A few blocks at a time are taken by all tokens and both groups, so that what they read stays in
    the first cache; sums wait in y meanwhile.
    """
    width, parts = 16 * layout.columns, layout.parts

    def product(b: Any, panel: Any, factors: Any, minimums: Any, stride: Any, *rest: Any) -> Any:
        blocks, rows, x, stats, y, room = rest
        tiles = b.lshr(b.add(rows, const(I64, TILE - 1)), const(I64, 4))

        def slot(i: Any, part: int) -> Any:
            inside = b.and_(i, const(I64, 1))
            return at_ir(b, room, (inside, SUMS * parts), (1, SUMS * part))

        def multiply(i: Any, n: Any, behind: Any) -> None:
            """The dot products of a block, into its slots."""
            for part in range(parts):
                place = at_ir(b, i, (b.mul(n, blocks), 1))
                tokens = at_ir(b, x, (place, TILE * BLOCK), (1, part * layout.columns))
                codes = at_ir(b, panel, (behind, 1), (i, TILE * BLOCK), (1, part * width))
                tile_ir(b, "tileloadd64", 4, (tokens, const(I64, BLOCK)))
                tile_ir(b, "tileloadd64", 6, (codes, const(I64, 64)))
                tile_ir(b, "tilezero", 0)
                tile_ir(b, "tdpbssd", 0, 4, 6)
                tile_ir(b, "tilestored64", 0, (slot(i, part), const(I64, 64)))

        def gather(i: Any, n: Any, behind: Any, part: int, totals: list[Any]) -> list[Any]:
            home = ((behind, 1), (i, 64 * parts), (1, 64 * part))
            scale = load_ir(b, at_ir(b, factors, *home), F32V)
            least = load_ir(b, at_ir(b, minimums, *home), F32V) if layout.minimum else None
            known = at_ir(b, stats, (b.mul(n, blocks), TILE_STATS), (i, TILE_STATS))
            done: list[Any] = []
            for t, total in enumerate(totals):
                d = splat_ir(b, F32V, load_ir(b, at_ir(b, known, (1, 4 * t)), F32))
                dots = load_ir(b, at_ir(b, slot(i, part), (1, 64 * t)), I32V)
                total = fma_ir(b, b.sitofp(dots, F32V), b.fmul(scale, d), total)
                if least is not None:
                    sums = 64 if parts == 1 else 128 + 64 * part
                    weight = load_ir(b, at_ir(b, known, (1, sums + 4 * t)), F32)
                    total = fma_ir(b, least, splat_ir(b, F32V, weight), total)
                done.append(total)
            return done

        def several(c: Any, _: list[Any]) -> list[Any]:
            """Some blocks, for all tokens and both groups."""
            first = b.mul(c, const(I64, AT_ONCE))
            left = b.sub(blocks, first)
            more = b.icmp_signed(">", left, const(I64, AT_ONCE))
            count = b.select(more, const(I64, AT_ONCE), left)

            def unit(u: Any, _: list[Any]) -> list[Any]:
                n, group = b.lshr(u, const(I64, 1)), b.and_(u, const(I64, 1))
                behind = b.mul(stride, group)
                home = at_ir(b, y, (n, 128 * TILE), (group, 64))

                def step(j: Any, totals: list[Any]) -> list[Any]:
                    i = b.add(first, j)
                    multiply(i, n, behind)
                    for part in range(parts):
                        totals = gather(i, n, behind, part, totals)
                    return totals

                places = [at_ir(b, home, (1, 128 * t)) for t in range(TILE)]
                begin = b.icmp_signed("==", c, const(I64, 0))
                start = [
                    b.select(begin, const(F32V, 0.0), load_ir(b, place, F32V)) for place in places
                ]
                totals = loop_ir(b, count, start, step)
                for place, total in zip(places, totals, strict=True):
                    store_ir(b, place, total)
                return []

            loop_ir(b, b.shl(tiles, const(I64, 1)), [], unit)
            return []

        chunks = b.udiv(b.add(blocks, const(I64, AT_ONCE - 1)), const(I64, AT_ONCE))
        loop_ir(b, chunks, [], several)
        return rows

    product.__name__ = "amx_product"
    return operation(i64, *[i64] * 10)(product)
