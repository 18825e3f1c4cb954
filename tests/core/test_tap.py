"""The pass `tap`: what goes between the layers, as outputs that cost nothing until one is asked."""

import pytest
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph, flatten, needed
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose
from inferflow_core.passes.tap import tap
from inferflow_core.tracer import trace


@pytest.fixture
def graph() -> Graph:
    layer = PreNorm(mixer=Attention(heads=4), ffn=GatedMLP(act="silu"), ffn_norm=RMSNorm())
    network = DecoderOnly(
        hidden=64,
        vocab=10,
        embed=TokenEmbedding(),
        layers=(layer,) * 3,
        norm=RMSNorm(),
        head=LinearHead(tied=True),
    )
    return trace(network, network.dims(32), OpTable(Catalog([])))


def test_an_output_for_each_place_between_layers(graph: Graph) -> None:
    outputs = tap(graph).entries["step"].outputs
    assert list(outputs) == ["hidden", "logits", "hidden.0", "hidden.1", "hidden.2", "hidden.3"]
    assert {str(outputs[name]).partition(":")[2] for name in outputs if name != "logits"} == {
        str(outputs["hidden"]).partition(":")[2]
    }
    assert "hidden.0" not in graph.entries["step"].outputs


def test_nobody_pays_for_outputs_that_nobody_asks_for(graph: Graph) -> None:
    tapped, plain = tap(graph), list(flatten(graph, "step"))
    logits = {"logits": graph.entries["step"].outputs["logits"]}
    nodes = needed(list(flatten(tapped, "step")), logits)
    assert [node.op for node in nodes] == [node.op for node in needed(plain, logits)]


def test_every_value_keeps_an_id_of_its_own(graph: Graph) -> None:
    for one in (tap(graph), decompose(tap(graph), OpTable(Catalog([])), frozenset())):
        ids = [value.id for node in flatten(one, "step") for value in node.outputs]
        assert len(ids) == len(set(ids))
        assert {v.id for v in one.entries["step"].outputs.values()} <= set(ids)
        assert not set(ids) & {value.id for value in one.inputs.values()}


def test_a_graph_without_layers_stays_as_it_is() -> None:
    embed, head = TokenEmbedding(), LinearHead(tied=True)
    network = DecoderOnly(hidden=64, vocab=10, embed=embed, layers=(), head=head)
    bare = trace(network, network.dims(32), OpTable(Catalog([])))
    assert tap(bare) == bare
