"""Instruction sets: everything that depends on the processor or on the version of LLVM.

The choice follows from numba's own target, since that is what its cache of machine code is keyed
by. An intrinsic that fails its self-test gives way to the generic lowering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core.registry import cpu_target

from inferflow_backends.cpu import selftest

LANES = 16
"""Logical width of every vector; LLVM splits it where registers are narrower."""

I32 = ir.IntType(32)
F32 = ir.FloatType()
I32V = ir.VectorType(I32, LANES)
F32V = ir.VectorType(F32, LANES)

Lowering = Callable[[ir.IRBuilder, Any, Any, Any], Any]
"""(builder, total i32[16], codes, x) -> the new total."""


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
    """Which lowering `dot4` has here: the first of `DOT4` whose features the target has, or
    `generic` where that one fails its self-test."""
    found = features()
    name = next(name for name, (needs, _) in DOT4.items() if needs <= found)
    return name if selftest.passes(name, DOT4[name][1], *_target()) else "generic"


def stream_hint() -> tuple[int, int]:
    """How weights that are read once are fetched: LLVM's locality (0: past the caches, 3: into all
    of them) and bytes ahead. Past the caches leaves them to others on AMD's Zen; on Intel's
    processors it takes three times as long, and 2 KB ahead into them gains half (measured)."""
    return (0, 4096) if _target()[1].startswith("znver") else (3, 2048)


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
    return DOT4[dot4_name()][1](builder, total, codes, x)


def _dot4_vnni(width: int) -> Lowering:
    """x86's instruction, on vectors of so many bits: saturates nothing."""
    count = width // 32

    def lowering(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
        words = ir.VectorType(I32, count)
        operand = words
        if llvm.llvm_version_info[0] >= 22:
            operand = ir.VectorType(ir.IntType(8), 4 * count)
        function = declare(
            builder, f"llvm.x86.avx512.vpdpbusd.{width}", words, [words, operand, operand]
        )

        def part(total: Any, codes: Any, x: Any) -> Any:
            arguments = [total, builder.bitcast(codes, operand), builder.bitcast(x, operand)]
            return builder.call(function, arguments)

        return in_parts(builder, count, part, total, codes, x)

    return lowering


def _dot4_avx2(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """Bytes are widened to 16 bits (even and odd apart), where no product saturates."""
    words = ir.VectorType(ir.IntType(16), 16)
    function = declare(builder, "llvm.x86.avx2.pmadd.wd", ir.VectorType(I32, 8), [words, words])
    mask, eight = ir.Constant(words, [0xFF] * 16), ir.Constant(words, [8] * 16)

    def part(total: Any, codes: Any, x: Any) -> Any:
        u, s = builder.bitcast(codes, words), builder.bitcast(x, words)
        low = builder.ashr(builder.shl(s, eight), eight)
        even = builder.call(function, [builder.and_(u, mask), low])
        odd = builder.call(function, [builder.lshr(u, eight), builder.ashr(s, eight)])
        return builder.add(total, builder.add(even, odd))

    return in_parts(builder, 8, part, total, codes, x)


def _dot4_i8mm(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """ARM's unsigned by signed product."""

    def part(total: Any, codes: Any, x: Any) -> Any:
        return _neon_dot(builder, "usdot", total, codes, x)

    return in_parts(builder, 4, part, total, codes, x)


def _dot4_dotprod(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """ARM's signed product of codes less 128, and 128 times the sum of x: twice the product with
    64, as 128 is no signed byte."""
    quarter = ir.VectorType(I32, 4)
    flip = ir.Constant(quarter, [0x80808080 - (1 << 32)] * 4)
    half, none = ir.Constant(quarter, [0x40404040] * 4), ir.Constant(quarter, [0] * 4)

    def part(total: Any, codes: Any, x: Any) -> Any:
        sums = _neon_dot(builder, "sdot", none, half, x)
        total = builder.add(total, builder.add(sums, sums))
        return _neon_dot(builder, "sdot", total, builder.xor(codes, flip), x)

    return in_parts(builder, 4, part, total, codes, x)


def _neon_dot(builder: ir.IRBuilder, name: str, total: Any, codes: Any, x: Any) -> Any:
    words, operand = ir.VectorType(I32, 4), ir.VectorType(ir.IntType(8), 16)
    full = f"llvm.aarch64.neon.{name}.v4i32.v16i8"
    function = declare(builder, full, words, [words, operand, operand])
    arguments = [total, builder.bitcast(codes, operand), builder.bitcast(x, operand)]
    return builder.call(function, arguments)


def _dot4_generic(builder: ir.IRBuilder, total: Any, codes: Any, x: Any) -> Any:
    """Byte by byte with 32-bit shifts: right on every target."""
    for byte in range(4):
        up = ir.Constant(I32V, [24 - 8 * byte] * LANES)
        down = ir.Constant(I32V, [24] * LANES)
        u = builder.lshr(builder.shl(codes, up), down)
        s = builder.ashr(builder.shl(x, up), down)
        total = builder.add(total, builder.mul(u, s))
    return total


DOT4: dict[str, tuple[frozenset[str], Lowering]] = {
    "avx512vnni": (frozenset({"avx512f", "avx512vnni"}), _dot4_vnni(512)),
    "avxvnni": (frozenset({"avx2", "avxvnni"}), _dot4_vnni(256)),
    "avx2": (frozenset({"avx2"}), _dot4_avx2),
    "i8mm": (frozenset({"neon", "i8mm"}), _dot4_i8mm),
    "dotprod": (frozenset({"neon", "dotprod"}), _dot4_dotprod),
    "generic": (frozenset(), _dot4_generic),
}
"""Lowerings of `dot4`, the fastest first, and what each needs of the target."""


def in_parts(builder: ir.IRBuilder, count: int, part: Callable[..., Any], *vectors: Any) -> Any:
    """`part` of so many lanes of each vector at a time, joined to 16 lanes."""
    if count == LANES:
        return part(*vectors)
    parts = [
        part(*(lanes(builder, vector, start, count) for vector in vectors))
        for start in range(0, LANES, count)
    ]
    while len(parts) > 1:
        index = ir.Constant(ir.VectorType(I32, 2 * count), list(range(2 * count)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(a, b, index) for a, b in pairs]
        count *= 2
    return parts[0]


def lanes(builder: ir.IRBuilder, vector: Any, start: int, count: int) -> Any:
    """Lanes start..start+count of a vector."""
    index = ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), index)


def relax(builder: ir.IRBuilder) -> None:
    """Tells the processor that this is a spin loop, where it has a way to be told."""
    if _target()[0].startswith(("x86_64", "i686")):
        builder.call(declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])


def ticks(builder: ir.IRBuilder) -> Any:
    """The processor's own clock: of x86 the time stamp, of others their steady counter."""
    x86 = _target()[0].startswith(("x86_64", "i686"))
    name = "llvm.readcyclecounter" if x86 else "llvm.readsteadycounter"
    return builder.call(declare(builder, name, ir.IntType(64), []), [])
