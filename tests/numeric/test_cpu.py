"""The cpu backend: the suite, its formats, the numeric law on bits, and what a plugin may add."""

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from inferflow_core.block import FFN, Model, Scope
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.errors import EngineError
from inferflow_core.graph import Graph, Node
from inferflow_core.interfaces import Backend, Program, Sizes
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import Op
from inferflow_core.shapes import same
from inferflow_core.testing import BackendSuite
from inferflow_core.testing.probe import probe

pytest.importorskip("numba", reason="the cpu backend needs numba")

from inferflow_backends.cpu import CPUBackend
from inferflow_backends.cpu.check import Checker
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.numpy import NumpyBackend
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding
from inferflow_runtime.backend import choose_backend

SLOW_FORMATS = [pytest.param(name, marks=pytest.mark.slow) for name in ("q4_0", "q4_1", "q8_0")]
SEQUENCES = [[(7 * i + n) % 70 for i in range(n)] for n in (70, 1, 33, 5, 16, 2, 9)]


class TestCPU(BackendSuite):
    name = "cpu"

    def make(self) -> CPUBackend:
        return CPUBackend(self.catalog())


@dataclass(frozen=True)
class PackedWeight:
    """A random matrix in a format of its own."""

    numbers: Any
    format: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def packed(self) -> Any:
        return (
            Catalog().get("format", self.format)().pack(self.numbers).reshape(len(self.numbers), -1)
        )

    def values(self) -> Any:
        return Catalog().get("format", self.format)().unpack(self.packed(), self.shape)


class Quantized:
    """A backend whose matrices have a format, and which is told what a user may tell."""

    name: ClassVar[str] = "quantized"

    def __init__(self, backend: Backend, format: str, **sizes: Any) -> None:
        self.backend, self.format, self.sizes = backend, format, sizes

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        return self.backend.native()

    def compile(self, graph: Graph, weights: Any, sizes: Sizes) -> Program:
        if self.format != "f32":
            weights = {
                path: PackedWeight(w.values(), self.format) if len(w.shape) == 2 else w
                for path, w in weights.items()
            }
        return self.backend.compile(graph, weights, replace(sizes, **self.sizes))


def llama(**attention: Any) -> DecoderOnly:
    layer = PreNorm(
        mixer=Attention(heads=6, kv_heads=2, head_dim=16, position=Rope(), **attention),
        ffn=GatedMLP(act="silu", hidden=96),
        mixer_norm=RMSNorm(),
        ffn_norm=RMSNorm(),
    )
    return DecoderOnly(
        hidden=64,
        vocab=70,
        embed=TokenEmbedding(),
        layers=(layer,) * 2,
        norm=RMSNorm(),
        head=LinearHead(tied=True),
    )


def run(model: Model, sequences: list[list[int]], format: str, **how: Any) -> list[bytes]:
    sizes = {"threads": how.pop("threads", 1), "activations": how.pop("activations", "auto")}
    backend = Quantized(CPUBackend(Catalog()), format, **sizes)
    return NumpyBackend(Catalog()).prober(backend).run(model, sequences, **how)


