"""Self-tests: a lowering of an intrinsic against numpy, compiled for numba's own target.

What an LLVM of another version calls otherwise, or a processor does otherwise than its feature
says, is found here, before a kernel is compiled with it. A process that finds its kernels in the
cache asks nothing.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from inferflow_backends.cpu.buffers import address

log = logging.getLogger(__name__)

I64 = ir.IntType(64)
LANES = 16
CALLS = 64
"""Vectors that are tried: the ends of both ranges against each other, and random bytes."""


@cache
def passes(name: str, lowering: Callable[..., Any], triple: str, cpu: str, features: str) -> bool:
    """Whether a lowering of `dot4` gives numpy's numbers here. Says so where it does not.

    A few milliseconds, once a process and lowering.
    """
    try:
        wrong = "" if _is_right(lowering, triple, cpu, features) else "gives wrong numbers"
    except RuntimeError as error:
        wrong = f"does not compile: {error}"
    if wrong:
        log.warning("integer products by %s: it %s; the generic ones are slower", name, wrong)
    return not wrong


def _is_right(lowering: Callable[..., Any], triple: str, cpu: str, features: str) -> bool:
    total, codes, x = _numbers()
    expected = total + np.einsum("cli,cli->cl", codes.astype(np.int32), x.astype(np.int32))
    found = np.zeros_like(total)
    engine = _compiled(lowering, triple, cpu, features)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(engine.get_function_address("dot4"))
    for one in zip(total, codes, x, found, strict=True):
        function(*map(address, one))
    return np.array_equal(found, expected)


def _numbers() -> tuple[Any, Any, Any]:
    """total int32 [CALLS, 16], codes uint8 and x int8 [CALLS, 16, 4]."""
    rng = np.random.default_rng(0)
    shape = (CALLS, LANES, 4)
    ends = np.meshgrid([0, 1, 127, 128, 255], [-128, -127, -1, 0, 1, 127])
    codes, x = rng.integers(0, 256, shape, np.uint8), rng.integers(-128, 128, shape, np.int8)
    for array, values in zip((codes, x), ends, strict=True):
        array[: CALLS // 2] = np.resize(values, CALLS // 2)[:, None, None]
    return rng.integers(-(2**20), 2**20, shape[:2], np.int32), codes, x


def _compiled(lowering: Callable[..., Any], triple: str, cpu: str, features: str) -> Any:
    """An engine that has `dot4(total, codes, x, result)`, of addresses."""
    module = ir.Module()
    module.triple = triple
    kind = ir.FunctionType(ir.VoidType(), [I64] * 4)
    function = ir.Function(module, kind, "dot4")
    builder = ir.IRBuilder(function.append_basic_block())
    home = ir.VectorType(ir.IntType(32), LANES).as_pointer()
    pointers = [builder.inttoptr(argument, home) for argument in function.args]
    values: list[Any] = [builder.load(pointer) for pointer in pointers[:3]]
    for value in values:
        value.align = 1
    result: Any = builder.store(lowering(builder, *values), pointers[3])
    result.align = 1
    builder.ret_void()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    if "llvm." in machine.emit_assembly(parsed):
        raise RuntimeError("this LLVM does not know the intrinsic")
    return llvm.create_mcjit_compiler(parsed, machine)
