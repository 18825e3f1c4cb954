"""decoder_only: the suite, ties, and that equal layers are traced once."""

from dataclasses import replace

import pytest
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.block import all_aliases, all_params
from inferflow_core.graph import Call
from inferflow_core.optable import OpTable
from inferflow_core.testing import ModelSuite
from inferflow_core.tracer import trace


def llama(*, tied: bool, depth: int = 3) -> DecoderOnly:
    layer = PreNorm(
        mixer=Attention(heads=4, kv_heads=2),
        ffn=GatedMLP(act="silu", hidden=48),
        mixer_norm=RMSNorm(),
        ffn_norm=RMSNorm(),
    )
    return DecoderOnly(
        hidden=32,
        vocab=40,
        embed=TokenEmbedding(),
        layers=(layer,) * depth,
        position=Rope(),
        norm=RMSNorm(),
        head=LinearHead(tied=tied),
    )


class TestDecoderOnly(ModelSuite):
    name = "decoder_only"

    def make(self) -> DecoderOnly:
        return llama(tied=False)


class TestTied(ModelSuite):
    name = "decoder_only"

    def make(self) -> DecoderOnly:
        return llama(tied=True)


def test_a_tied_head_is_the_token_table() -> None:
    model = llama(tied=True)
    dims = model.dims(64)
    assert all_aliases(model, dims) == {"head.weight": "embed.tokens.weight"}
    assert "head.weight" not in all_params(model, dims)
    assert all_aliases(llama(tied=False), dims) == {}


def test_equal_layers_are_traced_once() -> None:
    model = llama(tied=False, depth=5)
    graph = trace(model, model.dims(64), OpTable(TestTied().catalog()))
    calls = [step for step in graph.entries["step"].steps if isinstance(step, Call)]
    assert len(graph.functions) == 1
    assert [call.prefix for call in calls] == [f"layers.{i}" for i in range(5)]


def test_it_has_no_encoder_to_look_at() -> None:
    model = llama(tied=True)
    crossed = replace(model.layers[0], cross=Attention(heads=4))
    with pytest.raises(ValueError, match="no encoder that it could look at"):
        replace(model, layers=(crossed,))