@pytest.fixture
def small_models_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of these tests would else run as float32."""
    monkeypatch.setattr("inferflow_backends.cpu.memory.CACHED_BYTES", 0)


@pytest.mark.usefixtures("small_models_are_packed")
@pytest.mark.parametrize("format", ["f32", *SLOW_FORMATS])
def test_numeric_law(format: str) -> None:
    """Bits are equal alone and among others, in any chunks, on any pages, with 1 to 3 threads."""
    model = llama()
    together = run(model, SEQUENCES, format)
    for count in (1, 2, 7):
        assert run(model, SEQUENCES[:count], format) == together[:count]
    for sequence, expected in zip(SEQUENCES, together, strict=True):
        assert run(model, [sequence], format) == [expected]
    for chunk in (1, 5, 16, 64):
        assert run(model, SEQUENCES, format, chunk=chunk, shuffle_pages=True) == together
    for threads in (2, 3):
        assert run(model, SEQUENCES, format, chunk=16, threads=threads) == together


def test_numeric_law_with_a_window() -> None:
    model = llama(window=20)
    together = run(model, SEQUENCES, "f32")
    assert [run(model, [s], "f32", chunk=5)[0] for s in SEQUENCES] == together


def test_a_model_that_fits_the_cache_runs_as_float32() -> None:
    model = llama()
    reference = Quantized(NumpyBackend(Catalog()), "q4_0")
    expected = NumpyBackend(Catalog()).prober(reference).run(model, SEQUENCES)
    for a, b in zip(expected, run(model, SEQUENCES, "q4_0"), strict=True):
        assert np.allclose(np.frombuffer(a, np.float32), np.frombuffer(b, np.float32), atol=1e-4)


@pytest.mark.usefixtures("small_models_are_packed")
@pytest.mark.parametrize("format", ["q4_0", "q4_1", "q8_0"])
@pytest.mark.parametrize(("activations", "limit"), [("int8", 3e-2), ("float", 1e-3)])
def test_rounding_activations_is_the_only_difference(
    format: str, activations: str, limit: float
) -> None:
    """The kernels against numpy on the same packed weights, cache in float16."""
    model = llama()
    reference = Quantized(NumpyBackend(Catalog()), format)
    expected = NumpyBackend(Catalog()).prober(reference).run(model, SEQUENCES)
    found = run(model, SEQUENCES, format, activations=activations)
    for a, b in zip(expected, found, strict=True):
        x, y = np.frombuffer(a, np.float32), np.frombuffer(b, np.float32)
        assert np.sqrt(((x - y) ** 2).mean() / (x**2).mean()) < limit


@dataclass(frozen=True, kw_only=True)
class Twice(FFN):
    """An ffn that is one op of a third party."""

    op: str

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return ops.op(self.op)(x) + x


def third_party() -> Catalog:
    catalog = Catalog()
    catalog.add("op", "xyz.twice", Op(same, reference=lambda x: x * np.float32(2)))
    return catalog


def test_an_op_with_a_numpy_reference_runs_between_two_tapes() -> None:
    catalog, model = third_party(), probe(Twice(op="xyz.twice"), hidden=32, vocab=70)
    prober = NumpyBackend(catalog).prober(CPUBackend(catalog))
    x = random_weights(model, 0)["table.weight"].values()
    for ids, y in zip(SEQUENCES, prober.run(model, SEQUENCES, chunk=5), strict=True):
        assert np.array_equal(np.frombuffer(y, np.float32).reshape(-1, 32), x[ids] * 2 + x[ids])


def test_an_op_with_a_kernel_joins_the_tape() -> None:
    from inferflow_backends.cpu.kernels.elementwise import CODES, op_flat

    seen: list[str] = []

    def lower(low: Lowering, node: Any) -> bool:
        x, out = node.inputs[0], node.outputs[0]
        seen.append(node.op)
        a, c = low.input(x), low.output(out)
        words = [*(low.size_word(out) or ()), CODES["add"], a, 1, a, 1, c]
        low.row(op_flat, words, [a], [c])
        return True

    catalog, model = third_party(), probe(Twice(op="xyz.twice"), hidden=32, vocab=70)
    expected = NumpyBackend(catalog).prober(CPUBackend(catalog)).run(model, SEQUENCES)
    catalog.add("kernel", "xyz.twice@cpu", lower)
    assert NumpyBackend(catalog).prober(CPUBackend(catalog)).run(model, SEQUENCES) == expected
    assert seen == ["xyz.twice"]


def test_debug_mode_names_the_first_op_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's kernel adds what it should double; the ops before and behind are sound."""
    from inferflow_backends.cpu.kernels.elementwise import CODES, op_flat

    def lower(low: Lowering, node: Any) -> bool:
        x, out = node.inputs[0], node.outputs[0]
        a, c = low.input(x), low.output(out)
        words = [*(low.size_word(out) or ()), CODES["mul"], a, 1, a, 1, c]
        low.row(op_flat, words, [a], [c])
        return True

    catalog, model = third_party(), probe(Twice(op="xyz.twice"), hidden=32, vocab=70)
    prober = NumpyBackend(catalog).prober(CPUBackend(catalog))
    monkeypatch.setenv("INFERFLOW_CHECK_TAPE", "1")
    prober.run(model, SEQUENCES)
    catalog.add("kernel", "xyz.twice@cpu", lower)
    with pytest.raises(EngineError, match=r"first whose kernel differs .* xyz\.twice of"):
        prober.run(model, SEQUENCES)


