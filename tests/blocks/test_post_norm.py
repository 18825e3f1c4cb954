"""post_norm: the suite, Bart's decoder layer and Bert's encoder layer."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_blocks.attention import Attention
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlp import MLP
from inferflow_blocks.post_norm import PostNorm

from inferflow_core.testing import LayerSuite

NORM = LayerNorm()


class TestPostNorm(LayerSuite):
    name = "post_norm"

    def make(self) -> PostNorm:
        return PostNorm(
            mixer=Attention(heads=4),
            cross=Attention(heads=2, qkv_bias=True),
            ffn=MLP(hidden=40, act="relu", bias=True),
            mixer_norm=NORM,
            cross_norm=NORM,
            ffn_norm=NORM,
        )


TOKENS, HIDDEN = 20, 24
OWN = Attention(heads=4, qkv_bias=True, out_bias=True)
FFN = MLP(act="gelu", hidden=30, bias=True)


def test_equals_bert(reference: Any) -> None:
    mixer = Attention(heads=4, qkv_bias=True, out_bias=True, causal=False)
    block = PostNorm(mixer=mixer, ffn=FFN, mixer_norm=NORM, ffn_norm=NORM)
    bench = Bench(block, dims_of(HIDDEN))
    config = reference.config(
        "bert",
        hidden_size=HIDDEN,
        num_attention_heads=4,
        intermediate_size=30,
        layer_norm_eps=1e-5,
    )
    layer = reference.code("bert").BertLayer(config)
    names = {
        "mixer.q": "attention.self.query",
        "mixer.k": "attention.self.key",
        "mixer.v": "attention.self.value",
        "mixer.o": "attention.output.dense",
        "mixer_norm": "attention.output.LayerNorm",
        "ffn.up": "intermediate.dense",
        "ffn.down": "output.dense",
        "ffn_norm": "output.LayerNorm",
    }
    reference.filled(layer, renamed(bench.weights, names))
    x = vectors(TOKENS, HIDDEN)
    close(bench.run(x), reference.run(layer, reference.tensor(x)[None]))


def test_equals_bart(reference: Any) -> None:
    block = PostNorm(mixer=OWN, cross=OWN, ffn=FFN, mixer_norm=NORM, cross_norm=NORM, ffn_norm=NORM)
    bench = Bench(block, dims_of(HIDDEN))
    x, source = vectors(TOKENS, HIDDEN), vectors(33, HIDDEN, seed=4)
    bench.run(source, call=block.remember)
    found = bench.run(x, source=[33])
    config = reference.config(
        "bart",
        d_model=HIDDEN,
        decoder_attention_heads=4,
        decoder_ffn_dim=30,
        activation_function="gelu",
    )
    layer = reference.code("bart").BartDecoderLayer(config, 0)
    projections = (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("o", "out_proj"))
    names = {
        **{f"mixer.{ours}": f"self_attn.{its}" for ours, its in projections},
        **{f"cross.{ours}": f"encoder_attn.{its}" for ours, its in projections},
        "mixer_norm": "self_attn_layer_norm",
        "cross_norm": "encoder_attn_layer_norm",
        "ffn_norm": "final_layer_norm",
        "ffn.up": "fc1",
        "ffn.down": "fc2",
    }
    reference.filled(layer, renamed(bench.weights, names))
    expected = reference.run(
        layer,
        reference.tensor(x)[None],
        attention_mask=reference.mask(np.tri(TOKENS, dtype=bool)),
        encoder_hidden_states=reference.tensor(source)[None],
    )
    close(found, expected)


@pytest.mark.parametrize("lonely", [{"cross": OWN}, {"cross_norm": NORM}])
def test_cross_and_its_norm_go_together(lonely: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cross and cross_norm go together"):
        PostNorm(mixer=OWN, ffn=FFN, mixer_norm=NORM, ffn_norm=NORM, **lonely)
