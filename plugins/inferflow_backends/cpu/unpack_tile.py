"""Unpacking 16 rows of packed weights: to a panel for many tokens, or to float32."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from inferflow_backends.cpu.isa import F32V, I32, I32V
from inferflow_backends.cpu.layouts import BLOCK, Layout
from inferflow_backends.cpu.linear_tile import codes_ir, scales_ir
from inferflow_backends.cpu.simd import const, i64, operation, splat_ir, store_ir
from inferflow_backends.cpu.tile import at_ir, loop_ir, stream_ir


def unpack_blocks(layout: Layout) -> Any:
    """Packed weights -> a panel: for each block 8 quads, and f32[16] scales, then minimums.

    (codes, scales, blocks, shift, panel, factors, least): `shift` is 4 bytes to take from each
    code. Factors are [block][part][16] float32, minimums likewise; blocks are whole records.
    """

    def unpack(b: Any, codes: Any, scales: Any, blocks: Any, shift: Any, *rest: Any) -> Any:
        panel, factors, minimums = rest
        bytes_ = ir.VectorType(ir.IntType(8), 64)
        shift = b.bitcast(splat_ir(b, I32V, b.trunc(shift, I32)), bytes_)

        def block(i: Any, _: list[Any]) -> list[Any]:
            here = at_ir(b, codes, (i, layout.code_bytes))
            stream_ir(b, here, layout.code_bytes)
            quads = codes_ir(b, layout.bits, here)
            for j, quad in enumerate(quads):
                moved = b.sub(b.bitcast(quad, bytes_), shift)
                store_ir(b, at_ir(b, panel, (i, 512), (1, 64 * j)), moved)
            for part, (scale, least) in enumerate(scales_ir(b, layout, scales, i)):
                place = ((i, 64 * layout.parts), (1, 64 * part))
                store_ir(b, at_ir(b, factors, *place), scale)
                if least is not None:
                    store_ir(b, at_ir(b, minimums, *place), least)
            return []

        loop_ir(b, blocks, [], block)
        return blocks

    unpack.__name__ = "unpack_blocks"
    return operation(i64, *[i64] * 7)(unpack)


def float_columns(layout: Layout) -> Any:
    """A group of packed weights as float32. (codes, scales, blocks, home): [column][16] numbers,
    rounded as the reference rounds them."""

    def floats(b: Any, codes: Any, scales: Any, blocks: Any, home: Any) -> Any:
        def block(i: Any, _: list[Any]) -> list[Any]:
            quads = codes_ir(b, layout.bits, at_ir(b, codes, (i, layout.code_bytes)))
            parts = scales_ir(b, layout, scales, i)
            for column in range(BLOCK):
                scale, least = parts[column // layout.columns]
                code = b.lshr(quads[column // 4], const(I32V, 8 * (column % 4)))
                code = b.sub(b.and_(code, const(I32V, 255)), const(I32V, layout.offset))
                number = b.fmul(scale, b.sitofp(code, F32V))
                if least is not None:
                    number = b.fadd(number, least)
                store_ir(b, at_ir(b, home, (i, 64 * BLOCK), (1, 64 * column)), number)
            return []

        loop_ir(b, blocks, [], block)
        return blocks

    floats.__name__ = "float_columns"
    return operation(i64, *[i64] * 4)(floats)
