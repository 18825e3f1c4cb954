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
    """An unpacked group of signed codes times quantized tokens.

    (panel, factors, minimums, blocks, rows, x, stats, y, room): x and stats lie in tiles; y is
    [token][32] float32 of which 16 are written, for all tokens of the last tile; `room` has 2 KB on
    a border of 64.
    """

    def product(b: Any, panel: Any, factors: Any, minimums: Any, blocks: Any, *rest: Any) -> Any:
        rows, x, stats, y, room = rest
        width, parts = 16 * layout.columns, layout.parts

        def multiply(i: Any, part: int, slot: int, first: Any) -> None:
            """The dot products of a part of a block, into a slot of the room."""
            tokens = at_ir(b, x, (first, 512), (i, 512), (1, part * layout.columns))
            codes = at_ir(b, panel, (i, 512), (1, part * width))
            tile_ir(b, "tileloadd64", 4 + slot, (tokens, const(I64, BLOCK)))
            tile_ir(b, "tileloadd64", 6 + slot, (codes, const(I64, 64)))
            tile_ir(b, "tilezero", slot)
            tile_ir(b, "tdpbssd", slot, 4 + slot, 6 + slot)
            tile_ir(b, "tilestored64", slot, (at_ir(b, room, (1, SUMS * slot)), const(I64, 64)))

        def gather(i: Any, part: int, slot: int, first: Any, totals: list[Any]) -> list[Any]:
            place = ((i, 64 * parts), (1, 64 * part))
            scale = load_ir(b, at_ir(b, factors, *place), F32V)
            least = load_ir(b, at_ir(b, minimums, *place), F32V) if layout.minimum else None
            done: list[Any] = []
            for t, total in enumerate(totals):
                known = at_ir(b, stats, (first, TILE_STATS), (i, TILE_STATS), (1, 4 * t))
                d = splat_ir(b, F32V, load_ir(b, known, F32))
                dots = load_ir(b, at_ir(b, room, (1, SUMS * slot + 64 * t)), I32V)
                total = fma_ir(b, b.sitofp(dots, F32V), b.fmul(scale, d), total)
                if least is not None:
                    sums = 64 if parts == 1 else 128 + 64 * part
                    weight = load_ir(b, at_ir(b, known, (1, sums)), F32)
                    total = fma_ir(b, least, splat_ir(b, F32V, weight), total)
                done.append(total)
            return done

        def tile(n: Any, _: list[Any]) -> list[Any]:
            first = b.mul(n, blocks)

            def step(i: Any, totals: list[Any]) -> list[Any]:
                for part in range(parts):
                    multiply(i, part, part, first)
                    totals = gather(i, part, part, first, totals)
                return totals

            def two(i: Any, totals: list[Any]) -> list[Any]:
                here = [b.shl(i, const(I64, 1)), at_ir(b, b.shl(i, const(I64, 1)), (1, 1))]
                for slot, block in enumerate(here):
                    multiply(block, 0, slot, first)
                for slot, block in enumerate(here):
                    totals = gather(block, 0, slot, first, totals)
                return totals

            totals = [const(F32V, 0.0)] * TILE
            if parts == 1:
                pairs = b.lshr(blocks, const(I64, 1))
                totals = guarded_loop(b, pairs, totals, two)
                odd = b.and_(blocks, const(I64, 1))
                last = b.sub(blocks, const(I64, 1))
                totals = guarded_loop(b, odd, totals, lambda i, t: step(b.add(last, i), t))
            else:
                totals = loop_ir(b, blocks, totals, step)
            for t, total in enumerate(totals):
                store_ir(b, at_ir(b, y, (n, 128 * TILE), (1, 128 * t)), total)
            return []

        loop_ir(b, b.lshr(b.add(rows, const(I64, TILE - 1)), const(I64, 4)), [], tile)
        return rows

    product.__name__ = "amx_product"
    return operation(i64, *[i64] * 9)(product)


def guarded_loop(b: Any, count: Any, start: list[Any], body: Any) -> list[Any]:
    """`loop_ir` for a count that may be 0."""
    before = b.block
    with b.if_then(b.icmp_signed(">", count, const(I64, 0))):
        inside = loop_ir(b, count, start, body)
        end = b.block
    results: list[Any] = []
    for first, later in zip(start, inside, strict=True):
        phi = b.phi(first.type)
        phi.add_incoming(first, before)
        phi.add_incoming(later, end)
        results.append(phi)
    return results
