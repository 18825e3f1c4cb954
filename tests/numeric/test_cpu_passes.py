"""The passes of the cpu backend: a step's bits are the same without them, and they are used."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import FFN, Model, Param, Scope, linear_params
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.graph import Graph, flatten
from inferflow_core.interfaces import Program, Sizes
from inferflow_core.ops import Ops, Tensor, linear
from inferflow_core.optable import OpTable
from inferflow_core.passes.prepare import prepare
from inferflow_core.tracer import trace

pytest.importorskip("numba", reason="the cpu backend needs numba")

from blocks_of_formats import blocks
from inferflow_backends.cpu import CPUBackend
from inferflow_backends.numpy import NumpyBackend
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

SEQUENCES = [[(7 * i + n) % 70 for i in range(n)] for n in (70, 1, 33, 5)]
SLOW = ("q4_0", "q4_k", "q2_k", "q6_k", "bf16")
FORMATS = ["f32", "q4_1", *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)]


@dataclass(frozen=True)
class Packed:
    """A random matrix in a format of its own."""

    numbers: Any
    format: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def packed(self) -> Any:
        if self.format.endswith("_k"):  # nobody packs these
            return blocks(self.format, *self.shape)
        made = Catalog().get("format", self.format)()
        return made.pack(self.numbers).reshape(len(self.numbers), -1)

    def values(self) -> Any:
        return Catalog().get("format", self.format)().unpack(self.packed(), self.shape)


@dataclass(frozen=True)
class Told:
    """The cpu backend, with matrices in a format (`others`: those whose path ends so) and sizes."""

    name: ClassVar[str] = "told"
    format: str
    others: dict[str, str]
    sizes: dict[str, Any]

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        return CPUBackend(Catalog()).native()

    def compile(self, graph: Graph, weights: Any, sizes: Sizes) -> Program:
        def format_of(path: str) -> str:
            return next((f for end, f in self.others.items() if path.endswith(end)), self.format)

        weights = {
            path: Packed(w.values(), format_of(path)) if len(w.shape) == 2 else w
            for path, w in weights.items()
        }
        return CPUBackend(Catalog()).compile(graph, weights, replace(sizes, **self.sizes))


def model(ffn: FFN, norm: Any = RMSNorm) -> DecoderOnly:
    layer = PreNorm(
        mixer=Attention(heads=8, kv_heads=2, head_dim=32, position=Rope(), qkv_bias=True),
        ffn=ffn,
        mixer_norm=norm(),
        ffn_norm=norm(),
    )
    return DecoderOnly(
        hidden=256,
        vocab=70,
        embed=TokenEmbedding(),
        layers=(layer,) * 2,
        norm=norm(),
        head=LinearHead(tied=True),
    )


def run(
    made: Model,
    format: str,
    *,
    others: dict[str, str] | None = None,
    sequences: Any = SEQUENCES,
    chunk: int | None = None,
    **sizes: Any,
) -> list[bytes]:
    backend = Told(format, others or {}, {"threads": 1, **sizes})
    prober = NumpyBackend(Catalog()).prober(backend)
    return prober.run(made, sequences, chunk=chunk)


@pytest.fixture(autouse=True)
def small_models_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of these tests would else run as float32."""
    monkeypatch.setattr("inferflow_backends.cpu.memory.CACHED_BYTES", 0)


PASSES = CPUBackend(Catalog()).passes()
PLAIN = GatedMLP(act="silu", hidden=512)
FULL = GatedMLP(act="gelu_tanh", hidden=768, bias=True, limit=0.5, up_offset=1.0)


def test_every_pass_changes_the_graph_of_a_decoder() -> None:
    made = model(FULL)
    graph = trace(made, made.dims(128), OpTable(Catalog()))
    backend = CPUBackend(Catalog())
    whole = prepare(graph, backend, Catalog())
    for name in PASSES:
        assert prepare(graph, backend, Catalog(), skip=(name,)) != whole, name
    ops = [node.op for node in flatten(whole, "step")]
    assert (ops.count("gated_linear"), ops.count("linear_add")) == (2, 4)
    assert not {"glu", "add"} & set(ops)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("ffn", [PLAIN, FULL], ids=["plain", "full"])
def test_bits_are_the_same_without_a_pass(format: str, ffn: FFN) -> None:
    made = model(ffn)
    together = run(made, format)
    for name in PASSES:
        assert run(made, format, skip_passes=(name,)) == together, name
    assert run(made, format, skip_passes=PASSES, threads=2) == together
    assert run(made, format, chunk=3, threads=3) == together


def test_bits_are_the_same_with_float_activations() -> None:
    made = model(FULL)
    together = run(made, "q4_0", activations="float")
    assert run(made, "q4_0", activations="float", skip_passes=PASSES) == together
    assert together != run(made, "q4_0")


def test_bits_are_the_same_where_gate_and_up_have_two_formats() -> None:
    """Then the pair is not one op."""
    made, others = model(FULL), {"up.weight": "q8_0"}
    together = run(made, "q4_0", others=others)
    assert run(made, "q4_0", others=others, skip_passes=PASSES) == together
    assert together != run(made, "q4_0")
    assert run(made, "q4_0", others=others, chunk=2) == together


@dataclass(frozen=True, kw_only=True)
class Odd(FFN):
    """A gated network whose inner width is no multiple of 16, and not multiplied again."""

    width: int

    def params(self, dims: Dims) -> dict[str, Param]:
        inner = Axis("ffn", self.width)
        return {
            **linear_params("gate", inner, dims.hidden, bias=True),
            **linear_params("up", inner, dims.hidden, bias=True),
            "down.weight": Param(dims.hidden, inner),
        }

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        product = ops.glu(linear(ops, w["gate"], x), linear(ops, w["up"], x), "gelu")
        return linear(ops, w["down"], product)


@pytest.mark.parametrize("width", [1, 15, 17, 40])
def test_widths_that_are_no_whole_groups(width: int) -> None:
    """Nothing is written behind a row, in a few tokens and in many."""
    made, others = model(Odd(width=width), LayerNorm), {"down.weight": "f32"}
    together = run(made, "q4_0", others=others)
    assert run(made, "q4_0", others=others, skip_passes=PASSES) == together
    assert run(made, "q4_0", others=others, chunk=1, threads=2) == together


@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_tanh", "relu", "relu2", "quick_gelu"])
def test_every_activation(act: Any) -> None:
    made = model(GatedMLP(act=act, hidden=64))
    assert run(made, "f32", skip_passes=PASSES) == run(made, "f32")


def test_a_fused_step_is_the_reference_s() -> None:
    made = model(FULL)
    expected = NumpyBackend(Catalog()).prober().run(made, SEQUENCES)
    for a, b in zip(expected, run(made, "f32"), strict=True):
        x, y = (np.frombuffer(each, np.float32) for each in (a, b))
        assert np.abs(x - y).max() <= 1e-4 * np.abs(x).max()


def test_a_footprint_knows_what_fusing_saves() -> None:
    made = model(PLAIN)
    graph = trace(made, made.dims(128), OpTable(Catalog()))
    footprint = CPUBackend(Catalog()).footprint(graph, random_weights(made, 0))
    sizes = Sizes(pages=9, page_tokens=16, max_tokens=64, max_sequences=4, context=128)
    without = replace(sizes, skip_passes=("fuse_gates",))
    assert footprint.scratch(sizes) < footprint.scratch(without)
