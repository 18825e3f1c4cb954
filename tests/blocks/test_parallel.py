"""parallel: the suite, Phi's layer (one norm) and GPT-NeoX's (two)."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_blocks.attention import Attention
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlp import MLP
from inferflow_blocks.parallel import Parallel
from inferflow_blocks.rope import Rope

from inferflow_core.testing import LayerSuite


class TestParallel(LayerSuite):
    name = "parallel"

    def make(self) -> Parallel:
        mixer, ffn = Attention(heads=4), MLP(hidden=40, act="relu", bias=True)
        return Parallel(mixer=mixer, ffn=ffn, mixer_norm=LayerNorm(), residual_scale=0.5)


class TestTwoNorms(LayerSuite):
    name = "parallel"

    def make(self) -> Parallel:
        mixer, ffn = Attention(heads=4), MLP(hidden=40, act="relu")
        norm = LayerNorm(eps=1e-3)
        return Parallel(mixer=mixer, ffn=ffn, mixer_norm=LayerNorm(), ffn_norm=norm)


TOKENS, HIDDEN = 20, 24
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}


def block(*, norms: int, scale: float = 1.0) -> Parallel:
    return Parallel(
        mixer=Attention(heads=4, qkv_bias=True, out_bias=True, position=Rope()),
        ffn=MLP(hidden=30, act="gelu", bias=True),
        mixer_norm=LayerNorm(),
        ffn_norm=LayerNorm() if norms == 2 else None,
        residual_scale=scale,
    )


def expected(layer: Any, rotary: Any, reference: Any) -> Any:
    x = reference.tensor(vectors(TOKENS, HIDDEN))[None]
    turn = rotary(x, reference.torch.arange(TOKENS)[None])
    mask = reference.mask(np.tri(TOKENS, dtype=bool))
    return reference.run(layer, x, position_embeddings=turn, attention_mask=mask)


def test_one_norm_is_phis(reference: Any) -> None:
    bench = Bench(block(norms=1), dims_of(HIDDEN))
    code = reference.code("phi")
    config = reference.config(
        "phi",
        hidden_size=HIDDEN,
        num_attention_heads=4,
        intermediate_size=30,
        hidden_act="gelu",
        rope_parameters=ROPE,
    )
    layer = code.PhiDecoderLayer(config, 0)
    names = {
        **{f"mixer.{part}": f"self_attn.{part}_proj" for part in "qkv"},
        **{"mixer.o": "self_attn.dense", "ffn.up": "mlp.fc1", "ffn.down": "mlp.fc2"},
        "mixer_norm": "input_layernorm",
    }
    reference.filled(layer, renamed(bench.weights, names))
    close(
        bench.run(vectors(TOKENS, HIDDEN)),
        expected(layer, code.PhiRotaryEmbedding(config), reference),
    )


def test_two_norms_are_gpt_neoxs(reference: Any) -> None:
    bench = Bench(block(norms=2), dims_of(HIDDEN))
    code = reference.code("gpt_neox")
    config = reference.config(
        "gpt_neox",
        hidden_size=HIDDEN,
        num_attention_heads=4,
        intermediate_size=30,
        hidden_act="gelu",
        rope_parameters=ROPE,
    )
    layer = code.GPTNeoXLayer(config, 0)
    names = {
        **{"mixer.o": "attention.dense", "mixer_norm": "input_layernorm"},
        **{"ffn.up": "mlp.dense_h_to_4h", "ffn.down": "mlp.dense_4h_to_h"},
        "ffn_norm": "post_attention_layernorm",
    }
    weights = bench.weights
    apart = {p: w for p, w in weights.items() if p.rpartition(".")[0] in names}
    fused = {}
    for kind in ("weight", "bias"):  # q, k and v of a head side by side
        parts = [weights[f"mixer.{part}.{kind}"] for part in "qkv"]
        heads = np.stack([part.reshape(4, 6, -1) for part in parts], axis=1)
        fused[f"attention.query_key_value.{kind}"] = heads.reshape(3 * HIDDEN, *parts[0].shape[1:])
    reference.filled(layer, renamed(apart, names) | fused)
    close(
        bench.run(vectors(TOKENS, HIDDEN)),
        expected(layer, code.GPTNeoXRotaryEmbedding(config), reference),
    )


@pytest.mark.parametrize("norms", [1, 2])
def test_the_sum_of_both_branches_is_scaled(norms: int) -> None:
    x = vectors(TOKENS, HIDDEN)
    whole = Bench(block(norms=norms), dims_of(HIDDEN))
    part = Bench(block(norms=norms, scale=0.25), dims_of(HIDDEN))
    close(part.run(x) - x, (whole.run(x) - x) / 4)
