"""Instruction sets: which lowering is taken, that each is right, and what a wrong one leads to.

x86's lowerings run here as far as the processor has the instructions; ARM's are only looked at, in
`test_neon.py`. `make haswell` runs the tests of the backend as on a processor with AVX2 alone.
"""

import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("numba", reason="the cpu backend needs numba")

from inferflow_backends.cpu import isa, selftest

AVX2 = "+sse4.2,+avx,+avx2,+fma,+f16c"
TARGETS = {
    "avx512vnni": ("icelake-server", f"{AVX2},+avx512f,+avx512bw,+avx512vl,+avx512vnni"),
    "avxvnni": ("alderlake", f"{AVX2},+avxvnni"),
    "avx2": ("haswell", AVX2),
    "generic": ("x86-64", ""),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_lowering_gives_the_numbers_of_numpy(name: str) -> None:
    needs, lowering = isa.DOT4[name]
    if not needs <= isa.features():
        pytest.skip(f"this processor has not all of {', '.join(sorted(needs))}")
    triple, cpu, features = isa._target()
    assert selftest.passes(name, lowering, triple, cpu, features)
    if triple.startswith("x86_64"):
        assert selftest.passes(name, lowering, triple, *TARGETS[name])


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ("avx2 avx512f avx512vnni avxvnni", "avx512vnni"),
        ("avx2 avx512f avxvnni", "avxvnni"),
        ("avx2 avx512f", "avx2"),
        ("sse4.2 f16c", "generic"),
        ("neon dotprod i8mm", "i8mm"),
        ("neon dotprod", "dotprod"),
        ("neon", "generic"),
    ],
)
def test_the_first_that_the_target_has_is_taken(
    monkeypatch: pytest.MonkeyPatch, found: str, name: str
) -> None:
    monkeypatch.setattr(isa, "features", lambda: frozenset(found.split()))
    monkeypatch.setattr(selftest, "passes", lambda *args: True)
    assert isa.dot4_name() == name


def swapped(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    """Takes the codes for the signed ones: what an LLVM with other operands would do."""
    return isa.DOT4["generic"][1](builder, total, x, codes)


def renamed(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    function = isa.declare(builder, "llvm.x86.no.such.thing", isa.I32V, [isa.I32V] * 3)
    return builder.call(function, [total, codes, x])


def mistyped(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    function = isa.declare(builder, "llvm.smax.v16i32", isa.I32V, [isa.I32V] * 3)
    return builder.call(function, [total, codes, x])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (swapped, "gives wrong numbers"),
        (renamed, "does not compile: this LLVM does not know the intrinsic"),
        (mistyped, "does not compile: "),
    ],
)
def test_a_lowering_that_fails_its_self_test_gives_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: Any, why: str
) -> None:
    monkeypatch.setattr(isa, "DOT4", {"new": (frozenset[str](), wrong), **isa.DOT4})
    with caplog.at_level(logging.WARNING):
        assert [isa.dot4_name(), isa.dot4_name()] == ["generic"] * 2
    (said,) = caplog.messages
    assert f"new: it {why}" in said


ASSEMBLY = """
from inferflow_backends.cpu import isa
from inferflow_backends.cpu.simd import fma, load, operation, i64, i32v, splat, store
from numba import njit
dot4 = operation(i32v, i32v, i32v, i32v)(isa.dot4)
load_i32 = operation(i32v, i64)(lambda b, a: b.load(b.inttoptr(a, isa.I32V.as_pointer())))
store_i32 = operation(None, i64, i32v)(
    lambda b, a, v: b.store(v, b.inttoptr(a, isa.I32V.as_pointer())) and None
)
@njit("void(int64, int64)")
def kernel(x, y):
    store(y, fma(load(x), load(y), splat(0.5)))
    store_i32(y + 64, dot4(load_i32(x), load_i32(x + 64), load_i32(y)))
print(isa.dot4_name(), *kernel.inspect_asm().values())
"""


def test_numbas_own_settings_choose_the_target() -> None:
    """What `make haswell` does: no instruction of AVX512, and none of its registers."""
    if "avx2" not in isa.features():
        pytest.skip("this processor has no AVX2")
    asked = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}
    done = subprocess.run(
        [sys.executable, "-c", ASSEMBLY],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    name, _, assembly = done.stdout.partition(" ")
    assert name == "avx2"
    assert re.search(r"vfmadd\d+ps.*%ymm", assembly)
    assert re.search(r"vpmaddwd.*%ymm", assembly)
    assert not re.search(r"%zmm|%[xy]mm(1[6-9]|[23]\d)|%k[0-7]|vpdp", assembly)
