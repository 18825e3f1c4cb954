"""encoder_only: the suite, Bert whole, and what heads may read of each other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eager import Bench, close, renamed
from inferflow_blocks.attention import Attention
from inferflow_blocks.classifier import Classifier
from inferflow_blocks.encoder_only import EncoderOnly
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.learned import Learned
from inferflow_blocks.mlm_head import MLMHead
from inferflow_blocks.mlp import MLP
from inferflow_blocks.pooler import Pooler
from inferflow_blocks.post_norm import PostNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.block import Head, all_aliases, all_params
from inferflow_core.errors import ShapeError
from inferflow_core.table import Table
from inferflow_core.testing import ModelSuite

NORM = LayerNorm()


class TestEncoderOnly(ModelSuite):
    name = "encoder_only"

    def make(self) -> EncoderOnly:
        mixer = Attention(heads=4, causal=False)
        layer = PostNorm(mixer=mixer, ffn=MLP(act="gelu"), mixer_norm=NORM, ffn_norm=NORM)
        return EncoderOnly(
            hidden=32,
            vocab=40,
            embed=TokenEmbedding(position=Learned(rows=128), norm=NORM),
            layers=(layer, layer),
            heads=Table({"logits": MLMHead(act="gelu", norm=NORM)}),
        )


def with_heads(**heads: Head) -> EncoderOnly:
    mixer = Attention(heads=4, causal=False, qkv_bias=True, out_bias=True)
    ffn = MLP(act="gelu", hidden=30, bias=True)
    layer = PostNorm(mixer=mixer, ffn=ffn, mixer_norm=NORM, ffn_norm=NORM)
    embed = TokenEmbedding(position=Learned(rows=128), types=2, norm=NORM)
    return EncoderOnly(hidden=24, vocab=40, embed=embed, layers=(layer, layer), heads=Table(heads))


BERT = with_heads(
    nsp=Classifier(classes=2, source="pooler", optional=True),
    pooler=Pooler(optional=True),
    mlm=MLMHead(act="gelu", norm=NORM, optional=True),
)
LAYER = {
    "mixer.q": "attention.self.query",
    "mixer.k": "attention.self.key",
    "mixer.v": "attention.self.value",
    "mixer.o": "attention.output.dense",
    "mixer_norm": "attention.output.LayerNorm",
    "ffn.up": "intermediate.dense",
    "ffn.down": "output.dense",
    "ffn_norm": "output.LayerNorm",
}
NAMES = {
    "embed.tokens": "bert.embeddings.word_embeddings",
    "embed.types": "bert.embeddings.token_type_embeddings",
    "embed.position": "bert.embeddings.position_embeddings",
    "embed.norm": "bert.embeddings.LayerNorm",
    **{
        f"layers.{i}.{o}": f"bert.encoder.layer.{i}.{t}" for i in range(2) for o, t in LAYER.items()
    },
    "heads.pooler.dense": "bert.pooler.dense",
    "heads.nsp": "cls.seq_relationship",
    "heads.mlm": "cls.predictions",
    "heads.mlm.dense": "cls.predictions.transform.dense",
    "heads.mlm.norm": "cls.predictions.transform.LayerNorm",
}


def test_equals_bert_with_all_its_heads(reference: Any) -> None:
    """The sequences of a step do not see each other; nsp is written before the pooler it reads."""
    bench = Bench(BERT, BERT.dims(128))
    config = reference.config(
        "bert",
        vocab_size=40,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=30,
        max_position_embeddings=128,
        layer_norm_eps=1e-5,
    )
    theirs = reference.code("bert").BertForPreTraining(config)
    weights = renamed(bench.weights, NAMES)
    weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"]
    weights["cls.predictions.decoder.weight"] = bench.weights["embed.tokens.weight"]
    reference.filled(theirs, weights)
    lengths = [5, 19, 1]
    ids = np.arange(25) * 7 % 40
    types = np.arange(25) % 2
    found = bench.entry("step", ids, lengths=lengths, types=types)
    assert list(found) == ["hidden", "nsp", "pooler", "mlm"]
    for place, end in enumerate(np.cumsum(lengths)):
        span = slice(end - lengths[place], end)
        columns = (reference.tensor(column[span])[None] for column in (ids, types))
        with reference.torch.no_grad():
            inputs = dict(zip(("input_ids", "token_type_ids"), columns, strict=True))
            out = theirs(**inputs, output_hidden_states=True)
            pooled = theirs.bert(**inputs).pooler_output
        close(found["hidden"][span], out.hidden_states[-1][0])
        close(found["mlm"][span], out.prediction_logits[0])
        close(found["nsp"][place], out.seq_relationship_logits[0])
        close(found["pooler"][place], pooled[0])


def test_heads_that_are_missing_are_dropped_if_they_may_be() -> None:
    def left(present: str) -> list[str]:
        return list(BERT.decide(lambda path: path.startswith(present)).heads)

    assert left("heads.") == ["nsp", "pooler", "mlm"]
    assert left("heads.mlm.") == ["mlm"]
    assert left("heads.mlm.bias") == ["mlm"], "some are there: that is an error of the binding"
    assert left("layers.") == []
    firm = with_heads(pooler=Pooler(), mlm=MLMHead(act="gelu", norm=NORM, optional=True))
    assert list(firm.decide(lambda path: False).heads) == ["pooler"]
    bare = with_heads(mean=Pooler(pool="mean", dense=False, optional=True))
    assert list(bare.decide(lambda path: False).heads) == ["mean"], "nothing can be missing"


def test_a_tied_head_is_the_token_table() -> None:
    dims = BERT.dims(64)
    assert all_aliases(BERT, dims) == {"heads.mlm.weight": "embed.tokens.weight"}
    assert "heads.mlm.weight" not in all_params(BERT, dims)


def outputs(model: EncoderOnly) -> Any:
    return Bench(model, model.dims(64)).entry("step", np.arange(4), lengths=[4])


def test_heads_that_read_in_a_circle() -> None:
    one, other = (Classifier(classes=24, source=name) for name in ("other", "one"))
    with pytest.raises(ShapeError, match="in a circle: one -> other"):
        outputs(with_heads(one=one, other=other))
    with pytest.raises(ShapeError, match="in a circle: one"):
        outputs(with_heads(one=Classifier(classes=24, source="one")))


def test_a_head_that_reads_nobody() -> None:
    wrong = Classifier(classes=2, source="poller")
    with pytest.raises(ShapeError, match=r"head 'nsp' reads 'poller'. Did you mean 'pooler'"):
        outputs(with_heads(pooler=Pooler(), nsp=wrong))
    gone = with_heads(pooler=Pooler(optional=True), nsp=Classifier(classes=2, source="pooler"))
    with pytest.raises(ShapeError, match="head 'nsp' reads 'pooler'"):
        outputs(gone.decide(lambda path: "nsp" in path))


@pytest.mark.parametrize("name", ["hidden", "tokens", "rows"])
def test_names_that_no_head_can_have(name: str) -> None:
    with pytest.raises(ValueError, match=f"no head can be called '{name}'"):
        with_heads(**{name: Pooler()})


def test_without_heads_there_are_the_states() -> None:
    assert list(outputs(with_heads())) == ["hidden"]


def test_it_has_no_encoder_to_look_at() -> None:
    (layer, _) = with_heads().layers
    crossed = replace(layer, cross=Attention(heads=4), cross_norm=NORM)
    with pytest.raises(ValueError, match="no encoder that it could look at"):
        EncoderOnly(hidden=24, vocab=40, embed=TokenEmbedding(), layers=(crossed,))
