"""Experts on the cpu backend: routing, sorting, products of every kind of weight."""

from typing import Any

import numpy as np
import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor

pytest.importorskip("numba", reason="the cpu backend needs numba")

from cpu_probe import SEQUENCES, On, PackedWeight, Probe, compare, lawful
from inferflow_backends.numpy import NumpyBackend
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.moe import MoE
from inferflow_blocks.top_k import TopK

from inferflow_core.testing.probe import probe

MANY = [[(7 * i + n) % 40 for i in range(n)] for n in (70, 1, 33, 2)]
"""Of these some experts have more pairs than a panel needs, some few, some none."""
FORMATS = ["f32", "q4_0", "q8_0", "q4_1", "q6_k"]


class SixBits(PackedWeight):
    """Q6_K of any codes and scales, which gguf does not make: 208 bytes of them, then d."""

    def packed(self) -> Any:
        rng = np.random.default_rng(self.numbers.size)
        blocks = rng.integers(0, 256, (self.numbers.size // 256, 210), np.uint8)
        blocks[:, 208:] = np.full((len(blocks), 1), 1e-4, np.float16).view(np.uint8)
        return blocks.reshape(-1, self.shape[-1] // 256 * 210)


@pytest.fixture
def small_models_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of these tests would else run as float32."""
    monkeypatch.setattr("inferflow_backends.cpu.memory.CACHED_BYTES", 0)


def routed(experts: int, ranks: int, *, bias: bool) -> Any:
    """x -> its experts' products, of which each is multiplied by the same expert once more."""

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        _, index = ops.top_k(ops.slice(y, 0, experts), ranks)
        h = ops.expert_linear(x, w.w0, index, w.w2 if bias else None)
        return ops.concat(ops.merge_axes(h), ops.merge_axes(ops.expert_linear(h, w.w1, index)))

    return case


@pytest.mark.parametrize(
    ("hidden", "inner", "experts", "ranks"),
    [(24, 40, 3, 1), (33, 7, 5, 2), (64, 32, 12, 4), (20, 16, 2, 2)],
)
@pytest.mark.parametrize("bias", [False, True])
def test_products_of_floats(hidden: int, inner: int, experts: int, ranks: int, bias: bool) -> None:
    weights = ((experts, inner, hidden), (experts, hidden, inner), (experts, inner))
    case = routed(experts, ranks, bias=bias)
    compare(Probe(case=case, hidden=hidden, weights=weights), 1e-5)


def table(count: int, width: int) -> Any:
    """Whole numbers with a largest of 127 in each 32, which rounding to 8 bits leaves alone."""
    numbers = np.random.default_rng(1).integers(-127, 128, (count, width)).astype(np.float32)
    numbers[:, ::32] = 127
    return numbers


@pytest.mark.usefixtures("small_models_are_packed")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("inner", "experts", "ranks"), [(40, 3, 2), (64, 8, 3)])
def test_products_of_packed_weights(format: str, inner: int, experts: int, ranks: int) -> None:
    """The bits are lawful, and the first products are exact; the second see rounded tokens."""
    shapes = ((experts, inner, 256), (experts, 16, inner), (experts, inner))
    case = routed(experts, ranks, bias=True)
    model = Probe(case=case, hidden=256, vocab=40, weights=shapes)
    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {
        f"w{n}": PackedWeight(rng.standard_normal(shape).astype(np.float32) / 16, format)
        for n, shape in enumerate(shapes[:2])
    }
    if format == "q6_k" or inner % 32:
        weights["w1"] = PackedWeight(weights["w1"].numbers, "f32")
    if format == "q6_k":
        weights["w0"] = SixBits(weights["w0"].numbers, format)
    weights["x"] = PackedWeight(table(40, 256), "f32")
    found = b"".join(lawful(model, MANY, weights))
    reference = On(NumpyBackend(Catalog()), weights=weights)
    expected = b"".join(reference.run(model, MANY))
    x, y = (np.frombuffer(b, np.float32).reshape(106, -1) for b in (expected, found))
    first = ranks * inner
    assert np.abs(x - y)[:, :first].max() <= 1e-5 * np.abs(x[:, :first]).max()
    error = np.sqrt(((x - y)[:, first:] ** 2).mean() / (x[:, first:] ** 2).mean())
    assert error < (1e-5 if weights["w1"].format == "f32" else 1e-2)


@pytest.mark.usefixtures("small_models_are_packed")
@pytest.mark.parametrize("format", ["q4_0", "q5_0"])
def test_packed_weights_with_float_activations(format: str) -> None:
    shapes = ((4, 48, 64), (4, 16, 48), (4, 48))
    rng = np.random.default_rng(2)
    weights = {"w0": PackedWeight(rng.standard_normal(shapes[0]).astype(np.float32), format)}
    model = Probe(case=routed(4, 2, bias=True), hidden=64, vocab=40, weights=shapes)
    found = On(weights=weights, activations="float").run(model, MANY)
    expected = On(NumpyBackend(Catalog()), weights=weights).run(model, MANY)
    x, y = (np.frombuffer(b"".join(each), np.float32) for each in (expected, found))
    assert np.abs(x - y).max() <= 1e-5 * np.abs(x).max()


@pytest.mark.usefixtures("small_models_are_packed")
def test_experts_whose_matrices_differ_in_format() -> None:
    """One routing and one x, read as 8 bits by the packed gate and as it is by the float up."""

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        _, index = ops.top_k(ops.slice(y, 0, 4), 2)
        gate, up = ops.expert_linear(x, w.w0, index), ops.expert_linear(x, w.w1, index)
        return ops.merge_axes(ops.glu(gate, up, "silu"))

    shapes = ((4, 48, 64), (4, 48, 64))
    rng = np.random.default_rng(3)
    weights: dict[str, Any] = {
        "w0": PackedWeight(rng.standard_normal(shapes[0]).astype(np.float32) / 64, "q8_0"),
        "x": PackedWeight(table(40, 64), "f32"),
    }
    model = Probe(case=case, hidden=64, vocab=40, weights=shapes)
    expected = On(NumpyBackend(Catalog()), weights=weights).run(model, MANY)
    x, y = (
        np.frombuffer(b"".join(e), np.float32) for e in (expected, lawful(model, MANY, weights))
    )
    assert np.abs(x - y).max() <= 1e-5 * np.abs(x).max()


ROUTERS = {
    "softmax": TopK(k=2, renormalize=True),
    "sigmoid in groups": TopK(
        k=3, score="sigmoid", correction=True, groups=4, top_groups=2, group_score="top2"
    ),
    "best of groups": TopK(k=2, groups=4, top_groups=2, scale=2.5),
    "of the chosen": TopK(k=2, score="softmax_selected", bias=True),
}


@pytest.mark.parametrize("router", ROUTERS)
def test_a_mixture_of_experts(router: str) -> None:
    """The whole block in kernels: chosen experts, their weights, their sum, a shared one."""
    block = MoE(
        experts=8,
        router=ROUTERS[router],
        expert=GatedMLP(act="silu", hidden=24, limit=2.0, up_offset=1.0, bias=True),
        shared=GatedMLP(act="gelu_tanh", hidden=40),
        shared_gate=True,
    )
    compare(probe(block, hidden=32, vocab=12), 1e-5)


def test_every_token_may_choose_one_expert() -> None:
    """All pairs with one expert, and experts without any."""

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        last = ops.to_int(ops.slice(y, 0, 1) * 0.0 + 6.0)
        return ops.merge_axes(ops.expert_linear(x, w.w0, last))

    model = Probe(case=case, hidden=20, weights=((7, 18, 20),))
    compare(model, 1e-5)
    assert len(lawful(model, SEQUENCES)) == len(SEQUENCES)
