"""token_embedding: the suite, the order of its parts, and Bert's and OPT's."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.learned import Learned
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.sinusoidal import Sinusoidal
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.block import all_params
from inferflow_core.errors import ShapeError
from inferflow_core.graph import token_types
from inferflow_core.optable import OpTable
from inferflow_core.testing import EmbeddingSuite
from inferflow_core.testing.probe import probe
from inferflow_core.tracer import trace


class TestTokenEmbedding(EmbeddingSuite):
    name = "token_embedding"

    def make(self) -> TokenEmbedding:
        return TokenEmbedding(
            width=20, project="tokens", project_bias=True, scale=3.0, types=2, norm=RMSNorm()
        )


class TestPlain(EmbeddingSuite):
    name = "token_embedding"

    def make(self) -> TokenEmbedding:
        return TokenEmbedding()


@pytest.mark.parametrize("project", ["tokens", "sum"])
def test_order(project: str) -> None:
    block = TokenEmbedding(width=20, project=project, scale=2.0, types=1, norm=RMSNorm())
    model = probe(block, hidden=32, vocab=40)
    w = {k.removeprefix("block."): v.values() for k, v in random_weights(model, 0).items()}
    y = w["tokens.weight"][[3, 4]] * 2
    if project == "tokens":
        y = y @ w["project.weight"].T
    y = y + w["types.weight"][0]
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * w["norm.weight"]
    if project == "sum":
        y = y @ w["project.weight"].T
    found = np.frombuffer(TestPlain().prober().run(model, [[3, 4]])[0], np.float32)
    assert np.allclose(found.reshape(2, 32), y, atol=1e-5)


IDS, TYPES = [3, 7, 3, 0, 39, 12], [0, 1, 2, 1, 1, 0]


def test_equals_bert_with_types_and_positions(reference: Any) -> None:
    norm = LayerNorm(eps=1e-12)
    block = TokenEmbedding(position=Learned(rows=128), types=3, norm=norm)
    bench = Bench(block, dims_of(24))
    config = reference.config(
        "bert",
        vocab_size=40,
        hidden_size=24,
        num_attention_heads=4,
        max_position_embeddings=128,
        type_vocab_size=3,
    )
    theirs = reference.code("bert").BertEmbeddings(config)
    names = {
        "tokens": "word_embeddings",
        "types": "token_type_embeddings",
        "position": "position_embeddings",
        "norm": "LayerNorm",
    }
    reference.filled(theirs, renamed(bench.weights, names))
    ids, types = (reference.tensor(column)[None] for column in (IDS, TYPES))
    found = bench.run(np.array(IDS), types=TYPES)
    close(found, reference.run(theirs, ids, token_type_ids=types))


@pytest.mark.parametrize("project", ["tokens", "sum"])
def test_a_scaled_narrow_table_with_positions_of_its_own(project: Any) -> None:
    """token * scale, then the map, then types, positions and norm; or the map behind them all."""
    block = TokenEmbedding(
        width=10,
        project=project,
        project_bias=True,
        scale=3.0,
        types=2,
        position=Sinusoidal(),
        norm=LayerNorm(),
    )
    bench = Bench(block, dims_of(24))
    w = {name: array.astype(np.float64) for name, array in bench.weights.items()}
    width = 24 if project == "tokens" else 10
    pairs = np.arange(width // 2) / (width // 2)
    angle = np.arange(6)[:, None] / 10000.0**pairs
    types = [0, 1, 1, 1, 0, 0]

    def mapped(y: Any) -> Any:
        return y @ w["project.weight"].T + w["project.bias"]

    y = w["tokens.weight"][IDS] * 3
    y = mapped(y) if project == "tokens" else y
    y = y + w["types.weight"][types] + np.concatenate([np.sin(angle), np.cos(angle)], -1)
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    y = y * w["norm.weight"] + w["norm.bias"]
    y = mapped(y) if project == "sum" else y
    close(bench.run(np.array(IDS), types=types), y)


def test_one_row_of_types_is_everybodys() -> None:
    """Whatever the request says."""
    block = TokenEmbedding(types=1)
    bench = Bench(block, dims_of(8))
    found = bench.run(np.array(IDS), types=TYPES)
    close(found, bench.weights["tokens.weight"][IDS] + bench.weights["types.weight"][0])


@pytest.mark.parametrize(("rows", "known"), [(0, None), (1, None), (2, 2)])
def test_the_graph_says_how_many_types_there_are(rows: int, known: int | None) -> None:
    model = probe(TokenEmbedding(types=rows), hidden=8, vocab=10)
    graph = trace(model, model.dims(16), OpTable(TestPlain().catalog()))
    assert token_types(graph, "step") == known


def test_an_equal_width_needs_no_map() -> None:
    block = TokenEmbedding(width=8, project="sum")
    assert all_params(block, dims_of(8)).keys() == {"tokens.weight"}


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="width is 6, hidden is 8, and project is none"):
        all_params(TokenEmbedding(width=6), dims_of(8))
    with pytest.raises(ValueError, match="types is -1"):
        TokenEmbedding(types=-1)
    with pytest.raises(ValueError, match="width is 0"):
        TokenEmbedding(width=0)