@pytest.mark.parametrize("beyond", [0, 1 << 40])
def test_a_row_whose_address_nobody_owns_is_refused(beyond: int) -> None:
    """A third party's lowering hands out memory of its own, or an address beyond its buffer."""
    from inferflow_backends.cpu.kernels.elementwise import CODES, op_flat

    own = np.zeros(4096, np.float32)

    def lower(low: Lowering, node: Any) -> bool:
        x, out = node.inputs[0], node.outputs[0]
        a, c = low.input(x), low.output(out)
        where = a + beyond if beyond else own.ctypes.data
        words = [*(low.size_word(out) or ()), CODES["add"], a, 1, where, 1, c]
        low.row(op_flat, words, [a], [c])
        return True

    catalog, model = third_party(), probe(Twice(op="xyz.twice"), hidden=32, vocab=70)
    catalog.add("kernel", "xyz.twice@cpu", lower)
    with pytest.raises(RuntimeError, match="word 6 of a row of 'flat'"):
        NumpyBackend(catalog).prober(CPUBackend(catalog)).run(model, SEQUENCES)


@pytest.mark.usefixtures("small_models_are_packed")
@pytest.mark.parametrize("format", ["f32", "q8_0"])
def test_debug_mode_finds_nothing_and_changes_no_bit(
    monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    model = llama(window=20)
    expected = run(model, SEQUENCES, format, chunk=16)
    monkeypatch.setenv("INFERFLOW_CHECK_TAPE", "1")
    assert run(model, SEQUENCES, format, chunk=16) == expected


@pytest.mark.parametrize(
    "broken", ["linear", "linear_add", "append", "rms_norm", "gated_linear", "rope"]
)
def test_debug_mode_looks_at_every_op(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Also at those that passes make, and at the cache: here numpy is what is wrong."""

    class Wrong(Checker):
        def __init__(self, run: Any, operand: Any, reference: Any) -> None:
            def twice(node: Node, inputs: Any) -> Any:
                results = reference(node, inputs)
                if node.op == broken and not results:
                    inputs[0][...] *= 2
                return tuple(r * 2 if node.op == broken else r for r in results)

            super().__init__(run, operand, twice)

    monkeypatch.setattr("inferflow_backends.cpu.program.Checker", Wrong)
    monkeypatch.setenv("INFERFLOW_CHECK_TAPE", "1")
    with pytest.raises(EngineError, match=rf"differs from numpy: {broken} of"):
        run(llama(), SEQUENCES[:2], "f32")


def test_a_processor_without_float16_conversions_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inferflow_backends.cpu.isa.features", lambda: frozenset({"sse2"}))
    monkeypatch.setattr("inferflow_backends.cpu.isa._target", lambda: ("x86_64-linux", "", ""))
    assert CPUBackend(Catalog()).available() == "the processor has no F16C"


COUNT_MISSES = """
import sys
from pathlib import Path
from importlib import import_module
from inferflow_backends.cpu import kernels
from inferflow_backends.cpu.kernel_cache import kernels_cached_here
from numba.core.registry import CPUDispatcher
files = sorted(Path(kernels.__file__).parent.glob("[!_]*.py"))
with kernels_cached_here():
    modules = [import_module(f"{kernels.__name__}.{file.stem}") for file in files]
hits = misses = 0
for module in modules:
    for name, item in vars(module).items():
        if hasattr(item, "cache_hits"):
            hits, misses = hits + item.cache_hits, misses + (item.cache_hits == 0)
        elif isinstance(item, CPUDispatcher):
            hits += sum(item.stats.cache_hits.values())
            misses += sum(item.stats.cache_misses.values())
print(hits, misses)
"""


def test_a_second_process_compiles_nothing() -> None:
    subprocess.run([sys.executable, "-c", COUNT_MISSES], check=True)
    done = subprocess.run(
        [sys.executable, "-c", COUNT_MISSES], capture_output=True, text=True, check=True
    )
    hits, misses = map(int, done.stdout.split())
    assert misses == 0
    assert hits > 15


def test_without_numba_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferflow_backends.cpu.find_spec", lambda name: None)
    assert CPUBackend(Catalog()).available() == "numba is not installed"
    backend, why = choose_backend("auto", Catalog())
    assert backend.name == "numpy"
    assert why == "numpy (not cpu: numba is not installed)"
