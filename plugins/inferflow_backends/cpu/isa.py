"""Instruction sets: everything that depends on the processor or on the version of LLVM.

The choice follows from numba's own target, since that is what its cache of machine code is keyed
by. An intrinsic that fails its self-test gives way to the generic lowering.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core.registry import cpu_target

LANES = 16
"""Logical width of every vector; LLVM splits it where registers are narrower."""

I32 = ir.IntType(32)
F32 = ir.FloatType()
I32V = ir.VectorType(I32, LANES)
F32V = ir.VectorType(F32, LANES)
BYTES = ir.VectorType(ir.IntType(8), 4 * LANES)


def features() -> frozenset[str]:
    """The features that numba compiles for, such as `avx512vnni`."""
    return frozenset(name[1:] for name in _target()[2].split(",") if name.startswith("+"))


def _target() -> tuple[str, str, str]:
    """Triple, processor and features that numba compiles for."""
    context: Any = cpu_target.target_context
    return context.codegen().magic_tuple()


def lacking() -> str:
    """What the processor must have and has not, in words; empty where all is well.

    LLVM turns a float16 conversion without F16C into a call of a function that is not there.
    """
    x86 = _target()[0].startswith(("x86_64", "i686"))
    return "the processor has no F16C" if x86 and "f16c" not in features() else ""


def dot4_name() -> str:
    """Which lowering `dot4` has here: `avx512vnni`, `avx2` or `generic`."""
    found = features()
    if {"avx512vnni", "avx512f"} <= found:
        return "avx512vnni"
    return "avx2" if "avx2" in found else "generic"


def stream_hint() -> tuple[int, int]:
    """How weights that are read once are fetched: LLVM's locality (0: past the caches, 3: into all
    of them) and bytes ahead. Past the caches leaves them to others on AMD's Zen; on Intel's
    processors it takes three times as long, and far ahead gains half (measured)."""
    return (0, 4096) if _target()[1].startswith("znver") else (3, 8192)


def declare(builder: ir.IRBuilder, name: str, result: Any, arguments: list[Any]) -> ir.Function:
    """The intrinsic or C function `name` in the builder's module."""
    module = builder.module
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(result, arguments), name)


def dot4(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """total i32[16] + for each lane the dot product of 4 unsigned with 4 signed bytes.

    `codes` and `x` are i32[16]: 4 bytes a lane. Codes are at most 255 and x within +-127, so no
    lowering may saturate: pairs of products are added in 32 bits.
    """
    return {"avx512vnni": _dot4_vnni, "avx2": _dot4_avx2, "generic": _dot4_generic}[dot4_name()](
        builder, total, codes, x
    )


def _dot4_vnni(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    operand = BYTES if llvm.llvm_version_info[0] >= 22 else I32V
    name = "llvm.x86.avx512.vpdpbusd.512"
    function = declare(builder, name, I32V, [I32V, operand, operand])
    arguments = [total, builder.bitcast(codes, operand), builder.bitcast(x, operand)]
    return builder.call(function, arguments)


def _dot4_avx2(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """Bytes are widened to 16 bits (even and odd apart), where no product saturates."""
    half = ir.VectorType(I32, 8)
    words = ir.VectorType(ir.IntType(16), 16)
    name = "llvm.x86.avx2.pmadd.wd"
    function = declare(builder, name, half, [words, words])
    parts: list[Any] = []
    for start in (0, 8):
        u = builder.bitcast(lanes(builder, codes, start, 8), words)
        s = builder.bitcast(lanes(builder, x, start, 8), words)
        mask = ir.Constant(words, [0xFF] * 16)
        eight = ir.Constant(words, [8] * 16)
        even = builder.call(
            function,
            [builder.and_(u, mask), builder.ashr(builder.shl(s, eight), eight)],
        )
        odd = builder.call(function, [builder.lshr(u, eight), builder.ashr(s, eight)])
        parts.append(builder.add(even, odd))
    joined = builder.shuffle_vector(
        parts[0], parts[1], ir.Constant(ir.VectorType(I32, LANES), list(range(LANES)))
    )
    return builder.add(total, joined)


def _dot4_generic(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """Byte by byte with 32-bit shifts: right on every target."""
    for byte in range(4):
        up = ir.Constant(I32V, [24 - 8 * byte] * LANES)
        down = ir.Constant(I32V, [24] * LANES)
        u = builder.lshr(builder.shl(codes, up), down)
        s = builder.ashr(builder.shl(x, up), down)
        total = builder.add(total, builder.mul(u, s))
    return total


def lanes(builder: ir.IRBuilder, vector: Any, start: int, count: int) -> Any:
    """Lanes start..start+count of a vector."""
    index = ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), index)


def relax(builder: ir.IRBuilder) -> None:
    """Tells the processor that this is a spin loop, where it has a way to be told."""
    if _target()[0].startswith(("x86_64", "i686")):
        builder.call(declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
