"""ARM: the micro-kernels of every kernel, generated for three of its processors and looked at.

No ARM processor has run them. What can be checked without one: that every micro-kernel compiles,
calls no function, has fused multiply-adds on vectors, and multiplies bytes with the instructions
that the processor has for it.
"""

import inspect
import pkgutil
import re
from collections import Counter
from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("numba", reason="the cpu backend needs numba")

import llvmlite.binding as llvm
from inferflow_backends.cpu import isa, kernels, selftest
from inferflow_backends.cpu.kernel_cache import kernels_cached_here
from inferflow_backends.cpu.simd import Vector
from llvmlite import ir
from numba import types
from numba.core.extending import _Intrinsic

TRIPLE = "aarch64-unknown-linux-gnu"
PROCESSORS = {
    "cortex-a72": ("generic", "+neon"),
    "neoverse-n1": ("dotprod", "+neon,+dotprod,+fullfp16"),
    "neoverse-v1": ("i8mm", "+neon,+dotprod,+fullfp16,+i8mm,+bf16"),
}
"""Processor -> the lowering of `dot4` that it should get, and what numba would say of it."""

OLDER = ("neoverse-n1", "cortex-a72")

X86_ALONE = re.compile(r"\.amx")
"""Files of kernels that only processors with an extension of x86 import."""


def micro_kernels() -> dict[str, Any]:
    """Every intrinsic that a kernel uses, by name."""
    found: dict[str, Any] = {}
    for file in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        if X86_ALONE.search(file.name):
            continue
        with kernels_cached_here():
            module = import_module(file.name)
        for name, item in vars(module).items():
            if isinstance(item, _Intrinsic) and item not in found.values():
                found[f"{file.name.rpartition('.')[2]}.{name}"] = item
    return found


def generated(intrinsics: dict[str, Any]) -> ir.Module:
    """A module with a function of each."""
    module = ir.Module()
    module.triple = TRIPLE
    for name, intrinsic in intrinsics.items():
        count = len(inspect.signature(intrinsic._defn).parameters) - 1
        signature, codegen = intrinsic._defn(None, *[None] * count)
        arguments = [llvm_type(kind) for kind in signature.args]
        kind = ir.FunctionType(llvm_type(signature.return_type), arguments)
        function = ir.Function(module, kind, name)
        builder = ir.IRBuilder(function.append_basic_block())
        made = codegen(NoContext(), builder, signature, function.args)
        builder.ret_void() if signature.return_type == types.none else builder.ret(made)
    return module


class NoContext:
    def get_dummy_value(self) -> None:
        return None


def llvm_type(kind: Any) -> Any:
    if isinstance(kind, Vector):
        return isa.F32V if kind.element == "f32" else isa.I32V
    plain: dict[Any, Any] = {types.none: ir.VoidType(), types.float32: isa.F32}
    return plain[kind] if kind in plain else ir.IntType(kind.bitwidth)


@pytest.fixture(
    scope="module",
    params=["neoverse-v1", *(pytest.param(p, marks=pytest.mark.slow) for p in OLDER)],
)
def functions(request: pytest.FixtureRequest) -> Any:
    """The lowering of `dot4`, and function -> its instructions, optimised as numba does."""
    dot4, features = PROCESSORS[request.param]
    micro = micro_kernels()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(isa, "_target", lambda: (TRIPLE, request.param, features))
        patched.setattr(selftest, "passes", lambda *args: True)
        assert isa.dot4_name() == dot4
        module = str(generated(micro))
    assert "llvm.x86" not in module
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=request.param, features=features, opt=3
    )
    parsed = llvm.parse_assembly(module)
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
    passes.getModulePassManager().run(parsed, passes)
    return dot4, instructions(machine.emit_assembly(parsed))


def instructions(assembly: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in assembly.splitlines():
        if label := re.match(r'"?([\w.]+)"?:', line):
            name = label[1] if not label[1].startswith(".") else name
            continue
        text = line.partition("//")[0].strip()
        if text and not text.startswith("."):
            found.setdefault(name, []).append(text)
    return found


CALLED = {"store_first": "bl\tmemcpy", "yield_thread": "b\tsched_yield"}
"""The end of an array, where fewer than 16 numbers are left; a thread that waits."""


def test_no_function_is_called(functions: Any) -> None:
    """LLVM calls one for what a processor lacks: conversions, rounding, fused products."""
    for name, code in functions[1].items():
        own = name.partition(".")[2]
        expected = "br\tx" if own.startswith("call_") else CALLED.get(own, "never")
        calls = [line for line in code if re.match(r"(blr?|br)\t|b\t[a-z]", line)]
        assert [line for line in calls if not line.startswith(expected)] == [], name


def test_tiles_use_the_instructions_of_the_processor(functions: Any) -> None:
    """Tiles are what has loops. Products have fused ones of four numbers, and none of a single
    one; those of packed weights are of bytes, with no longer way to them."""
    dot4, code = functions
    tiles = {
        name: Counter(map(instruction, lines))
        for name, lines in code.items()
        if any(line.startswith("b.") for line in lines)
    }
    ways = {"generic": "mla v.4s", "dotprod": "sdot v.4s", "i8mm": "usdot v.4s"}
    packed = {name for name, tile in tiles.items() if tile[ways[dot4]] >= 8}
    assert packed == {n for n in tiles if n.endswith(".product") or n.startswith("products.")}
    assert len(packed) > 10
    for other in {*ways.values()} - {ways[dot4]}:
        assert {name for name in packed if tiles[name][other]} == set()
    floats = ("dense.", *(f"attention_tiles._{kind}" for kind in ("tiles", "rows", "values")))
    of_floats = {name for name in tiles if name.startswith(floats)}
    assert len(of_floats) >= 4 * 3 + 3
    assert {name for name in packed | of_floats if not tiles[name]["fmla v.4s"]} == set()
    assert {name for name, tile in tiles.items() if tile["fmadd"] or tile["fcvt"]} == set()


def instruction(line: str) -> str:
    """`fmla v.4s` of `fmla v0.4s, v1.4s, v2.s[0]`."""
    name, _, operands = line.partition("\t")
    vector = re.match(r"v\d+(\.\d*\w)", operands)
    return f"{name} v{vector[1]}" if vector else name
