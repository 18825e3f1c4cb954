"""mlm_head: the suite, and Bert's."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlm_head import MLMHead

from inferflow_core.testing import HeadSuite


class TestMLMHead(HeadSuite):
    name = "mlm_head"

    def make(self) -> MLMHead:
        return MLMHead(act="gelu", norm=LayerNorm(), tied=False)


class TestTied(HeadSuite):
    name = "mlm_head"

    def make(self) -> MLMHead:
        return MLMHead(act="gelu", norm=LayerNorm(), dense_bias=False)


@pytest.mark.parametrize("act", ["gelu", "relu"])
def test_equals_bert(act: str, reference: Any) -> None:
    bench = Bench(MLMHead(act=act, norm=LayerNorm(eps=1e-12), tied=False), dims_of(24))
    config = reference.config(
        "bert", vocab_size=40, hidden_size=24, num_attention_heads=4, hidden_act=act
    )
    theirs = reference.code("bert").BertLMPredictionHead(config)
    names = {"": "decoder", "dense": "transform.dense", "norm": "transform.LayerNorm"}
    weights = renamed(bench.weights, names)
    reference.filled(theirs, weights | {"bias": weights["decoder.bias"]})
    x = vectors(9, 24)
    close(bench.run(x), reference.run(theirs, reference.tensor(x)))


@pytest.mark.parametrize("dense_bias", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_biases_and_the_tied_table(dense_bias: bool, bias: bool) -> None:
    table = vectors(40, 24, seed=8)
    block = MLMHead(act="relu", norm=LayerNorm(), dense_bias=dense_bias, bias=bias)
    bench = Bench(block, dims_of(24), token_table=table)
    w = bench.weights
    assert ("dense.bias" in w, "bias" in w, "weight" in w) == (dense_bias, bias, False)
    x = vectors(9, 24).astype(np.float64)
    y = np.maximum(x @ w["dense.weight"].T + w.get("dense.bias", 0), 0)
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    y = y * w["norm.weight"] + w["norm.bias"]
    close(bench.run(x.astype(np.float32)), y @ table.T + w.get("bias", 0))
