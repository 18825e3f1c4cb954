"""encoder_decoder: the suite, T5 whole, and tables that are shared or not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eager import Bench, close, renamed
from inferflow_blocks.attention import Attention
from inferflow_blocks.encoder_decoder import EncoderDecoder
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.mlp import MLP
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.relative_bias import RelativeBias
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.block import all_aliases, all_params
from inferflow_core.errors import ShapeError
from inferflow_core.stack import Stack
from inferflow_core.testing import ModelSuite

NORM = RMSNorm()


class TestEncoderDecoder(ModelSuite):
    name = "encoder_decoder"

    def make(self) -> EncoderDecoder:
        ffn, own = MLP(act="relu"), Attention(heads=4, causal=False)
        reads = PreNorm(mixer=own, ffn=ffn, mixer_norm=NORM, ffn_norm=NORM)
        writes = PreNorm(
            mixer=Attention(heads=4), cross=own, ffn=ffn, mixer_norm=NORM, cross_norm=NORM
        )
        near, far = (
            RelativeBias(buckets=8, max_distance=20, bidirectional=b) for b in (True, False)
        )
        return EncoderDecoder(
            hidden=32,
            vocab=40,
            encoder=Stack(embed=TokenEmbedding(), layers=(reads, reads), position=near, norm=NORM),
            decoder=Stack(embed=TokenEmbedding(), layers=(writes, writes), position=far, norm=NORM),
            head=LinearHead(tied=True),
        )


class TestApart(ModelSuite):
    name = "encoder_decoder"

    def make(self) -> EncoderDecoder:
        return replace(TestEncoderDecoder().make(), share_embed=False, head=LinearHead(tied=False))


OWN = ("q", "k", "v", "o")
MODEL = TestEncoderDecoder().make()


def t5(*, share: bool, tied: bool) -> EncoderDecoder:
    """T5 of two layers a stack: no scale of scores, one table of biases for all layers."""
    norm, ffn = RMSNorm(eps=1e-6), MLP(act="relu", hidden=30)
    mixer = Attention(heads=4, head_dim=6, scale=1.0)
    reads = PreNorm(mixer=replace(mixer, causal=False), ffn=ffn, mixer_norm=norm, ffn_norm=norm)
    writes = PreNorm(
        mixer=mixer, cross=mixer, ffn=ffn, mixer_norm=norm, cross_norm=norm, ffn_norm=norm
    )
    near, far = (RelativeBias(buckets=8, max_distance=20, bidirectional=b) for b in (True, False))
    return EncoderDecoder(
        hidden=24,
        vocab=40,
        encoder=Stack(embed=TokenEmbedding(), layers=(reads,) * 2, position=near, norm=norm),
        decoder=Stack(embed=TokenEmbedding(), layers=(writes,) * 2, position=far, norm=norm),
        share_embed=share,
        head=LinearHead(tied=tied, scale=24**-0.5 if tied else None),
    )


def names() -> dict[str, str]:
    """Their paths for ours."""
    found = {"head": "lm_head"}
    for side, last in (("encoder", 1), ("decoder", 2)):
        found[f"{side}.norm"] = f"{side}.final_layer_norm"
        for i in range(2):
            ours, its = f"{side}.layers.{i}", f"{side}.block.{i}.layer"
            found |= {f"{ours}.mixer.{part}": f"{its}.0.SelfAttention.{part}" for part in OWN}
            found[f"{ours}.mixer_norm"] = f"{its}.0.layer_norm"
            found |= {f"{ours}.cross.{part}": f"{its}.1.EncDecAttention.{part}" for part in OWN}
            found[f"{ours}.cross_norm"] = f"{its}.1.layer_norm"
            found[f"{ours}.ffn_norm"] = f"{its}.{last}.layer_norm"
            found[f"{ours}.ffn.up"] = f"{its}.{last}.DenseReluDense.wi"
            found[f"{ours}.ffn.down"] = f"{its}.{last}.DenseReluDense.wo"
    return found


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_equals_t5(share: bool, tied: bool, reference: Any) -> None:
    """Sequences of several lengths side by side, each with a source of its own."""
    model = t5(share=share, tied=tied)
    bench = Bench(model, model.dims(64))
    config = reference.config(
        "t5",
        vocab_size=40,
        d_model=24,
        d_kv=6,
        d_ff=30,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        tie_word_embeddings=False,
    )
    theirs = reference.code("t5").T5ForConditionalGeneration(config)
    theirs.decoder.embed_tokens = reference.torch.nn.Embedding(40, 24)
    theirs.encoder.embed_tokens = reference.torch.nn.Embedding(40, 24)
    weights = dict(bench.weights)
    first = weights.pop("encoder.embed.tokens.weight")
    second = first if share else weights.pop("decoder.embed.tokens.weight")
    if tied:  # a tied head of T5 scales its input instead
        weights["head.weight"] = second * np.float32(24**-0.5)
    tables = {side: weights.pop(f"{side}.position.weight") for side in ("encoder", "decoder")}
    loaded = renamed(weights, names())
    loaded["shared.weight"] = loaded["encoder.embed_tokens.weight"] = first
    loaded["decoder.embed_tokens.weight"] = second
    for side, table in tables.items():
        attention = f"{side}.block.0.layer.0.SelfAttention"
        loaded[f"{attention}.relative_attention_bias.weight"] = table.T
    reference.filled(theirs, loaded)
    sources, lengths = [30, 4, 17], [3, 25, 1]
    read, written = np.arange(51) * 7 % 40, np.arange(29) * 11 % 40
    states = bench.entry("encode", read, lengths=sources)["hidden"]
    found = bench.entry("step", written, lengths=lengths, source=sources)
    ends = zip(np.cumsum(sources), np.cumsum(lengths), strict=True)
    for (a, b), n, m in zip(ends, sources, lengths, strict=True):
        pair = reference.tensor(read[a - n : a])[None], reference.tensor(written[b - m : b])[None]
        with reference.torch.no_grad():
            out = theirs(input_ids=pair[0], decoder_input_ids=pair[1])
        close(states[a - n : a], out.encoder_last_hidden_state[0])
        close(found["logits"][b - m : b], out.logits[0])


def test_who_has_which_table() -> None:
    table, ours = "encoder.embed.tokens.weight", "decoder.embed.tokens.weight"
    for share, tied, aliases in (
        (True, True, {ours: table, "head.weight": table}),
        (True, False, {ours: table}),
        (False, True, {"head.weight": ours}),
        (False, False, {}),
    ):
        model = t5(share=share, tied=tied)
        assert all_aliases(model, model.dims(64)) == aliases
        params = all_params(model, model.dims(64))
        assert (table in params, ours in params, "head.weight" in params) == (
            True,
            not share,
            not tied,
        )


def test_a_shared_table_has_one_shape() -> None:
    narrow = replace(MODEL.encoder, embed=TokenEmbedding(width=8, project="sum"))
    model = replace(MODEL, encoder=narrow)
    with pytest.raises(ShapeError, match=r"encoder's table is \[40, 8\], the decoder's \[40, 32\]"):
        all_params(model, model.dims(64))
    apart = replace(model, share_embed=False)
    assert all_params(apart, apart.dims(64))["encoder.embed.tokens.weight"].shape == (40, 8)


def test_only_the_decoder_looks_at_an_encoder() -> None:
    with pytest.raises(ValueError, match="no encoder that it could look at"):
        replace(MODEL, encoder=MODEL.decoder)
    with pytest.raises(ValueError, match="none looks at the encoder"):
        replace(MODEL, decoder=MODEL.encoder)
