"""pre_norm: the suite, and the layers of transformers that are wired like it."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlp import MLP
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope

from inferflow_core.testing import LayerSuite
from inferflow_core.testing.probe import Probe, probe

MIXER = Attention(heads=4)
FFN = GatedMLP(act="silu", hidden=40)


class TestPreNorm(LayerSuite):
    name = "pre_norm"

    def make(self) -> PreNorm:
        return PreNorm(mixer=MIXER, ffn=FFN, mixer_norm=RMSNorm(), ffn_norm=RMSNorm())


class TestSandwich(LayerSuite):
    name = "pre_norm"

    def make(self) -> PreNorm:
        norm = RMSNorm(unit_offset=True)
        return PreNorm(
            mixer=MIXER,
            ffn=FFN,
            mixer_norm=norm,
            ffn_norm=norm,
            mixer_out_norm=norm,
            ffn_out_norm=norm,
            residual_scale=0.3,
        )


def run(model: Probe, ids: list[int]) -> np.ndarray:
    return np.frombuffer(TestPreNorm().prober().run(model, [ids])[0], np.float32).reshape(-1, 32)


def test_the_residual_is_scaled() -> None:
    """With a zero scale the layer is the identity; halves are half way."""
    ids, norm = [1, 2, 3], RMSNorm()
    layers = [
        PreNorm(mixer=MIXER, ffn=GatedMLP(act="relu", hidden=8), mixer_norm=norm, residual_scale=s)
        for s in (0.0, 1.0)
    ]
    zero, one = (probe(layer, hidden=32, vocab=40) for layer in layers)
    x = random_weights(zero, 0)["table.weight"].values()[ids]
    assert np.array_equal(run(zero, ids), x)
    assert not np.allclose(run(one, ids), x, atol=1e-2)


TOKENS, HIDDEN = 20, 24
LLAMA = {
    **{f"mixer.{part}": f"self_attn.{part}_proj" for part in "qkvo"},
    **{f"ffn.{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    "mixer_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": 30,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


def compare(block: PreNorm, layer: Any, rotary: Any, names: Any, reference: Any) -> None:
    bench = Bench(block, dims_of(HIDDEN))
    reference.filled(layer, renamed(bench.weights, names))
    x = vectors(TOKENS, HIDDEN)
    theirs = reference.tensor(x)[None]
    turn = rotary(theirs, reference.torch.arange(TOKENS)[None])
    mask = reference.mask(np.tri(TOKENS, dtype=bool))
    close(
        bench.run(x),
        reference.run(layer, theirs, position_embeddings=turn, attention_mask=mask),
    )


def test_a_sandwich_is_gemma2s(reference: Any) -> None:
    code = reference.code("gemma2")
    config = reference.config(
        "gemma2", **SIZES, query_pre_attn_scalar=6, attn_logit_softcapping=None, sliding_window=64
    )
    norm = RMSNorm(unit_offset=True)
    block = PreNorm(
        mixer=Attention(heads=4, kv_heads=2, position=Rope()),
        ffn=GatedMLP(act="gelu_tanh", hidden=30),
        mixer_norm=norm,
        mixer_out_norm=norm,
        ffn_norm=norm,
        ffn_out_norm=norm,
    )
    names = LLAMA | {
        "mixer_out_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "ffn_out_norm": "post_feedforward_layernorm",
    }
    layer = code.Gemma2DecoderLayer(config, 0)
    compare(block, layer, code.Gemma2RotaryEmbedding(config), names, reference)


def test_norms_behind_the_branches_alone_are_olmo2s(reference: Any) -> None:
    code = reference.code("olmo2")
    norm = RMSNorm()
    block = PreNorm(
        mixer=Attention(heads=4, kv_heads=2, position=Rope(), qk_norm=norm, qk_norm_over="whole"),
        ffn=GatedMLP(act="silu", hidden=30),
        mixer_out_norm=norm,
        ffn_out_norm=norm,
    )
    names = LLAMA | {
        "mixer.q_norm": "self_attn.q_norm",
        "mixer.k_norm": "self_attn.k_norm",
        "mixer_out_norm": "post_attention_layernorm",
        "ffn_out_norm": "post_feedforward_layernorm",
    }
    config = reference.config("olmo2", **SIZES)
    layer = code.Olmo2DecoderLayer(config, 0)
    compare(block, layer, code.Olmo2RotaryEmbedding(config), names, reference)


def test_scaled_residuals_are_granites(reference: Any) -> None:
    code = reference.code("granite")
    config = reference.config(
        "granite", **SIZES, residual_multiplier=0.22, attention_multiplier=0.3
    )
    block = PreNorm(
        mixer=Attention(heads=4, kv_heads=2, position=Rope(), scale=0.3),
        ffn=GatedMLP(act="silu", hidden=30),
        mixer_norm=RMSNorm(),
        ffn_norm=RMSNorm(),
        residual_scale=0.22,
    )
    layer = code.GraniteDecoderLayer(config, 0)
    compare(block, layer, code.GraniteRotaryEmbedding(config), LLAMA, reference)


def test_a_layer_that_looks_at_an_encoder_is_m2m100s(reference: Any) -> None:
    norm, own = LayerNorm(), Attention(heads=4, qkv_bias=True, out_bias=True)
    block = PreNorm(
        mixer=own,
        cross=own,
        ffn=MLP(act="relu", hidden=30, bias=True),
        mixer_norm=norm,
        cross_norm=norm,
        ffn_norm=norm,
    )
    bench = Bench(block, dims_of(HIDDEN))
    x, source = vectors(TOKENS, HIDDEN), vectors(33, HIDDEN, seed=4)
    bench.run(source, call=block.remember)
    found = bench.run(x, source=[33])
    config = reference.config(
        "m2m_100",
        d_model=HIDDEN,
        decoder_attention_heads=4,
        decoder_ffn_dim=30,
        activation_function="relu",
    )
    layer = reference.code("m2m_100").M2M100DecoderLayer(config, 0)
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


def test_residual_scale_counts_for_cross() -> None:
    """With a zero scale a layer of a decoder is the identity, too."""
    block = PreNorm(mixer=MIXER, cross=MIXER, ffn=FFN, residual_scale=0.0)
    bench = Bench(block, dims_of(HIDDEN))
    x = vectors(TOKENS, HIDDEN)
    bench.run(x, call=block.remember)
    assert np.array_equal(bench.run(x, source=[TOKENS]), x)


def test_a_norm_of_nothing() -> None:
    with pytest.raises(ValueError, match="cross_norm is about cross, and there is none"):
        PreNorm(mixer=MIXER, ffn=FFN, cross_norm=RMSNorm())
