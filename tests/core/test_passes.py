"""Passes: each by its suite, what they find and leave alone, and how a backend's are listed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Model, Param, Scope
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.errors import UnknownEntry
from inferflow_core.graph import Graph, Node
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import OpTable
from inferflow_core.passes.fuse_gates import fuse_gates
from inferflow_core.passes.fuse_residual import fuse_residual
from inferflow_core.passes.prepare import prepare, stages
from inferflow_core.passes.share_inputs import share_inputs
from inferflow_core.testing import PassSuite
from inferflow_core.tracer import trace

pytest.importorskip("numpy", reason="the reference backend needs numpy")

from inferflow_backends.numpy import NumpyBackend
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

Case = Callable[[Any, Any, Any, Any], Tensor]


def decoder() -> DecoderOnly:
    layer = PreNorm(
        mixer=Attention(heads=4, kv_heads=2, position=Rope(), qkv_bias=True),
        ffn=GatedMLP(act="gelu", hidden=40, bias=True, limit=0.9, up_offset=1.0),
        mixer_norm=RMSNorm(),
        ffn_norm=RMSNorm(),
    )
    return DecoderOnly(
        hidden=32,
        vocab=40,
        embed=TokenEmbedding(),
        layers=(layer,) * 2,
        norm=RMSNorm(),
        head=LinearHead(),
    )


class TestFuseResidual(PassSuite):
    name = "fuse_residual"

    def model(self) -> Model:
        return decoder()


class TestFuseGates(PassSuite):
    name = "fuse_gates"

    def model(self) -> Model:
        return decoder()


class TestShareInputs(PassSuite):
    name = "share_inputs"

    def model(self) -> Model:
        return decoder()


@dataclass(frozen=True, kw_only=True)
class Small(Model):
    """x -> a function of the ops, with two matrices [16, 16] and one [1, 16]."""

    case: Any

    def params(self, dims: Dims) -> dict[str, Param]:
        square = Param(dims.hidden, dims.hidden)
        params = {"x": Param(dims.vocab, dims.hidden), "a": square, "b": square}
        return params | {"one": Param(Axis("one", 1), dims.hidden), "shift": Param(dims.hidden)}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        def step(ops: Ops, w: Any, ctx: Context) -> dict[str, Tensor]:
            x = ops.rows(w.x, ctx.ids)
            return {"logits": ops.select(self.case(ops, w, x), ctx.out_rows)}

        return {"step": step}


def traced(case: Any) -> Graph:
    model = Small(hidden=16, vocab=30, case=case)
    return trace(model, model.dims(64), OpTable(Catalog([])))


def ops_of(graph: Graph) -> list[str]:
    steps = graph.entries["step"].steps
    return [step.op for step in steps if isinstance(step, Node)]


def twice(ops: Any, w: Any, x: Any) -> Any:
    y = ops.linear(x, w.a)
    return (y + x) * y


@pytest.mark.parametrize(
    ("case", "count"),
    [
        (lambda ops, w, x: ops.linear(x, w.a, w.shift) + x, 1),
        (lambda ops, w, x: x + ops.linear(x, w.a), 1),
        (lambda ops, w, x: ops.linear(x, w.a) + ops.linear(x, w.b), 1),
        (lambda ops, w, x: x + ops.linear(x, w.a) + ops.linear(x, w.b), 2),
        (twice, 0),
        (lambda ops, w, x: x + ops.linear(x, w.one), 0),
        (lambda ops, w, x: ops.linear(x, w.a) + ops.value(w.shift), 0),
        (lambda ops, w, x: ops.linear(x, w.a) + 1.0, 0),
    ],
)
def test_fuse_residual_takes_sums_of_equal_shapes_that_alone_read_a_product(
    case: Any, count: int
) -> None:
    before = ops_of(traced(case))
    after = ops_of(fuse_residual(traced(case)))
    assert after.count("linear_add") == count
    assert before.count("add") - after.count("add") == count
    assert before.count("linear") - after.count("linear") == count


def pair(ops: Any, w: Any, x: Any, y: Any, **how: Any) -> Any:
    return ops.glu(ops.linear(x, w.a, w.shift), ops.linear(y, w.b), "silu", **how)


def seen(ops: Any, w: Any, x: Any) -> Any:
    up = ops.linear(x, w.b)
    return ops.glu(ops.linear(x, w.a), up, "silu") + up


@pytest.mark.parametrize(
    ("case", "count"),
    [
        (lambda ops, w, x: pair(ops, w, x, x), 1),
        (lambda ops, w, x: pair(ops, w, x, x, limit=1.0, up_offset=1.0), 1),
        (lambda ops, w, x: pair(ops, w, x, x * 2.0), 0),
        (lambda ops, w, x: ops.glu(ops.linear(x, w.a), ops.linear(x, w.one), "silu"), 0),
        (lambda ops, w, x: ops.glu(ops.linear(x, w.a), x, "silu"), 0),
        (seen, 0),
    ],
)
def test_fuse_gates_takes_two_products_of_one_value(case: Any, count: int) -> None:
    found = ops_of(fuse_gates(traced(case)))
    assert (found.count("gated_linear"), found.count("glu")) == (count, 1 - count)


def test_a_gated_pair_keeps_matrices_biases_and_attributes() -> None:
    graph = fuse_gates(traced(lambda ops, w, x: pair(ops, w, x, x, limit=2.0)))
    steps = [step for step in graph.entries["step"].steps if isinstance(step, Node)]
    (node,) = (step for step in steps if step.op == "gated_linear")
    assert [str(item) for item in node.inputs[1:]] == ["a", "b", "shift", "None"]
    assert node.attrs == {"act": "silu", "limit": 2.0, "up_offset": 0.0}


def test_share_inputs_puts_readers_of_a_value_behind_the_first() -> None:
    def case(ops: Any, w: Any, x: Any) -> Any:
        first = ops.exp(ops.linear(x, w.a))
        second = ops.linear(first, w.a)
        return ops.exp(ops.linear(x, w.b)) + second

    assert ops_of(traced(case))[1:6] == ["linear", "exp", "linear", "linear", "exp"]
    found = share_inputs(traced(case))
    assert ops_of(found) == ["rows", "linear", "linear", "exp", "linear", "exp", "add", "select"]
    readers = [s for s in found.entries["step"].steps if isinstance(s, Node) and s.op == "linear"]
    assert [str(node.inputs[1]) for node in readers] == ["a", "b", "a"]


@dataclass(frozen=True)
class Passing:
    """A backend with passes, one of another package."""

    name: ClassVar[str] = "passing"

    def native(self) -> frozenset[str]:
        return frozenset({"glu"})

    def available(self) -> str:
        return ""

    def compile(self, graph: Graph, weights: Any, sizes: Any) -> Any:
        raise NotImplementedError

    def passes(self) -> tuple[str, ...]:
        return ("fuse_gates", "acme.rename")


def test_a_backend_gets_its_passes_in_order_those_of_others_too() -> None:
    catalog = Catalog()
    catalog.add("pass", "acme.rename", lambda graph: replace(graph, name=ops_of(graph)[1]))
    graph = traced(lambda ops, w, x: ops.rms_norm(pair(ops, w, x, x)))
    found = list(stages(graph, Passing(), catalog))
    assert [stage.name for stage in found] == ["decompose", "fuse_gates", "acme.rename"]
    assert ["glu" in ops_of(stage.graph) for stage in found] == [True, False, False]
    assert "rms_norm" not in ops_of(found[0].graph)
    assert prepare(graph, Passing(), catalog).name == "gated_linear"
    without = list(stages(graph, Passing(), catalog, skip=("fuse_gates",)))
    assert [stage.skipped for stage in without] == [False, True, False]
    assert "glu" in ops_of(without[-1].graph)
    assert without[-1].graph.name == "linear"


def test_a_backend_without_passes_decomposes() -> None:
    (only,) = stages(traced(twice), NumpyBackend(Catalog()), Catalog())
    assert only.name == "decompose"


def test_a_pass_that_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownEntry, match=r"acme\.rename"):
        prepare(traced(twice), Passing(), Catalog())
