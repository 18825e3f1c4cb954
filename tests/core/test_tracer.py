"""Shape errors name op, shapes and block before any weight exists; graphs are plain data."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.axes import ONE, Axis, Dims
from inferflow_core.block import FFN, Mixer, Param, Position, Scope
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError, UnknownEntry
from inferflow_core.graph import Call, flatten, needed
from inferflow_core.ops import PRIMITIVES, BiasRule, Ops, Tensor
from inferflow_core.optable import Op, OpTable
from inferflow_core.passes.decompose import decompose
from inferflow_core.shapes import same
from inferflow_core.tracer import trace


@dataclass(frozen=True, kw_only=True)
class Custom(FFN):
    """An ffn that does what a test says."""

    does: Callable[[Ops, Scope, Tensor], Tensor]
    size: int = 7

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"square.weight": Param(Axis("a", self.size), Axis("b", self.size))}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return self.does(ops, w, x)


def model(ffn: FFN, mixer: Mixer | None = None) -> DecoderOnly:
    layer = PreNorm(mixer=mixer or Attention(heads=4), ffn=ffn, ffn_norm=RMSNorm())
    return DecoderOnly(
        hidden=64, vocab=10, embed=TokenEmbedding(), layers=(layer,), head=LinearHead(tied=True)
    )


def traced(ffn: FFN, mixer: Mixer | None = None, catalog: Catalog | None = None):
    network = model(ffn, mixer)
    return trace(network, network.dims(32), OpTable(catalog or Catalog([])))


def test_a_shape_error_names_the_block() -> None:
    wrong = Custom(does=lambda ops, w, x: ops.linear(x, w.square.weight))
    with pytest.raises(ShapeError) as error:
        traced(wrong)
    assert str(error.value) == "linear: [T,64] x [7,7] x - at layers.0.ffn"


def test_a_child_is_named_not_its_parent() -> None:
    with pytest.raises(ShapeError, match=r"at layers\.0\.mixer$"):
        traced(GatedMLP(act="silu"), Attention(heads=4, position=Rope(dims=64)))


def test_an_error_of_sizes_names_the_block_too() -> None:
    with pytest.raises(ShapeError, match=r"7 equal heads at layers\.0\.mixer"):
        traced(GatedMLP(act="silu"), Attention(heads=7))


def test_a_bias_of_scores_is_heads_by_keys() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong(Position):
        def score_bias(self, ops: Ops, w: Scope, ctx: Context, *, heads: int) -> BiasRule:
            return lambda ops, head, q, k: ops.constant([1.0] * 3, Axis("three", 3), ONE)

    words = r"a bias of scores is \[3,1\]; it must be \[4,C\].* at layers\.0\.mixer$"
    with pytest.raises(ShapeError, match=words):
        traced(GatedMLP(act="silu"), Attention(heads=4, position=Wrong()))


def test_broadcasting_of_run_time_sizes_is_refused() -> None:
    def mixed(ops: Ops, w: Scope, x: Tensor) -> Tensor:
        return x + ops.constant([1.0] * 5, Axis("five", 5))

    with pytest.raises(ShapeError, match=r"add: \[T,64\] x \[5\] at layers\.0\.ffn"):
        traced(Custom(does=mixed))


def test_an_unknown_op_gives_the_nearest() -> None:
    with pytest.raises(UnknownEntry, match=r"no op named 'rms_nrm'\. Did you mean 'rms_norm'"):
        traced(Custom(does=lambda ops, w, x: ops.op("rms_nrm")(x)))


def test_a_method_that_is_no_op_gives_the_nearest() -> None:
    with pytest.raises(UnknownEntry, match=r"no op named 'square'\. Did you mean 'sqrt'"):
        traced(Custom(does=lambda ops, w, x: getattr(ops, "square")(x)))  # noqa: B009


def test_numpy_on_a_traced_value_is_explained() -> None:
    import numpy as np

    with pytest.raises(TypeError, match="compute with `ops`"):
        traced(Custom(does=lambda ops, w, x: np.exp(x)))
    with pytest.raises(TypeError, match=r"use `ops\.where`"):
        traced(Custom(does=lambda ops, w, x: x or x))


def test_a_third_party_op_is_traced_by_its_shape_rule() -> None:
    catalog = Catalog([])
    catalog.add("op", "xyz.twice", Op(same, reference=lambda x: x * 2))
    graph = traced(Custom(does=lambda ops, w, x: ops.op("xyz.twice")(x)), catalog=catalog)
    assert "xyz.twice" in [node.op for node in flatten(graph, "step")]
    kept = decompose(graph, OpTable(catalog), frozenset())
    assert "xyz.twice" in [node.op for node in flatten(kept, "step")]


def test_a_third_party_op_may_decompose() -> None:
    catalog = Catalog([])
    catalog.add("op", "xyz.gate", Op(same, decompose=lambda ops, x: ops.mul(x, ops.sigmoid(x))))
    graph = traced(Custom(does=lambda ops, w, x: ops.op("xyz.gate")(x)), catalog=catalog)
    lowered = decompose(graph, OpTable(catalog), frozenset())
    assert {node.op for node in flatten(lowered, "step")} <= PRIMITIVES


def test_graphs_are_plain_data() -> None:
    graph = traced(GatedMLP(act="silu"))
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert "call layer0" in str(graph)


def test_flattening_gives_every_value_one_maker() -> None:
    network = DecoderOnly(
        hidden=64,
        vocab=10,
        embed=TokenEmbedding(),
        layers=(PreNorm(mixer=Attention(heads=4), ffn=GatedMLP(act="silu")),) * 3,
        head=LinearHead(tied=True),
    )
    graph = trace(network, network.dims(32), OpTable(Catalog([])))
    for version in (graph, decompose(graph, OpTable(Catalog([])), frozenset())):
        nodes = list(flatten(version, "step"))
        made = [value.id for node in nodes for value in node.outputs]
        assert len(made) == len(set(made))
        known = {value.id for value in version.inputs.values()}
        for node in nodes:
            assert {i.id for i in node.inputs if hasattr(i, "id")} <= known
            known |= {value.id for value in node.outputs}
        paths = {i.path for node in nodes for i in node.inputs if hasattr(i, "path")}
        assert "layers.2.ffn.down.weight" in paths


def test_what_no_output_needs_is_dropped() -> None:
    graph = traced(GatedMLP(act="silu"))
    nodes = list(flatten(graph, "step"))
    outputs = graph.entries["step"].outputs
    hidden = needed(nodes, {"hidden": outputs["hidden"]})
    assert len(hidden) == len(nodes) - 1
    assert [n.op for n in hidden].count("append") == 2


def test_layers_that_differ_have_functions_of_their_own() -> None:
    thin, wide = (
        PreNorm(mixer=Attention(heads=4), ffn=GatedMLP(act="silu", hidden=h)) for h in (8, 16)
    )
    network = DecoderOnly(
        hidden=64,
        vocab=10,
        embed=TokenEmbedding(),
        layers=(thin, wide, thin),
        head=LinearHead(tied=True),
    )
    graph = trace(network, network.dims(32), OpTable(Catalog([])))
    calls = [step.function for step in graph.entries["step"].steps if isinstance(step, Call)]
    assert calls == ["layer0", "layer1", "layer0"]
    lowered = decompose(graph, OpTable(Catalog([])), frozenset())
    assert "glu" not in [node.op for node in lowered.functions["layer1"].nodes]
